// Plain compression: zstd where the system has its library, else brotli of node:zlib.
//
//   pack(bytes) ─▶ { codec, frame }      unpack(codec, frame, size) ─▶ bytes
//
// Rule: the codec is named in the record, so that a state made on one machine is read on another;
// the reader says how long the bytes must be, and nothing longer is ever made.

import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib'
import { BadFrame, type CompressOptions, compress, decompress, hasZstd } from '../host/zstd.ts'

export type Codec = 'zstd' | 'brotli'

export interface Packed {
  readonly codec: Codec
  readonly frame: Buffer
}

/** How hard to try: at once, or later, when time costs nothing. */
export type Effort = 'quick' | 'best'

/** `room`: of zstd's `compress`. */
export function pack(
  bytes: Buffer,
  effort: Effort = 'quick',
  { room }: Pick<CompressOptions, 'room'> = {},
): Packed {
  return hasZstd()
    ? { codec: 'zstd', frame: compress(bytes, { level: effort === 'quick' ? 3 : 17, room }) }
    : { codec: 'brotli', frame: brotli(bytes, effort === 'quick' ? 4 : 9) }
}

const brotli = (bytes: Buffer, quality: number): Buffer =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  })

/** The bytes of a frame; at the begin of `into` where the codec can. Throws BadFrame, SVS_ZSTD_MISSING. */
export function unpack(
  codec: Codec,
  frame: Buffer,
  size: number,
  into: Buffer | null = null,
): Buffer {
  return codec === 'zstd' ? decompress(frame, size, null, into) : unbrotli(frame, size)
}

function unbrotli(frame: Buffer, size: number): Buffer {
  const bytes = unbrotliWithin(frame, Math.max(1, size))
  if (bytes.length !== size) throw new BadFrame(`${bytes.length} bytes where ${size} belong`)
  return bytes
}

function unbrotliWithin(frame: Buffer, size: number): Buffer {
  try {
    return brotliDecompressSync(frame, { maxOutputLength: size })
  } catch (cause) {
    throw new BadFrame(`brotli: ${(cause as Error).message}`, { cause })
  }
}
