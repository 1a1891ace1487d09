// A set of SHA-256 digests in 16 bytes each, so that a million chunks fit into 32 MiB.
//
// Rule: the first half of a digest stands for it; two that share it count as one, which for
// whoever asks "is this needed?" errs on the side of keeping.

const SLOT = 16

export class DigestSet {
  size = 0
  #slots = Buffer.alloc(1024 * SLOT)
  #room = 1024
  readonly #asked = Buffer.alloc(SLOT)

  has(hex: string): boolean {
    return this.#matches(this.#find(hex))
  }

  /** True where it was not there before. */
  add(hex: string): boolean {
    if (this.size * 2 >= this.#room) this.#grow()
    const at = this.#find(hex)
    if (this.#matches(at)) return false
    this.#asked.copy(this.#slots, at)
    this.size += 1
    return true
  }

  // Where it lies, or the free slot in which it would.
  #find(hex: string): number {
    this.#asked.write(hex.slice(0, 2 * SLOT), 'hex')
    // All zeros mark a free slot.
    if (isFree(this.#asked, 0)) this.#asked[SLOT - 1] = 1
    let slot = this.#asked.readUInt32LE(0) % this.#room
    while (!isFree(this.#slots, slot * SLOT) && !this.#matches(slot * SLOT))
      slot = (slot + 1) % this.#room
    return slot * SLOT
  }

  #matches(at: number): boolean {
    return this.#slots.compare(this.#asked, 0, SLOT, at, at + SLOT) === 0
  }

  #grow(): void {
    const before = this.#slots
    this.#room *= 2
    this.#slots = Buffer.alloc(this.#room * SLOT)
    for (let at = 0; at < before.length; at += SLOT) {
      if (isFree(before, at)) continue
      const to = this.#find(before.toString('hex', at, at + SLOT))
      before.copy(this.#slots, to, at, at + SLOT)
    }
  }
}

const isFree = (slots: Buffer, at: number): boolean =>
  slots.readUInt32LE(at) === 0 &&
  slots.readUInt32LE(at + 4) === 0 &&
  slots.readUInt32LE(at + 8) === 0 &&
  slots.readUInt32LE(at + 12) === 0
