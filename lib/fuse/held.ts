// Answers that are ready, and go out when other mounts show what their requests changed: so what
// one program did is seen by the next, wherever it looks.
//
// Rule: an answer is held back for a moment only. Whatever keeps the other kernel, the caller
// goes on.

import type { FileSystem } from './filesystem.ts'

/** Longer than this, in milliseconds, nobody waits for another mount. */
const LONGEST = 200

export class HeldAnswers {
  readonly #fs: FileSystem
  readonly #send: (bytes: Buffer, length: number) => void
  /** When each began to wait; a late one lets all go. */
  readonly #since: number[] = []

  constructor(fs: FileSystem, send: (bytes: Buffer, length: number) => void) {
    this.#fs = fs
    this.#send = send
  }

  get some(): boolean {
    return this.#since.length > 0
  }

  /** Keeps a copy of an answer and sends it later; false where it can go out now. */
  keep(bytes: Buffer, length: number): boolean {
    let copy: Buffer | null = null
    const waits = this.#fs.whenShown?.(() => {
      this.#since.shift()
      this.#send(copy!, length)
    })
    if (waits !== true) return false
    copy = Buffer.from(bytes.subarray(0, length))
    this.#since.push(performance.now())
    return true
  }

  /** Lets go of all, where one has waited too long. */
  letGoLate(): void {
    const [first] = this.#since
    if (first !== undefined && performance.now() - first > LONGEST) this.#fs.showAnyway?.()
  }
}
