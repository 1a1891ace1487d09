// Lets other work of the thread run between two steps of a long one, and lets the long one be
// broken off from another thread.
//
//   breakOffBy(flag)          once, by a thread whose work may be broken off
//   breath.taken(), goOn()    in its loops: throw when the flag is up, so that all is undone
//
// Rule: a step is short; a program that is waited for is ended besides (children.ts).

import { Failure } from '../base/failure.ts'

/** A long step goes on for this long before others get their turn. */
const TURN_MS = 10

let broken: Int32Array | null = null

/** From now on the work of this thread is broken off when another one sets `flag[0]`. */
export function breakOffBy(flag: Int32Array): void {
  broken = flag
}

const isBrokenOff = (): boolean => broken !== null && Atomics.load(broken, 0) !== 0

/** Throws SVS_CANCELLED where this thread's work was broken off. */
export function goOn(): void {
  if (isBrokenOff()) throw new Failure('SVS_CANCELLED')
}

export class Breath {
  #since = Date.now()

  /** Returns at once within a turn; after it, when everything else that waited has run. */
  async taken(): Promise<void> {
    goOn()
    if (Date.now() - this.#since < TURN_MS) return
    await new Promise(setImmediate)
    this.#since = Date.now()
  }
}
