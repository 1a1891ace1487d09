// What other mounts have not been told yet of what requests of this one changed, and who waits
// for that.
//
//   request ─▶ notice ─▶ owe ……… kernel told ─▶ paid ─▶ the request's answer goes out
//
//   open ─▶ others write their pages ─▶ own kernel told ─▶ the answer goes out
//
// Rule: answers of one mount alone are held back at a time, and none while its own kernel still
// has to be told something: a kernel takes a notice when its own requests let go of the
// directory, so two mounts must never wait for each other. Only who holds nothing that a notice
// needs may wait for the own kernel.

export class Owed {
  /** The mount whose answers are held back. */
  static #holder: Owed | null = null
  /** Notices to this mount's own kernel that are under way. */
  #untold = 0
  #issued = 0
  #paid = 0
  readonly #waiting: { readonly at: number; readonly done: () => void }[] = []
  /** Answers that go out when the own kernel has been told everything. */
  readonly #untilTold: (() => void)[] = []

  /** A notice to the own kernel sets out; call the answer when it has arrived. */
  sets(): () => void {
    this.#untold += 1
    return () => {
      this.#untold -= 1
      if (this.#untold === 0) for (const done of this.#untilTold.splice(0)) done()
    }
  }

  /** Another mount's kernel is being told; call the answer when it knows. They are told in order. */
  owes(): () => void {
    this.#issued += 1
    return () => {
      this.#paid += 1
      this.#settle()
    }
  }

  /** Calls `done` when all is told that was owed by now. False where nobody waits. */
  whenPaid(done: () => void): boolean {
    if (this.#paid >= this.#issued || this.#untold > 0) return false
    if (Owed.#holder !== null && Owed.#holder !== this) return false
    Owed.#holder = this
    this.#waiting.push({ at: this.#issued, done })
    return true
  }

  /** Calls `done` when the own kernel knows all that it is being told. False where that is nothing. */
  whenTold(done: () => void): boolean {
    if (this.#untold === 0) return false
    this.#untilTold.push(done)
    return true
  }

  /** Nobody is waited for any more: the mount has ended, or waited long enough. */
  giveUp(): void {
    for (const { done } of this.#waiting.splice(0)) done()
    for (const done of this.#untilTold.splice(0)) done()
    this.#settle()
  }

  #settle(): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.at <= this.#paid) {
      this.#waiting.shift()!.done()
    }
    if (this.#waiting.length === 0 && Owed.#holder === this) Owed.#holder = null
  }
}
