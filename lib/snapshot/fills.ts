// Stretches of a content, or of a part of it, that are to be made, and the memory that they go to.
//
//   fills   ──▓▓▓▓▓────▓──────▓▓──     in any order
//   parts   [      ][      ][     ]    each gets its own, cut at its ends, by offset within it
//
// Rule: memory alone is cut up here; nothing is copied but by `copyOut` and `copyRuns`.

/** Bytes from `offset` on that fill `into`. */
export interface Fill {
  readonly offset: number
  readonly into: Buffer
}

/** What each part is to make; `starts` ascend from 0, and the last part ends at `size`. */
export function fillsByPart(
  fills: readonly Fill[],
  starts: readonly number[],
  size: number,
): Map<number, Fill[]> {
  const byPart = new Map<number, Fill[]>()
  for (const { offset, into } of fills) {
    const end = offset + into.length
    for (let index = partAt(starts, offset), at = offset; at < end; index++) {
      const start = starts[index]!
      const to = Math.min(end, starts[index + 1] ?? size)
      const own = byPart.get(index) ?? []
      byPart.set(index, own)
      own.push({ offset: at - start, into: into.subarray(at - offset, to - offset) })
      at = to
    }
  }
  return byPart
}

/** Number of the part that holds `offset`. */
export function partAt(starts: readonly number[], offset: number): number {
  let low = 0
  let high = starts.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (starts[middle]! <= offset) low = middle
    else high = middle
  }
  return low
}

/** Fills from bytes that begin at `from`, as far as they go. */
export function copyOut(bytes: Buffer, from: number, fills: readonly Fill[]): void {
  for (const { offset, into } of fills) {
    const start = Math.max(offset, from)
    const end = Math.min(offset + into.length, from + bytes.length)
    if (start < end) bytes.copy(into, start - offset, start - from, end - from)
  }
}

/** The same from the bytes of runs (offset, length, …), which lie one after the other. */
export function copyRuns(laid: Buffer, runs: readonly number[], fills: readonly Fill[]): void {
  for (let index = 0, at = 0; index < runs.length; index += 2) {
    const length = runs[index + 1]!
    copyOut(laid.subarray(at, at + length), runs[index]!, fills)
    at += length
  }
}

/** Of runs, those that the fill touches: how many, and whether one of them has all of it. */
export function touched(runs: readonly number[], { offset, into }: Fill): 'no' | 'some' | 'all' {
  const end = offset + into.length
  let found: 'no' | 'some' = 'no'
  for (let index = 0; index < runs.length; index += 2) {
    const start = runs[index]!
    const stop = start + runs[index + 1]!
    if (start <= offset && end <= stop) return 'all'
    if (start < end && offset < stop) found = 'some'
  }
  return found
}

/** Fills for all runs, whose bytes are to lie one after the other in `into`. */
export function fillsOf(runs: readonly number[], into: Buffer): Fill[] {
  const fills: Fill[] = []
  for (let index = 0, at = 0; index < runs.length; index += 2) {
    const length = runs[index + 1]!
    fills.push({ offset: runs[index]!, into: into.subarray(at, at + length) })
    at += length
  }
  return fills
}
