// Zstandard through the system's libzstd: frames that may refer to a prefix, which is how a
// changed file becomes a small delta against the one before it.
//
//   compress(target, { prefix: reference }) ─▶ frame
//   decompress(frame, size, reference)      ─▶ target
//
// Rule: the reader says how long the content must be. A frame that claims anything else is
// refused before a byte is allocated for it, so a hostile one cannot fill the memory.

import koffi from 'koffi'
import { Failure } from '../base/failure.ts'

/** Prefix and data together: what the window of a decoder reaches back over by default. */
export const LARGEST_WINDOW = 128 * 1024 * 1024

/** A frame that is damaged, or is not what its reader was told. */
export class BadFrame extends Error {
  override name = 'BadFrame'
}

// ZSTD_cParameter and ZSTD_ResetDirective of zstd.h
const COMPRESSION_LEVEL = 100
const WINDOW_LOG = 101
const HASH_LOG = 102
const CHAIN_LOG = 103
const LONG_DISTANCE = 160
const SHORTEST_LONG_MATCH = 162
const RESET_ALL = 3

/** Of data of this size on it is asked first whether compressing it is worth large tables. */
const PROBED = 1024 * 1024
/** Stretches that are compressed to know it: so many, of so many bytes. */
const PROBES = 4
const PROBE = 16 * 1024
/** What saves less than this part of the probes is nearly random. */
const WORTH = 8
/** Tables that stay in the fastest memory: what there is to find is near. */
const SMALL_TABLES = 12

/** From this level on the library's own tables are large enough. */
const HIGH_LEVEL = 10
const LARGEST_TABLE = 18

type Call = (...args: unknown[]) => number

interface Zstd {
  readonly bound: Call
  readonly setParameter: Call
  readonly reset: Call
  readonly refPrefix: Call
  readonly compress: Call
  readonly decoderReset: Call
  readonly decoderRefPrefix: Call
  readonly decompress: Call
  readonly contentSize: Call
  readonly encoder: unknown
  readonly decoder: unknown
}

let loaded: Zstd | null = null

// Sizes are declared signed: the library's error codes are the top of size_t, so negative here.
function zstd(): Zstd {
  if (loaded !== null) return loaded
  const library = open()
  const declare = (prototype: string): Call => library.func(prototype) as unknown as Call
  loaded = {
    bound: declare('int64_t ZSTD_compressBound(size_t size)'),
    setParameter: declare('int64_t ZSTD_CCtx_setParameter(void *context, int name, int value)'),
    reset: declare('int64_t ZSTD_CCtx_reset(void *context, int what)'),
    refPrefix: declare('int64_t ZSTD_CCtx_refPrefix(void *context, const void *p, size_t size)'),
    compress: declare(
      'int64_t ZSTD_compress2(void *context, void *to, size_t room, const void *from, size_t size)',
    ),
    decoderReset: declare('int64_t ZSTD_DCtx_reset(void *context, int what)'),
    decoderRefPrefix: declare(
      'int64_t ZSTD_DCtx_refPrefix(void *context, const void *p, size_t size)',
    ),
    decompress: declare(
      'int64_t ZSTD_decompressDCtx(void *context, void *to, size_t room, const void *from, size_t size)',
    ),
    contentSize: declare('int64_t ZSTD_getFrameContentSize(const void *from, size_t size)'),
    encoder: library.func('void *ZSTD_createCCtx(void)')(),
    decoder: library.func('void *ZSTD_createDCtx(void)')(),
  }
  return loaded
}

/** False where the library is missing, or where SVSFS_ZSTD=off says to do without it. */
export function hasZstd(): boolean {
  try {
    zstd()
    return true
  } catch (err) {
    if (err instanceof Failure) return false
    throw err
  }
}

function open(): ReturnType<typeof koffi.load> {
  try {
    if (process.env.SVSFS_ZSTD === 'off') throw new Error('SVSFS_ZSTD=off')
    return koffi.load('libzstd.so.1')
  } catch (cause) {
    throw new Failure('SVS_ZSTD_MISSING', { cause })
  }
}

export interface CompressOptions {
  readonly level?: number
  /** Bytes that the frame may refer to; the reader needs the very same. */
  readonly prefix?: Buffer | null
  /** Makes room for the frame, which is a part of it then: good until that is used again. */
  readonly room?: ((bytes: number) => Buffer) | undefined
}

const EMPTY = Buffer.alloc(1)
/** Where frames are made before they are copied out; kept, because fresh memory is slow to touch. */
let room = Buffer.alloc(0)

/** One frame that holds `data`. Prefix and data together are at most LARGEST_WINDOW. */
export function compress(data: Buffer, options: CompressOptions = {}): Buffer {
  const { level = 3, prefix = null } = options
  const reach = data.length + (prefix?.length ?? 0)
  if (reach > LARGEST_WINDOW) throw new TypeError(`${reach} bytes do not fit one window`)
  const z = zstd()
  checked(z.reset(z.encoder, RESET_ALL))
  checked(z.setParameter(z.encoder, COMPRESSION_LEVEL, level))
  if (prefix !== null && prefix.length > 0) {
    checked(z.setParameter(z.encoder, WINDOW_LOG, windowLog(reach)))
    // Tables large enough to find again what the whole window holds.
    if (level < HIGH_LEVEL) {
      const tables = Math.min(LARGEST_TABLE, windowLog(reach) - 2)
      checked(z.setParameter(z.encoder, HASH_LOG, Math.max(tables, 12)))
      checked(z.setParameter(z.encoder, CHAIN_LOG, Math.max(tables - 1, 12)))
    }
    checked(z.setParameter(z.encoder, LONG_DISTANCE, 1))
    checked(z.setParameter(z.encoder, SHORTEST_LONG_MATCH, 32))
    checked(z.refPrefix(z.encoder, prefix, prefix.length))
  } else if (level < HIGH_LEVEL && data.length >= PROBED && isNearlyRandom(data)) {
    checked(z.reset(z.encoder, RESET_ALL))
    checked(z.setParameter(z.encoder, COMPRESSION_LEVEL, level))
    checked(z.setParameter(z.encoder, HASH_LOG, SMALL_TABLES))
    checked(z.setParameter(z.encoder, CHAIN_LOG, SMALL_TABLES))
  }
  return framed(z, data, options.room)
}

function framed(z: Zstd, data: Buffer, given: CompressOptions['room']): Buffer {
  const most = checked(z.bound(data.length))
  const into = given === undefined ? ownRoom(most) : given(most)
  const from = data.length === 0 ? EMPTY : data
  const length = checked(z.compress(z.encoder, into, into.length, from, data.length))
  const frame = into.subarray(0, length)
  return given === undefined ? Buffer.from(frame) : frame
}

function ownRoom(most: number): Buffer {
  if (room.length < most) room = Buffer.allocUnsafeSlow(most)
  return room
}

/** True for what hardly compresses: pictures, packed archives, databases of such. */
function isNearlyRandom(data: Buffer): boolean {
  const step = Math.floor((data.length - PROBE) / (PROBES - 1))
  for (let probe = 0; probe < PROBES; probe++) {
    const some = data.subarray(probe * step, probe * step + PROBE)
    if (compress(some, { level: 1 }).length < PROBE - PROBE / WORTH) return false
  }
  return true
}

/**
 * The content of a frame, which must be `size` bytes long; at the begin of `into` where that is
 * given and long enough. Throws BadFrame.
 */
export function decompress(
  frame: Buffer,
  size: number,
  prefix: Buffer | null = null,
  into: Buffer | null = null,
): Buffer {
  const z = zstd()
  if (frame.length === 0) throw new BadFrame('empty frame')
  const claimed = z.contentSize(frame, frame.length)
  if (claimed !== size) throw new BadFrame(`frame of ${claimed} bytes where ${size} belong`)
  checked(z.decoderReset(z.decoder, RESET_ALL))
  if (prefix !== null && prefix.length > 0)
    checked(z.decoderRefPrefix(z.decoder, prefix, prefix.length))
  const place = into !== null && into.length >= size ? into : Buffer.allocUnsafeSlow(size || 1)
  const length = checked(z.decompress(z.decoder, place, size, frame, frame.length))
  if (length !== size) throw new BadFrame(`${length} bytes where ${size} belong`)
  return place.subarray(0, size)
}

// The decoder accepts up to 2^27 by itself; below 2^10 there is no window.
const windowLog = (reach: number): number =>
  Math.min(27, Math.max(10, Math.ceil(Math.log2(reach + 1))))

function checked(value: number): number {
  if (value < 0) throw new BadFrame(`zstd error ${-value}`)
  return value
}
