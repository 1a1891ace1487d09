// Lets other work of the thread run between two steps of a long one.

/** A long step goes on for this long before others get their turn. */
const TURN_MS = 10

export class Breath {
  #since = Date.now()

  /** Returns at once within a turn; after it, when everything else that waited has run. */
  async taken(): Promise<void> {
    if (Date.now() - this.#since < TURN_MS) return
    await new Promise(setImmediate)
    this.#since = Date.now()
  }
}
