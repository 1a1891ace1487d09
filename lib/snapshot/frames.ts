// Frames of what hardly changes from state to state: whole, or as what differs from a whole one.
//
//   state 1   [whole] ◀────────┬───────────┐
//   state 2            [differs from it]   │
//   state 3                         [differs from it], until half of it differs: [whole]
//
// Rule: a frame rests on one that is whole, never on one that rests on another, so to read one takes
// two at most. Whoever keeps a frame keeps what it rests on.

import { BadFrame, compress, decompress, hasZstd } from '../host/zstd.ts'
import { type Codec, pack, unpack } from './codec.ts'
import { Damage, type Depot, type DepotReader, putChunks, readChunks } from './depot.ts'

export interface Frame {
  readonly codec: Codec
  readonly chunks: readonly string[]
  /** The whole frame that it rests on, and the bytes which that makes. */
  readonly on?: { readonly chunks: readonly string[]; readonly bytes: number } | undefined
}

/** The same thing as the state before has it. */
export interface Former {
  readonly frame: Frame
  readonly bytes: Buffer
  /** What its frame rests on, or it itself: its bytes, and how many its frame takes. */
  readonly whole: { readonly bytes: Buffer; readonly stored: number }
}

/** Less is not worth a frame that rests on another. */
const SMALLEST = 1024
/** More is not compressed against anything. */
const LARGEST = 32 * 1024 * 1024

/** Stores bytes; those that the state before has too are not stored again. */
export async function putFrame(depot: Depot, bytes: Buffer, former: Former | null): Promise<Frame> {
  if (former?.bytes.equals(bytes)) return former.frame
  if (former?.whole.bytes.equals(bytes)) return wholeOf(former)
  const differing = former === null ? null : against(former, bytes)
  if (differing !== null) {
    const { chunks } = wholeOf(former!)
    const on = { chunks, bytes: former!.whole.bytes.length }
    return { codec: 'zstd', chunks: await putChunks(depot, differing), on }
  }
  const { codec, frame } = pack(bytes)
  return { codec, chunks: await putChunks(depot, frame) }
}

const wholeOf = ({ frame }: Former): Frame => ({
  codec: frame.codec,
  chunks: frame.on?.chunks ?? frame.chunks,
})

/** Null where half of it or more differs. */
function against({ whole }: Former, bytes: Buffer): Buffer | null {
  if (bytes.length < SMALLEST || bytes.length + whole.bytes.length > LARGEST) return null
  const frame = compress(bytes, { prefix: whole.bytes })
  return frame.length * 2 < whole.stored ? frame : null
}

/** The bytes of a frame. Throws Damage. */
export async function readFrame(depot: DepotReader, frame: Frame, size: number): Promise<Buffer> {
  return (await readFormer(depot, frame, size)).bytes
}

/** The same, and what they rest on. Throws Damage. */
export async function readFormer(depot: DepotReader, frame: Frame, size: number): Promise<Former> {
  const { codec, chunks, on } = frame
  if (on !== undefined && on.bytes > LARGEST) throw new Damage('a frame of impossible size')
  const [stored, below] = await Promise.all([
    readChunks(depot, chunks),
    on === undefined ? null : readChunks(depot, on.chunks),
  ])
  if (on === undefined || below === null) {
    const bytes = checked(() => unpack(codec, stored, size))
    return { frame, bytes, whole: { bytes, stored: stored.length } }
  }
  const whole = checked(() => unpack('zstd', below, on.bytes))
  const bytes = checked(() => decompress(stored, size, whole))
  return { frame, bytes, whole: { bytes: whole, stored: below.length } }
}

function checked(read: () => Buffer): Buffer {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof BadFrame) throw new Damage(cause.message, { cause })
    throw cause
  }
}

/** The same, where it can be read and a new frame may rest on it. */
export async function formerOrNull(
  depot: DepotReader,
  frame: Frame,
  size: number,
): Promise<Former | null> {
  if (frame.codec !== 'zstd' || !hasZstd()) return null
  try {
    return await readFormer(depot, frame, size)
  } catch (err) {
    if (err instanceof Damage) return null
    throw err
  }
}
