// Finding bytes again wherever they went: samples that their content chooses, and a table of
// where each was seen.
//
//   bytes ─▶ a hash that rolls over 32 bytes ─▶ zeros on top? ─▶ sample (key, offset)
//   table:  key ─▶ origin, offset
//
// Equal stretches have equal samples whatever lies before them, so a moved stretch is recognised
// by one look for every few hundred bytes.
//
// Rule: a sample is a hint and nothing rests on it; memory is the table's, fixed when it is made.

/** Bytes that the rolling hash sees. */
const WINDOW = 32
/** One sample for 2^8 bytes, unless there is more to remember than the table holds. */
const DENSEST = 8
const LARGEST_TABLE = 2 ** 21

// Any numbers do, as they need only agree within one run.
const GEAR = Int32Array.from({ length: 256 }, (_, at) => {
  let bits = Math.imul(at + 1, 0x9e3779b1)
  for (let turn = 0; turn < 3; turn++) bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b)
  return bits ^ (bits >>> 13)
})

/** Samples of one stretch of bytes: keys, and the offset of each. Good until the next are taken. */
export interface Samples {
  readonly count: number
  readonly keys: Uint32Array
  readonly offsets: Uint32Array
}

/** How many bits must be zero for one sample per so many bytes that the table holds them all. */
export function densityFor(bytes: number): number {
  let bits = DENSEST
  while (bytes / 2 ** bits > LARGEST_TABLE / 2) bits += 1
  return bits
}

let keys = new Uint32Array(4096)
let offsets = new Uint32Array(4096)

/** Takes the samples of `bytes`. */
export function samplesOf(bytes: Buffer, density: number): Samples {
  const shift = 32 - density
  const end = bytes.length - 3
  let hash = 0
  let count = 0
  let last = 0
  // Four at a time: the loop is all that it costs.
  for (let at = 0; at < end; at += 4) {
    hash = ((hash << 1) + GEAR[bytes[at]!]!) | 0
    const first = hash
    hash = ((hash << 1) + GEAR[bytes[at + 1]!]!) | 0
    const second = hash
    hash = ((hash << 1) + GEAR[bytes[at + 2]!]!) | 0
    const third = hash
    hash = ((hash << 1) + GEAR[bytes[at + 3]!]!) | 0
    const taken =
      first >>> shift === 0 ? 0 : second >>> shift === 0 ? 1 : third >>> shift === 0 ? 2 : 3
    if (taken === 3 && hash >>> shift !== 0) continue
    const place = at + taken
    if (place < WINDOW) continue
    const key = keyAt(bytes, place, [first, second, third, hash][taken]!)
    // A run of one pattern gives one sample, not thousands.
    if (key === last) continue
    last = key
    if (count === keys.length) grow()
    keys[count] = key
    offsets[count++] = place
  }
  return { count, keys, offsets }
}

// The rolling hash has its top bits in common with all samples; bytes of its window tell more.
function keyAt(bytes: Buffer, at: number, hash: number): number {
  const a = word(bytes, at - 30)
  const b = word(bytes, at - 17)
  const mixed = Math.imul(hash ^ Math.imul(a, 0x85ebca6b), 0x9e3779b1) ^ Math.imul(b, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0 || 1
}

const word = (bytes: Buffer, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

function grow(): void {
  const [longerKeys, longerOffsets] = [
    new Uint32Array(keys.length * 2),
    new Uint32Array(keys.length * 2),
  ]
  longerKeys.set(keys)
  longerOffsets.set(offsets)
  keys = longerKeys
  offsets = longerOffsets
}

/** Offsets are kept in units of this: up to 64 GiB of one origin. */
const UNIT = 16

/** Where samples were seen first. */
export class SampleTable {
  readonly #keys: Uint32Array
  readonly #origins: Uint32Array
  readonly #places: Uint32Array
  readonly #mask: number
  #left: number

  /** For about so many samples; never for more than the largest table holds. */
  constructor(samples: number) {
    let size = 4096
    while (size < samples * 2 && size < LARGEST_TABLE) size *= 2
    this.#keys = new Uint32Array(size)
    this.#origins = new Uint32Array(size)
    this.#places = new Uint32Array(size)
    this.#mask = size - 1
    this.#left = Math.floor(size * 0.7)
  }

  /** Adds the samples of a stretch that begins at `offset` of an origin. A full table takes no more. */
  add({ count, keys, offsets }: Samples, origin: number, offset: number): void {
    for (let at = 0; at < count && this.#left > 0; at++) {
      const slot = this.#slot(keys[at]!)
      if (this.#keys[slot] !== 0) continue
      this.#left -= 1
      this.#keys[slot] = keys[at]!
      this.#origins[slot] = origin
      this.#places[slot] = Math.floor((offset + offsets[at]!) / UNIT)
    }
  }

  /** Tells of each sample that was seen: its origin, and about where in it. */
  find({ count, keys }: Samples, found: (origin: number, offset: number) => void): void {
    for (let at = 0; at < count; at++) {
      const slot = this.#slot(keys[at]!)
      if (this.#keys[slot] !== 0) found(this.#origins[slot]!, this.#places[slot]! * UNIT)
    }
  }

  #slot(key: number): number {
    let slot = Math.imul(key, 0x9e3779b1) & this.#mask
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & this.#mask
    return slot
  }
}
