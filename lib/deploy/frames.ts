// Frames: how two svsfs that talk over a pair of streams cut what they say into pieces.
//
//   "svsfs receive 1\n"          from the receiver, once; what a login prints before it is skipped
//   [length u32][kind u8][bytes] from then on, both ways
//
//     j  JSON          z  JSON, deflated          d  bytes
//
// Rule: a length is held against the limit of its kind before memory is given to it, and what is
// deflated never becomes longer than that limit. Whoever breaks a rule is not listened to any more.

import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { Failure } from '../base/failure.ts'

export const GREETING = 'svsfs receive 1\n'
/** What a shell may print before the receiver speaks. */
const MOST_BEFORE = 64 * 1024
/** Bytes of one frame of kind `d`: a chunk. */
export const LARGEST_PIECE = 1024 * 1024
/** JSON of a request, and of an answer, which may be a long list. */
export const LONGEST_REQUEST = 1024 * 1024
export const LONGEST_ANSWER = 64 * 1024 * 1024
/** Shorter texts do not become shorter. */
const WORTH_DEFLATING = 200

export type Frame =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'bytes'; readonly bytes: Buffer }

/** The other end does not speak as it must. */
export class BadSpeech extends Error {
  override name = 'BadSpeech'
}

/** Reads frames, one after the other. */
export class FrameReader {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #longest: number
  #held: Buffer[] = []
  #length = 0
  /** Bytes that came. */
  received = 0

  /** `longest`: of JSON, in bytes. */
  constructor(stream: Readable, longest: number) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    this.#longest = longest
  }

  /** Skips all before the greeting. Throws BadSpeech; false where the stream ends before it. */
  async greeted(): Promise<boolean> {
    const wanted = Buffer.from(GREETING)
    for (;;) {
      const all = this.#joined()
      const at = all.indexOf(wanted)
      if (at !== -1) {
        this.#take(at + wanted.length)
        return true
      }
      if (all.length > MOST_BEFORE) throw new BadSpeech('it does not greet')
      if (!(await this.#more())) return false
    }
  }

  /** The next one; null where the stream ends between two. Throws BadSpeech. */
  async next(): Promise<Frame | null> {
    const head = await this.#read(5)
    if (head === null) return null
    const length = head.readUInt32BE(0)
    const kind = String.fromCharCode(head[4]!)
    if (length > this.#mostOf(kind)) throw new BadSpeech(`a frame ${kind} of ${length} bytes`)
    const bytes = length === 0 ? Buffer.alloc(0) : await this.#read(length)
    if (bytes === null) throw new BadSpeech('it ends in the middle of a frame')
    return kind === 'd'
      ? { kind: 'bytes', bytes }
      : { kind: 'json', value: this.#json(kind, bytes) }
  }

  #mostOf(kind: string): number {
    if (kind === 'd') return LARGEST_PIECE
    if (kind === 'j' || kind === 'z') return this.#longest
    throw new BadSpeech('a frame of a kind that nobody knows')
  }

  #json(kind: string, bytes: Buffer): unknown {
    try {
      const text = kind === 'z' ? inflateRawSync(bytes, { maxOutputLength: this.#longest }) : bytes
      return JSON.parse(text.toString('utf8'))
    } catch (cause) {
      throw new BadSpeech('a frame that is no JSON, or too long', { cause })
    }
  }

  async #read(length: number): Promise<Buffer | null> {
    while (this.#length < length) {
      const before = this.#length
      if (await this.#more()) continue
      if (before === 0 && length === 5) return null
      throw new BadSpeech('it ends in the middle of a frame')
    }
    return this.#take(length)
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next()
    if (done === true) return false
    this.#held.push(value)
    this.#length += value.length
    this.received += value.length
    return true
  }

  #joined(): Buffer {
    if (this.#held.length !== 1) this.#held = [Buffer.concat(this.#held)]
    return this.#held[0]!
  }

  #take(length: number): Buffer {
    const all = this.#joined()
    this.#held = [all.subarray(length)]
    this.#length -= length
    return all.subarray(0, length)
  }
}

/** Writes frames; each call waits until the stream takes more. */
export class FrameWriter {
  readonly #stream: Writable
  readonly #longest: number
  readonly #failed: Promise<never>
  /** Bytes that were written. */
  sent = 0

  constructor(stream: Writable, longest: number) {
    this.#stream = stream
    this.#longest = longest
    this.#failed = new Promise((_, reject) => {
      stream.once('error', reject)
      stream.once('close', () => reject(new BadSpeech('nobody listens any more')))
    })
    // Whoever writes next is told.
    this.#failed.catch(() => {})
  }

  greet(): Promise<void> {
    return this.#write(Buffer.from(GREETING))
  }

  /** Throws SVS_BAD_REQUEST where it is longer than the other end reads. */
  async json(value: unknown): Promise<void> {
    const text = Buffer.from(JSON.stringify(value))
    if (text.length > this.#longest)
      throw new Failure('SVS_BAD_REQUEST', 'a message', `it has ${text.length} bytes`)
    if (text.length < WORTH_DEFLATING) return this.#frame('j', text)
    return this.#frame('z', deflateRawSync(text))
  }

  bytes(bytes: Buffer): Promise<void> {
    return this.#frame('d', bytes)
  }

  async #frame(kind: string, bytes: Buffer): Promise<void> {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(bytes.length, 0)
    head.write(kind, 4, 'latin1')
    this.#stream.cork()
    const writing = [this.#write(head), this.#write(bytes)]
    this.#stream.uncork()
    await Promise.all(writing)
  }

  async #write(bytes: Buffer): Promise<void> {
    this.sent += bytes.length
    if (this.#stream.write(bytes)) return
    await Promise.race([once(this.#stream, 'drain'), this.#failed])
  }
}
