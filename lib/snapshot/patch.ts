// A patch for rebuilt programs: old and new code are aligned though all addresses in it differ,
// and what is stored is how much they differ by.
//
//   new   [ like old, at some distance ][ fresh ][ like old … ]        steps (align.ts)
//              ▲ words that differ: gap to the next, new − old
//
//   patch = version u32, 4 × { codec, length, stored, u32 each }, then the four streams:
//           steps    like, fresh, jump in the old bytes      varints
//           gaps     from one differing word to the next     varints, counted over `like` bytes
//           words    differences, 32 bits, the lowest bytes of all first, then the second, …
//           fresh    bytes that are in the new alone
//
// An inserted function moves all that follows, so few different words occur very often.
//
// Rule: a patch is hostile until read: nothing is read or written beside the two buffers, and no
// stream may be longer than what is to come out allows.

import { Cursor, ShortMessage, Writer } from '../base/cursor.ts'
import { BadFrame } from '../host/zstd.ts'
import { type Alignment, align } from './align.ts'
import { type Effort, pack, unpack } from './codec.ts'

const VERSION = 1
const STREAMS = 4
const HEADER = 4 + STREAMS * 12
const CODECS = ['raw', 'zstd', 'brotli'] as const

/** What turns `old` into `made`. */
export function makePatch(old: Buffer, made: Buffer, effort: Effort = 'quick'): Buffer {
  const steps = new Bytes()
  const fresh: Buffer[] = []
  const words = new Words(old, made)
  let at = 0
  let expected = 0
  for (const step of align(old, made)) {
    steps.varint(step.like)
    steps.varint(step.fresh)
    steps.varint(zigzag(step.from - expected))
    words.add(step, at)
    fresh.push(made.subarray(at + step.like, at + step.like + step.fresh))
    at += step.like + step.fresh
    expected = step.from + step.like
  }
  const streams = [steps.bytes(), words.gaps.bytes(), words.planes(), Buffer.concat(fresh)]
  return joined(streams.map((bytes) => packed(bytes, effort)))
}

interface Stream {
  readonly codec: (typeof CODECS)[number]
  readonly length: number
  readonly stored: Buffer
}

function packed(bytes: Buffer, effort: Effort): Stream {
  const { length } = bytes
  const { codec, frame } = pack(bytes, effort)
  return frame.length < length
    ? { codec, length, stored: frame }
    : { codec: 'raw', length, stored: bytes }
}

function joined(streams: readonly Stream[]): Buffer {
  const header = Buffer.alloc(HEADER)
  const out = new Writer(header)
  out.u32(VERSION)
  for (const { codec, length, stored } of streams) {
    out.u32(CODECS.indexOf(codec))
    out.u32(length)
    out.u32(stored.length)
  }
  return Buffer.concat([header, ...streams.map(({ stored }) => stored)])
}

/** Differences between aligned bytes, word by word. */
class Words {
  readonly gaps = new Bytes()
  readonly #old: Buffer
  readonly #made: Buffer
  #words = new Int32Array(1024)
  #count = 0
  /** Bytes since the last word. */
  #since = 0

  constructor(old: Buffer, made: Buffer) {
    this.#old = old
    this.#made = made
  }

  add({ from, like }: Alignment, at: number): void {
    const [old, made] = [this.#old, this.#made]
    for (let done = 0; done < like; ) {
      if (old[from + done] === made[at + done]) {
        done += 1
        this.#since += 1
        continue
      }
      const width = Math.min(4, like - done)
      const word = (wordOf(made, at + done, width) - wordOf(old, from + done, width)) | 0
      this.gaps.varint(this.#since)
      this.#push(word)
      this.#since = 0
      done += width
    }
  }

  /** All lowest bytes, then all second ones, and so on. */
  planes(): Buffer {
    const bytes = Buffer.allocUnsafe(this.#count * 4)
    for (let plane = 0; plane < 4; plane++) {
      const base = plane * this.#count
      for (let at = 0; at < this.#count; at++)
        bytes[base + at] = (this.#words[at]! >>> (plane * 8)) & 0xff
    }
    return bytes
  }

  #push(word: number): void {
    if (this.#count === this.#words.length) {
      const longer = new Int32Array(this.#words.length * 2)
      longer.set(this.#words)
      this.#words = longer
    }
    this.#words[this.#count++] = word
  }
}

function wordOf(bytes: Buffer, at: number, width: number): number {
  let word = 0
  for (let byte = 0; byte < width; byte++) word |= bytes[at + byte]! << (byte * 8)
  return word
}

/** Makes the new bytes in `into`, whose length they must have. Throws BadFrame. */
export function applyPatch(patch: Buffer, old: Buffer, into: Buffer): Buffer {
  try {
    const [steps, gaps, words, fresh] = streamsOf(patch, into.length)
    return new Patching(old, into, new Varints(gaps!), words!).run(new Varints(steps!), fresh!)
  } catch (cause) {
    if (cause instanceof ShortMessage) throw new BadFrame('a patch cut short', { cause })
    throw cause
  }
}

function streamsOf(patch: Buffer, size: number): Buffer[] {
  const cursor = new Cursor(patch)
  if (cursor.u32() !== VERSION) throw new BadFrame('a patch of another version')
  const heads = Array.from({ length: STREAMS }, () => ({
    codec: CODECS[cursor.u32()],
    length: cursor.u32(),
    stored: cursor.u32(),
  }))
  // A word of four bytes for each byte is more than any patch has.
  const most = size * 4 + 64
  let at = HEADER
  return heads.map(({ codec, length, stored }) => {
    const frame = patch.subarray(at, at + stored)
    at += stored
    if (frame.length !== stored || length > most) throw new BadFrame('a patch of no such size')
    if (codec === undefined) throw new BadFrame('a patch of an unknown codec')
    if (codec !== 'raw') return length === 0 ? frame.subarray(0, 0) : unpack(codec, frame, length)
    if (stored !== length) throw new BadFrame('a patch of no such size')
    return frame
  })
}

class Patching {
  readonly #old: Buffer
  readonly #into: Buffer
  readonly #gaps: Varints
  readonly #words: Buffer
  readonly #count: number
  #next = 0
  /** `like` bytes until the next word; Infinity after the last. */
  #until: number

  constructor(old: Buffer, into: Buffer, gaps: Varints, words: Buffer) {
    this.#old = old
    this.#into = into
    this.#gaps = gaps
    this.#words = words
    this.#count = words.length / 4
    this.#until = gaps.done ? Number.POSITIVE_INFINITY : gaps.next()
  }

  run(steps: Varints, fresh: Buffer): Buffer {
    let at = 0
    let from = 0
    let taken = 0
    while (!steps.done) {
      const like = steps.next()
      const more = steps.next()
      from += unzigzag(steps.next())
      if (from < 0 || from + like > this.#old.length) throw new BadFrame('a step beside the old')
      if (at + like + more > this.#into.length) throw new BadFrame('a step beside the new')
      if (taken + more > fresh.length) throw new BadFrame('a step without its bytes')
      this.#old.copy(this.#into, at, from, from + like)
      this.#change(at, like)
      fresh.copy(this.#into, at + like, taken, taken + more)
      at += like + more
      from += like
      taken += more
    }
    if (at !== this.#into.length)
      throw new BadFrame(`${at} bytes where ${this.#into.length} belong`)
    return this.#into
  }

  #change(at: number, like: number): void {
    let done = 0
    while (this.#until < like - done) {
      done += this.#until
      const width = Math.min(4, like - done)
      this.#addWord(at + done, width)
      done += width
      this.#until = this.#gaps.done ? Number.POSITIVE_INFINITY : this.#gaps.next()
    }
    this.#until -= like - done
  }

  #addWord(at: number, width: number): void {
    if (this.#next >= this.#count) throw new BadFrame('a patch without its words')
    let difference = 0
    for (let plane = 0; plane < 4; plane++)
      difference |= this.#words[plane * this.#count + this.#next]! << (plane * 8)
    this.#next += 1
    const word = (wordOf(this.#into, at, width) + difference) | 0
    for (let byte = 0; byte < width; byte++) this.#into[at + byte] = word >>> (byte * 8)
  }
}

const zigzag = (value: number): number => (value < 0 ? -value * 2 - 1 : value * 2)
const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2)

/** Bytes that grow. */
class Bytes {
  #bytes = Buffer.alloc(1024)
  #length = 0

  varint(value: number): void {
    if (this.#length + 8 > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2)
    let left = value
    for (; left >= 128; left = Math.floor(left / 128))
      this.#bytes[this.#length++] = (left % 128) | 128
    this.#bytes[this.#length++] = left
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}

class Varints {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  next(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new BadFrame('a patch cut short')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    throw new BadFrame('a number of no such size')
  }
}
