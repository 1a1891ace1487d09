// A set of SHA-256 digests in 16 bytes each, so that a million chunks fit into 32 MiB.
//
// Rule: the first half of a digest stands for it; two that share it count as one, which for
// whoever asks "is this needed?" errs on the side of keeping.

/** 32-bit words of a digest that are kept. */
const WORDS = 4
const FIRST_ROOM = 1024

const NIBBLES = Uint8Array.from({ length: 256 }, (_, code) => {
  const nibble = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(nibble) ? 0 : nibble
})

export class DigestSet {
  size = 0
  /** `#room` slots, a power of two; a slot of zeros is free. */
  #slots = new Uint32Array(FIRST_ROOM * WORDS)
  #room = FIRST_ROOM
  readonly #asked = new Uint32Array(WORDS)

  has(hex: string): boolean {
    this.#ask(hex)
    return this.#slots[this.#find() * WORDS + WORDS - 1] !== 0
  }

  /** True where it was not there before. */
  add(hex: string): boolean {
    if (this.size * 4 >= this.#room * 3) this.#grow()
    this.#ask(hex)
    const at = this.#find() * WORDS
    if (this.#slots[at + WORDS - 1] !== 0) return false
    this.#slots.set(this.#asked, at)
    this.size += 1
    return true
  }

  #ask(hex: string): void {
    for (let word = 0; word < WORDS; word++) {
      let value = 0
      for (let at = word * 8; at < word * 8 + 8; at++)
        value = (value << 4) | NIBBLES[hex.charCodeAt(at) & 0xff]!
      this.#asked[word] = value
    }
    // Zero there marks a free slot.
    if (this.#asked[WORDS - 1] === 0) this.#asked[WORDS - 1] = 1
  }

  // Number of the slot in which what is asked for lies, or would lie.
  #find(): number {
    const [a, b, c, d] = this.#asked as unknown as [number, number, number, number]
    const slots = this.#slots
    let slot = a & (this.#room - 1)
    for (;;) {
      const at = slot * WORDS
      if (slots[at + 3] === 0) return slot
      if (slots[at] === a && slots[at + 1] === b && slots[at + 2] === c && slots[at + 3] === d)
        return slot
      slot = (slot + 1) & (this.#room - 1)
    }
  }

  #grow(): void {
    const before = this.#slots
    this.#room *= 2
    this.#slots = new Uint32Array(this.#room * WORDS)
    for (let at = 0; at < before.length; at += WORDS) {
      if (before[at + WORDS - 1] === 0) continue
      this.#asked.set(before.subarray(at, at + WORDS))
      this.#slots.set(this.#asked, this.#find() * WORDS)
    }
  }
}
