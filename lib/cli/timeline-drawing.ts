// The states of a layer as a drawing: the newest above, a line from each to the one that it came from.
//
//   ○     now
//   ●     51d0ee97c1  2 hours ago …      a node, and the line that now hangs on
//   ├─●   9f31c02ab4  3 days ago …       one that nothing came from: left by a restore
//   ●     02ab49f31c  5 days ago …
//
//   ┆     what lay between was deleted
//
// Rule: every line fits the width, and every state has one line of its own.

import type { TimelineAnswer, TimelineState } from '../daemon/log-methods.ts'
import type { Paint } from './colors.ts'
import { printable } from './output.ts'
import { ago, clock, size } from './words.ts'

export const NARROWEST = 40
export const WIDEST = 200

/** A line that goes down to a state. */
interface Lane {
  readonly to: string
  readonly dotted: boolean
}

/** The drawing, a line of the terminal each. */
export function drawTimeline(
  { states, from }: TimelineAnswer,
  columns: number,
  paint: Paint,
  time = Date.now(),
): string[] {
  const width = Math.min(WIDEST, Math.max(NARROWEST, columns))
  const graph = new Graph()
  const rows: [string, Parts][] = [
    [graph.now(from), [['bold', 'now']]],
    ...states.flatMap((state): [string, Parts][] => [
      [graph.node(state), partsOf(state, width, time)],
      ...graph.joined().map((line): [string, Parts] => [line, []]),
    ]),
  ]
  const most = Math.floor(width / 3)
  const cut = ([line]: readonly [string, Parts]) =>
    line.length <= most ? line : `${line.slice(0, most - 1)}…`
  const indent = Math.max(...rows.map((row) => cut(row).length)) + 2
  return rows.map((row) => {
    const text = fitted(row[1], width - indent, paint)
    return text === '' ? cut(row) : `${cut(row).padEnd(indent)}${text}`
  })
}

/** The lanes of a drawing, from the newest state down. No two of them go to the same state. */
class Graph {
  readonly #lanes: (Lane | null)[] = []
  #joined: string[] = []

  now(from: string | null): string {
    if (from !== null) this.#lanes.push({ to: from, dotted: false })
    return '○'
  }

  node({ id, parent, dotted }: TimelineState): string {
    const awaited = this.#lanes.findIndex((lane) => lane?.to === id)
    const other = this.#lanes.findIndex((lane) => lane !== null && lane.to === parent)
    if (awaited === -1 && other !== -1) return this.#beside(other)
    const at = awaited === -1 ? this.#free(0) : awaited
    const line = this.#line((lane) => (lane === at ? '●' : null))
    this.#lanes[at] = parent === null ? null : { to: parent, dotted }
    if (dotted) this.#joined.push(this.#line(() => null))
    if (parent !== null && other !== -1) this.#join(Math.min(at, other), Math.max(at, other))
    this.#trim()
    return line
  }

  /** What has to be drawn below the last node, before the next one. */
  joined(): string[] {
    const lines = this.#joined
    this.#joined = []
    return lines
  }

  // It ends above, and its line meets that of another at once.
  #beside(other: number): string {
    const at = this.#free(other + 1)
    const line = this.#line((lane) => (lane === at ? '●' : lane === other ? '├' : null), other, at)
    this.#lanes[at] = null
    this.#trim()
    return line
  }

  #join(left: number, right: number): void {
    const shape = (lane: number) => (lane === left ? '├' : lane === right ? '╯' : null)
    this.#joined.push(this.#line(shape, left, right))
    this.#lanes[right] = null
  }

  #free(from: number): number {
    const found = this.#lanes.findIndex((lane, at) => at >= from && lane === null)
    if (found !== -1) return found
    while (this.#lanes.length < from) this.#lanes.push(null)
    return this.#lanes.push(null) - 1
  }

  #trim(): void {
    while (this.#lanes.length > 0 && this.#lanes.at(-1) === null) this.#lanes.pop()
  }

  /** `special`: what a lane has in this line; between `left` and `right` they are crossed. */
  #line(special: (lane: number) => string | null, left = 0, right = 0): string {
    const shapes = this.#lanes.map((lane, at) => {
      const crossed = at >= left && at < right
      const plain = lane === null ? ' ' : lane.dotted ? '┆' : '│'
      const passed = at > left && crossed ? (lane === null ? '─' : '┼') : plain
      return `${special(at) ?? passed}${crossed ? '─' : ' '}`
    })
    return shapes.join('').trimEnd()
  }
}

type Parts = readonly (readonly [Parameters<Paint>[0] | null, string])[]

function partsOf(state: TimelineState, width: number, time: number): Parts {
  const { id, label, tags, message, trigger, pinned, current, stored } = state
  const tagged = Object.entries(tags).map(([name, value]) => `#${name}${value && `=${value}`}`)
  const parts: (readonly [Parameters<Paint>[0] | null, string])[] = [
    [current ? 'bold' : 'yellow', id],
    ['green', label === null ? '' : `[${label}]`],
    [null, `${width < 100 ? '' : `${clock(state.time)}, `}${ago(state.time, time)}`],
    [null, state.status === 'pending' ? 'pending' : size(stored)],
    ['red', pinned ? 'pinned' : ''],
    ['cyan', trigger === 'manual' ? '' : trigger],
    [null, message],
    ['cyan', tagged.join(' ')],
  ]
  return parts.filter(([, text]) => text !== '')
}

/** As much of the parts as there is room for. */
function fitted(parts: Parts, room: number, paint: Paint): string {
  let left = room
  let line = ''
  for (const [colour, text] of parts) {
    const gap = line === '' ? '' : '  '
    const letters = [...printable(text)]
    left -= gap.length
    if (left < 1) break
    const word =
      letters.length <= left ? letters.join('') : `${letters.slice(0, left - 1).join('')}…`
    line += gap + (colour === null ? word : paint(colour, word))
    left -= [...word].length
  }
  return line
}
