// Where contents and chunks are got from and put to: the catalogue, or, in a snapshot
// thread, its stand-in that asks the main thread.
//
//   encoder ── putChunk, putContent ─▶ Depot ◀─ chunk, content ── decoder
//
// Rule: bytes from a depot are not trusted; `readChunk` compares them with their name.

import { hash } from 'node:crypto'
import type { Content } from './records.ts'

/** Largest value in the catalogue; a longer frame is cut into several chunks. */
export const LARGEST_CHUNK = 1024 * 1024

export interface DepotReader {
  /** The stored bytes, or null where there is no such chunk. */
  chunk(id: string): Promise<Buffer | null>
  /** How to make a content kept under the read-only sublayer `scope`, or null. */
  content(scope: string, id: string): Promise<Content | null>
}

export interface Depot extends DepotReader {
  /** Stores a chunk under its SHA-256. The bytes may be taken away from the caller. */
  putChunk(id: string, bytes: Buffer): Promise<void>
  putContent(scope: string, id: string, content: Content): Promise<void>
}

export const sha256 = (bytes: Buffer): string => hash('sha256', bytes)

/** Something that the catalogue should hold is absent or altered. Where it matters is added by callers. */
export class Damage extends Error {
  override name = 'Damage'
}

/** A chunk, held against its name. Throws Damage. */
export async function readChunk(depot: DepotReader, id: string): Promise<Buffer> {
  const bytes = await depot.chunk(id)
  if (bytes === null) throw new Damage(`chunk ${id.slice(0, 16)} is missing`)
  if (sha256(bytes) !== id) throw new Damage(`chunk ${id.slice(0, 16)} is altered`)
  return bytes
}

/** Chunks of one frame, joined. Throws Damage. */
export async function readChunks(depot: DepotReader, ids: readonly string[]): Promise<Buffer> {
  if (ids.length === 1) return readChunk(depot, ids[0]!)
  return Buffer.concat(await Promise.all(ids.map((id) => readChunk(depot, id))))
}

/** Cuts a frame into chunks and stores them. Returns their names. */
export async function putChunks(depot: Depot, bytes: Buffer): Promise<string[]> {
  const ids: string[] = []
  for (let at = 0; at < bytes.length; at += LARGEST_CHUNK) {
    // Copied out: chunks travel between threads by giving their memory away.
    const part = Buffer.allocUnsafeSlow(Math.min(LARGEST_CHUNK, bytes.length - at))
    bytes.copy(part, 0, at)
    const id = sha256(part)
    ids.push(id)
    await depot.putChunk(id, part)
  }
  return ids
}
