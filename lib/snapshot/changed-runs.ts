// Where the bytes of two contents may differ, told by their records alone.
//
//   now     over ▒ over ▒ ─┐
//   wanted  over ▒ ────────┴─▶ the content that both lie over: what differs lies in the runs on the way
//
// Rule: what is not told lies in no run; what is told may be equal all the same.

import type { DepotReader } from './depot.ts'
import type { Content } from './records.ts'

/** So many contents lie over each other at most that are looked at. */
const LONGEST_WAY = 64

/** A content on the way down, with where what was asked for may differ from it. */
interface Step {
  readonly runs: number[]
  readonly size: number
}

/**
 * Offset and length of each run, ascending, up to the size of `wanted`; null where they lie over nothing
 * that both know.
 */
export async function changedRuns(
  depot: DepotReader,
  scope: string,
  now: string,
  wanted: string,
): Promise<number[] | null> {
  const ways = [await wayOf(depot, scope, now), await wayOf(depot, scope, wanted)] as const
  const size = ways[1].get(wanted)?.size
  if (size === undefined) return null
  for (const [name, { runs }] of ways[0]) {
    const other = ways[1].get(name)
    if (other === undefined) continue
    const shared = Math.min(ways[0].get(now)!.size, size)
    const tail = size > shared ? [shared, size - shared] : []
    return joined([...runs, ...other.runs, ...tail], size)
  }
  return null
}

/** The contents that one lies over, itself first. Those of `ro` have names that no content has. */
async function wayOf(depot: DepotReader, scope: string, id: string): Promise<Map<string, Step>> {
  const way = new Map<string, Step>()
  let runs: readonly number[] = []
  for (let at: string | null = id; at !== null && way.size < LONGEST_WAY && !way.has(at); ) {
    const content: Content | null = at.startsWith('ro ') ? null : await depot.content(scope, at)
    way.set(at, { runs: [...runs], size: content?.size ?? 0 })
    if (content === null) break
    const below = belowOf(content)
    if (below === null) break
    runs = [...runs, ...below.runs]
    at = below.name
  }
  return way
}

// The first thing that a part lies over; parts that lie over others, or none, may differ wholly.
function belowOf({ parts }: Content): { name: string; runs: number[] } | null {
  let name: string | null = null
  const runs: number[] = []
  let at = 0
  for (const { codec, length, runs: own = [], references = [] } of parts) {
    const [reference] = references
    const isOver = codec === 'over' && reference?.offset === at
    const under = reference?.source === 'ro' ? `ro ${reference.path}` : (reference?.content ?? null)
    if (isOver) name ??= under
    if (isOver && under === name)
      for (let index = 0; index + 1 < own.length; index += 2)
        runs.push(at + own[index]!, own[index + 1]!)
    else if (codec !== 'hole') runs.push(at, length)
    at += length
  }
  return name === null ? null : { name, runs }
}

/** In order, those that meet as one, cut off at `size`. */
function joined(runs: readonly number[], size: number): number[] {
  const pairs: [number, number][] = []
  for (let index = 0; index + 1 < runs.length; index += 2)
    if (runs[index]! < size)
      pairs.push([runs[index]!, Math.min(size, runs[index]! + runs[index + 1]!)])
  pairs.sort((a, b) => a[0] - b[0])
  const all: number[] = []
  let end = -1
  for (const [from, to] of pairs) {
    if (from > end) all.push(from, to - from)
    else if (to > end) all[all.length - 1]! += to - end
    end = Math.max(end, to)
  }
  return all
}
