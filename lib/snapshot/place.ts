// What lies under `chunk/<sha256>` for a chunk whose bytes lie elsewhere (chunks.ts): its place.
//
//   8 bytes mark, u64 number of its value, u32 length of the chunk
//
// Rule: whoever stores chunks stores none under its digest that has this form: so a place is told
// from bytes by looking at it.

import { key } from './keys.ts'

export interface Place {
  /** Of its value, among all values. */
  readonly number: number
  /** Bytes of the chunk. */
  readonly length: number
}

const MARK = Buffer.from('\0svs at\0', 'latin1')
const BYTES = 20

export function placeBytes({ number, length }: Place): Buffer {
  const bytes = Buffer.alloc(BYTES)
  MARK.copy(bytes)
  bytes.writeBigUInt64LE(BigInt(number), 8)
  bytes.writeUInt32LE(length, 16)
  return bytes
}

/** Whether it looks like a place: such a chunk is never stored under its digest. */
export const isPlace = (bytes: Buffer): boolean =>
  bytes.length === BYTES && bytes.compare(MARK, 0, MARK.length, 0, MARK.length) === 0

/** The place that it is; null for a chunk's own bytes. */
export function placeIn(bytes: Buffer): Place | null {
  if (!isPlace(bytes)) return null
  return { number: Number(bytes.readBigUInt64LE(8)), length: bytes.readUInt32LE(16) }
}

/** The key of a value in the database of values. */
export const valueKey = (place: Place, chunk: string): string => key.value(place.number, chunk)
