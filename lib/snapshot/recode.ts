// Storing programs better, later: what a snapshot stored in a hurry becomes a patch that knows
// how rebuilt code differs (patch.ts).
//
//   state ─▶ contents that are programs ─▶ part by part: patch of the same references
//                                             └─ smaller? proved? ─▶ chunks, then the record
//
// A content is named by what it makes, so nothing that refers to it changes. The former chunks are
// garbage then (gc.ts).
//
// Rule: a record is replaced in one batch, after its chunks, and only by one that was tried out; so
// a crash leaves the former or the new. References stay the same, so no chain grows.

import { Failure } from '../base/failure.ts'
import type { RelPath } from '../base/path.ts'
import type { Catalogue } from './catalogue.ts'
import { openContent } from './content.ts'
import { windowFor } from './delta.ts'
import { Damage, type Depot, putChunks, sha256 } from './depot.ts'
import { isProgram } from './file-store.ts'
import type { Report } from './jobs.ts'
import type { OpenContent } from './making.ts'
import type { Stretch } from './origins.ts'
import { applyPatch, makePatch } from './patch.ts'
import { openLower } from './readable.ts'
import type { Content, Part, Piece, Reference, SnapshotRecord } from './records.ts'
import { scratch } from './scratch.ts'
import { Shelf } from './shelf.ts'
import type { Sources } from './sources.ts'
import { runJob } from './thread.ts'
import { readTree } from './tree.ts'

/** Smaller ones lie packed with others. */
const SMALLEST = 32 * 1024
/** What a part is aligned with, at most. */
const MOST_OLD = 64 * 1024 * 1024

export interface RecodeJob {
  readonly pieces: readonly Piece[]
  readonly scope: string
  readonly ro: readonly string[]
  readonly temporary: string
  /** Milliseconds after which nothing more is begun; null for as long as it takes. */
  readonly budget: number | null
}

export interface Recoded {
  /** Programs that were looked at, and those that are smaller now. */
  readonly programs: number
  readonly recoded: number
  /** Bytes that gc can free. */
  readonly saved: number
  /** True where the budget was used up before the end. */
  readonly unfinished: boolean
}

/** In a snapshot thread. */
export async function recode(job: RecodeJob, depot: Depot, report: Report): Promise<Recoded> {
  const sources: Sources = { ...job, depot }
  const shelf = new Shelf(sources)
  const end = job.budget === null ? Number.POSITIVE_INFINITY : Date.now() + job.budget
  const seen = new Set<string>()
  let [programs, recoded, saved] = [0, 0, 0]
  try {
    for await (const { entry } of readTree(depot, job.pieces)) {
      const { path, content, size = 0 } = entry
      if (content === undefined || size < SMALLEST || seen.has(content)) continue
      if (Date.now() >= end) return { programs, recoded, saved, unfinished: true }
      seen.add(content)
      const less = await recodeContent(sources, shelf, content, path)
      if (less === null) continue
      programs += 1
      if (less > 0) recoded += 1
      saved += less
      report({ entries: programs, bytes: saved })
    }
    return { programs, recoded, saved, unfinished: false }
  } finally {
    shelf.close()
  }
}

/** Bytes that were saved; null for what is no program, or cannot be read. */
async function recodeContent(
  sources: Sources,
  shelf: Shelf,
  id: string,
  path: RelPath,
): Promise<number | null> {
  const { depot, scope } = sources
  const content = await depot.content(scope, id)
  if (content === null || !content.parts.some(isOrdinary)) return null
  const made = await openOrNull(sources, id)
  if (made === null) return null
  try {
    await made.prepare(0, Math.min(made.size, 4096))
    const read = (into: Buffer, offset: number) => made.read(into, offset)
    if (!isProgram({ size: made.size, holes: [], read })) return null
    const renewed = await recodeParts(sources, shelf, content, made, path)
    const less = content.stored - renewed.stored
    if (less <= 0) return 0
    await (depot as Depot).putContent(scope, id, renewed)
    return less
  } finally {
    made.close()
  }
}

const isOrdinary = ({ codec, frame, length }: Part): boolean =>
  codec !== 'hole' &&
  codec !== 'slice' &&
  codec !== 'patch' &&
  codec !== 'over' &&
  (frame ?? length) === length

// verify says of damage what it hurts; here it is only left as it is.
async function openOrNull(sources: Sources, id: string): Promise<OpenContent | null> {
  try {
    return await openContent(sources, id)
  } catch (err) {
    if (err instanceof Damage || (err instanceof Error && 'code' in err)) return null
    throw err
  }
}

async function recodeParts(
  sources: Sources,
  shelf: Shelf,
  content: Content,
  made: OpenContent,
  path: RelPath,
): Promise<Content> {
  const parts: Part[] = []
  let stored = content.stored
  let at = 0
  for (const part of content.parts) {
    const better = isOrdinary(part) ? await betterPart(sources, shelf, part, made, at, path) : null
    parts.push(better?.part ?? part)
    stored -= better?.less ?? 0
    at += part.length
  }
  return { ...content, stored, parts }
}

async function betterPart(
  sources: Sources,
  shelf: Shelf,
  part: Part,
  made: OpenContent,
  at: number,
  path: RelPath,
): Promise<{ part: Part; less: number } | null> {
  const references = part.references ?? lowerOf(sources, path, made.size, at, part.length)
  const old = await oldBytes(shelf, references)
  if (old === null) return null
  const before = await storedBytes(sources, part)
  await made.prepare(at, part.length)
  // Read after the last wait: what is referred to may have used the same memory.
  const bytes = scratch('unit', part.length)
  made.read(bytes, at)
  const patch = makePatch(old, bytes, 'best')
  if (patch.length >= before) return null
  if (!applyPatch(patch, old, scratch('part', part.length)).equals(bytes)) return null
  const chunks = await putChunks(sources.depot as Depot, patch)
  const digested = references.map((reference) => withDigest(reference, references, old))
  const { codec: _, ...rest } = part
  return {
    part: { ...rest, codec: 'patch', chunks, references: digested },
    less: before - patch.length,
  }
}

async function oldBytes(shelf: Shelf, references: readonly Reference[]): Promise<Buffer | null> {
  const length = references.reduce((sum, reference) => sum + reference.length, 0)
  if (length === 0 || length > MOST_OLD) return null
  const old = scratch('window', length)
  let at = 0
  for (const reference of references) {
    const stretch = { ...reference, depth: 0 } as Stretch
    if (!(await shelf.read(stretch, old.subarray(at, at + reference.length)))) return null
    at += reference.length
  }
  return old
}

/** Stored without any reference: the file below may serve after all. */
function lowerOf(
  { scope, ro }: Sources,
  path: RelPath,
  size: number,
  at: number,
  length: number,
): Reference[] {
  const file = scope === '' ? null : openLower(ro, path)
  if (file === null) return []
  file.close()
  const window = windowFor(at, length, size, file.size, MOST_OLD)
  return [{ source: 'ro', path, ...window, digest: '' }]
}

function withDigest(reference: Reference, all: readonly Reference[], old: Buffer): Reference {
  if (reference.source !== 'ro' || reference.digest !== '' || all.length > 1) return reference
  return { ...reference, digest: sha256(old) }
}

async function storedBytes({ depot }: Sources, { chunks = [] }: Part): Promise<number> {
  let bytes = 0
  for (const id of chunks) bytes += (await depot.chunk(id))?.length ?? 0
  return bytes
}

export interface RecodeState extends Pick<RecodeJob, 'ro' | 'temporary' | 'budget'> {
  readonly catalogue: Catalogue
  readonly snapshot: SnapshotRecord
  readonly onProgress?: (programs: number) => void
}

/** Stores the programs of a state better. Throws SVS_DISK_FULL, SVS_STATE_NOT_FOUND. */
export async function recodeState(options: RecodeState): Promise<Recoded> {
  const { catalogue, snapshot, ro, temporary, budget, onProgress } = options
  const held = await catalogue.hold(snapshot)
  if (held === null) throw new Failure('SVS_STATE_NOT_FOUND', snapshot.id, snapshot.layer)
  const writer = await catalogue.writer()
  try {
    const job = { pieces: held.pieces, scope: snapshot.ro.digest, ro, temporary, budget }
    const done = await runJob('recode', job, writer, ({ entries }) => onProgress?.(entries))
    await writer.flush()
    return done
  } finally {
    writer.end()
    held.release()
  }
}
