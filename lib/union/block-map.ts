// Which blocks of a file are there: one bit for each, kept for the stretches where some are.
//
//   chunk 0 ▓▓░░░▓…   chunk 1 (none)   chunk 2 ░░▓…      a chunk is 128 MiB of the file
//
// Rule: memory alone; whoever changes the file on the disk tells it here.

/** Bytes of a block: a page, which the disk writes wholly or not at all. */
export const BLOCK = 4096
/** Blocks of a chunk. */
const CHUNK = 32_768

export class BlockMap {
  readonly #chunks = new Map<number, Uint8Array>()

  has(block: number): boolean {
    const chunk = this.#chunks.get(Math.floor(block / CHUNK))
    if (chunk === undefined) return false
    const at = block % CHUNK
    return (chunk[at >> 3]! & (1 << (at & 7))) !== 0
  }

  /** Blocks [from, to) are there. */
  add(from: number, to: number): void {
    for (let block = from; block < to; ) {
      const number = Math.floor(block / CHUNK)
      const chunk = this.#chunks.get(number) ?? new Uint8Array(CHUNK / 8)
      this.#chunks.set(number, chunk)
      const end = Math.min(to, (number + 1) * CHUNK)
      for (; block < end; block++) {
        const at = block % CHUNK
        if ((at & 7) === 0 && end - block >= 8) {
          chunk[at >> 3] = 0xff
          block += 7
        } else chunk[at >> 3]! |= 1 << (at & 7)
      }
    }
  }

  /** Blocks from this one on are there no more. */
  cut(from: number): void {
    for (const [number, chunk] of this.#chunks) {
      const first = from - number * CHUNK
      if (first <= 0) this.#chunks.delete(number)
      else if (first < CHUNK) {
        chunk.fill(0, (first + 7) >> 3)
        if ((first & 7) !== 0) chunk[first >> 3]! &= (1 << (first & 7)) - 1
      }
    }
  }

  /** The first block in [from, to) that is there (`there`), or is not; `to` where none is. */
  next(from: number, to: number, there: boolean): number {
    const whole = there ? 0 : 0xff
    for (let block = from; block < to; ) {
      const chunk = this.#chunks.get(Math.floor(block / CHUNK))
      const at = block % CHUNK
      if (chunk === undefined) {
        if (!there) return block
        block += CHUNK - at
      } else if ((at & 7) === 0 && chunk[at >> 3] === whole) block += 8
      else if (((chunk[at >> 3]! & (1 << (at & 7))) !== 0) === there) return block
      else block += 1
    }
    return to
  }

  /** How many blocks from this one on are there. */
  countFrom(from: number): number {
    let count = 0
    for (const number of this.#chunks.keys()) {
      const end = (number + 1) * CHUNK
      for (let block = Math.max(from, number * CHUNK); block < end; block++) {
        block = this.next(block, end, true)
        if (block < end) count += 1
      }
    }
    return count
  }
}
