// The table of a state's pieces, as it lies under `tree/<state>`: compressed JSON.
//
//   1 byte codec ('z' zstd, 'b' brotli), u32 length of the JSON, its SHA-256, the frame
//   [{…}, …]                                             states of earlier versions: JSON as it is
//
// Rule: what cannot be read is SVS_CATALOGUE_DAMAGED and names the key. A table rests on no other: a
// state is found without any other state.

import { createHash } from 'node:crypto'
import { Failure } from '../base/failure.ts'
import { BadFrame } from '../host/zstd.ts'
import { pack, unpack } from './codec.ts'
import { decode } from './key-value.ts'
import { type Piece, pieces } from './records.ts'

const HEADER = 37
/** Larger ones are never written. */
const LARGEST = 512 * 1024 * 1024

const hashOf = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

export function packTable(list: readonly Piece[]): Buffer {
  const json = Buffer.from(JSON.stringify(list))
  const { codec, frame } = pack(json)
  const header = Buffer.alloc(5)
  header.write(codec === 'zstd' ? 'z' : 'b')
  header.writeUInt32LE(json.length, 1)
  return Buffer.concat([header, hashOf(json), frame])
}

/** The pieces under the key `at`. Throws SVS_CATALOGUE_DAMAGED. */
export function readTable(value: Buffer, at: string): Piece[] {
  if (value[0] === 0x5b) return decode(pieces, value, at)
  const codec = value.latin1Slice(0, 1)
  if ((codec !== 'z' && codec !== 'b') || value.length <= HEADER)
    throw new Failure('SVS_CATALOGUE_DAMAGED', at, 'no table')
  const size = value.readUInt32LE(1)
  const json = unpacked(codec === 'z' ? 'zstd' : 'brotli', value.subarray(HEADER), size, at)
  if (!hashOf(json).equals(value.subarray(5, HEADER)))
    throw new Failure('SVS_CATALOGUE_DAMAGED', at, 'its bytes are others')
  return decode(pieces, json, at)
}

function unpacked(codec: 'zstd' | 'brotli', frame: Buffer, size: number, at: string): Buffer {
  try {
    if (size > LARGEST) throw new BadFrame('a table of impossible size')
    return unpack(codec, frame, size)
  } catch (cause) {
    if (!(cause instanceof BadFrame)) throw cause
    throw new Failure('SVS_CATALOGUE_DAMAGED', at, cause.message, { cause })
  }
}
