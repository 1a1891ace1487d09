// Foreign bytes: one bounds-checked reader, and one writer, for kernel messages and for
// every binary record of ours. Little-endian, as both supported machines are.
//
// Rule: too short is `ShortMessage`, an error of ours; a size field never decides how much
// is allocated. Both are made once and reset for each message, so that a request costs
// no allocation here.

declare global {
  // Part of Node's Buffer since its beginning and faster than toString('latin1'); not in its types.
  interface Buffer<TArrayBuffer extends ArrayBufferLike> {
    latin1Slice(start?: number, end?: number): string
    latin1Write(text: string, offset?: number): number
  }
}

/** A message that ends before its fields do, or a field that cannot be. */
export class ShortMessage extends Error {
  override name = 'ShortMessage'
}

const HIGH = 0x1_0000_0000
/** Up to this length a loop is faster than a call into Node. */
const SHORT = 32
/** Names that were read, by length and last byte: of all cursors, which share nothing else. */
const names: string[] = Array.from({ length: 64 }, () => '')

const viewOf = ({ buffer, byteOffset, length }: Buffer) => new DataView(buffer, byteOffset, length)

export class Cursor {
  #bytes: Buffer
  #view: DataView
  #at = 0
  #end: number
  /** What `take` answered last, and where it begins: requests of one kind ask for the same again and again. */
  #taken: Buffer
  #takenAt = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#end = bytes.length
    this.#taken = bytes
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  /** Other bytes to read, from the next `reset` on. */
  set bytes(bytes: Buffer) {
    if (bytes === this.#bytes) return
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#taken = bytes
    this.#takenAt = 0
  }

  /** Reads `bytes[start, end)` from here on. Throws ShortMessage where that is not within. */
  reset(start: number, end: number): this {
    if (start < 0 || end < start || end > this.#bytes.length)
      throw new ShortMessage('no such range')
    this.#at = start
    this.#end = end
    return this
  }

  get at(): number {
    return this.#at
  }

  get left(): number {
    return this.#end - this.#at
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  i32(): number {
    return this.u32() | 0
  }

  /** Unsigned 64 bits as a number: exact below 2^53, the nearest double above. */
  u64(): number {
    const low = this.u32()
    return low + this.u32() * HIGH
  }

  /** Signed 64 bits as a number. */
  i64(): number {
    const low = this.u32()
    return low + this.i32() * HIGH
  }

  skip(count: number): void {
    this.#take(count)
  }

  /** The next `count` bytes, without copying them. */
  take(count: number): Buffer {
    const at = this.#take(count)
    if (at !== this.#takenAt || count !== this.#taken.length) {
      this.#taken = this.#bytes.subarray(at, at + count)
      this.#takenAt = at
    }
    return this.#taken
  }

  /** Bytes up to the next NUL, which is skipped, as latin1 text. */
  name(): string {
    const end = this.#terminator()
    if (end === -1 || end >= this.#end) throw new ShortMessage('name without terminator')
    const name = this.#nameTo(end)
    this.#at = end + 1
    return name
  }

  // A name that is looked up is made, renamed or removed next, attributes are asked for by the same few
  // names: the string of before is at hand, and its hash is known.
  #nameTo(end: number): string {
    const at = this.#at
    const length = end - at
    if (length === 0 || length > SHORT) return this.#bytes.latin1Slice(at, end)
    const place = (this.#bytes[end - 1]! + length * 8) % names.length
    const known = names[place]!
    if (known.length === length && this.#says(known)) return known
    const name = this.#bytes.latin1Slice(at, end)
    names[place] = name
    return name
  }

  // From its end: names of one kind begin alike.
  #says(name: string): boolean {
    for (let i = name.length - 1; i >= 0; i--) {
      if (this.#bytes[this.#at + i] !== name.charCodeAt(i)) return false
    }
    return true
  }

  // Most names are short, and a call into Node costs more than looking.
  #terminator(): number {
    const bytes = this.#bytes
    const near = Math.min(this.#at + SHORT, this.#end)
    for (let at = this.#at; at < near; at++) if (bytes[at] === 0) return at
    return near === this.#end ? -1 : bytes.indexOf(0, near)
  }

  #take(count: number): number {
    const at = this.#at
    if (count > this.#end - at) throw new ShortMessage(`need ${count} bytes at ${at}`)
    this.#at = at + count
    return at
  }
}

/** Fills a buffer that somebody else owns. Throws ShortMessage when it is full. */
export class Writer {
  readonly bytes: Buffer
  readonly #view: DataView
  #at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.#view = viewOf(bytes)
  }

  get at(): number {
    return this.#at
  }

  set at(value: number) {
    if (value < 0 || value > this.bytes.length) throw new ShortMessage(`no byte ${value}`)
    this.#at = value
  }

  u16(value: number): void {
    this.#view.setUint16(this.#need(2), value, true)
  }

  u32(value: number): void {
    this.#view.setUint32(this.#need(4), value, true)
  }

  /** Any safe integer; negative ones in two's complement. */
  u64(value: number): void {
    const at = this.#need(8)
    const high = Math.floor(value / HIGH)
    this.#view.setUint32(at, value - high * HIGH, true)
    this.#view.setUint32(at + 4, high, true)
  }

  put(bytes: Buffer): void {
    const at = this.#need(bytes.length)
    bytes.copy(this.bytes, at)
  }

  /** The bytes of a latin1 name, without a terminator. Returns how many. */
  name(name: string): number {
    const at = this.#need(name.length)
    return this.bytes.latin1Write(name, at)
  }

  zeros(count: number): void {
    const at = this.#need(count)
    this.bytes.fill(0, at, at + count)
  }

  #need(count: number): number {
    const at = this.#at
    if (count > this.bytes.length - at)
      throw new ShortMessage(`no room for ${count} bytes at ${at}`)
    this.#at = at + count
    return at
  }
}
