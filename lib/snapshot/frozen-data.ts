// The bytes of one file of an image: the file's own, where the area has none for it.
//
// Rule: the file is looked at first, then the area (area.ts): also for each read.

import { sys } from '../host/sys.ts'
import type { FrozenArea } from './area.ts'
import { FileCut, type FileData, holesOf, readFull, readSome } from './file-data.ts'
import type { PreservedBytes } from './preserved-bytes.ts'

/** `live` is an open file, and closed with the answer; `size` what it had at the instant. Throws Errno. */
export function frozenData(
  live: number,
  area: FrozenArea | null,
  ino: number,
  size: number,
): FileData {
  const file = new FrozenFile(live, area, ino)
  try {
    const holes = file.holes(size)
    return {
      size,
      holes,
      read: (into, offset) => file.read(into, offset),
      close: () => file.close(),
    }
  } catch (err) {
    file.close()
    throw err
  }
}

class FrozenFile {
  readonly #live: number
  readonly #area: FrozenArea | null
  readonly #ino: number
  #whole: number | null = null
  #parts: PreservedBytes | null = null

  constructor(live: number, area: FrozenArea | null, ino: number) {
    this.#live = live
    this.#area = area
    this.#ino = ino
  }

  holes(size: number): number[] {
    const live = holesOf(this.#live, size)
    this.#look()
    if (this.#whole !== null) return holesOf(this.#whole, size)
    return this.#parts?.holes(live, size) ?? live
  }

  read(into: Buffer, offset: number): void {
    const got = this.#whole === null ? readSome(this.#live, into, offset) : 0
    this.#look()
    if (this.#whole !== null) {
      readFull(this.#whole, into, offset)
      return
    }
    const filled = this.#parts?.cover(into, offset, got) ?? got
    if (filled < into.length) throw new FileCut(`file ends at ${offset + filled}`)
  }

  close(): void {
    sys.close(this.#live)
    if (this.#whole !== null) sys.close(this.#whole)
    this.#parts?.close()
  }

  #look(): void {
    if (this.#area === null || this.#whole !== null || this.#parts !== null) return
    this.#whole = this.#area.data(this.#ino)
    if (this.#whole === null) this.#parts = this.#area.blocks(this.#ino)
  }
}
