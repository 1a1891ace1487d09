// Making the content of a file again from its parts, and the references that parts need.
//
//   Content ─▶ part: [prefix = references] + frame ─▶ bytes ─▶ sink(bytes, offset)
//
// A reference to another content is made first, as a whole: small ones in memory, larger ones
// in a nameless file, so that a chain of them costs disk, not memory.
//
// Rule: what comes out is hashed and must have the name it was asked by; until then it may
// not be shown to anybody. Memory is bounded by the largest window, whatever a record says.

import { Failure } from '../base/failure.ts'
import { type RelPath, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { BadFrame, decompress, LARGEST_WINDOW } from '../host/zstd.ts'
import { Damage, type DepotReader, readChunks, sha256 } from './depot.ts'
import { beginId, dataWithin, readFull } from './file-data.ts'
import type { Content, Part, Reference } from './records.ts'

/** Longest part, and longest frame: a record that claims more is damaged. */
export const LARGEST_PART = 32 * 1024 * 1024
/** Contents up to this size are references in memory. */
const IN_MEMORY = 32 * 1024 * 1024
/** Longer chains are not made, so a record that has one is damaged (or made to loop). */
export const DEEPEST = 16

/** Bytes at an offset of a reference, or of what becomes a file. */
export interface Readable {
  readonly size: number
  /** Fills `into` from `offset`. */
  read(into: Buffer, offset: number): void
  close(): void
}

/** What a content is made from, beside the depot. */
export interface Sources {
  readonly depot: DepotReader
  /** Digest of the read-only sublayer under which contents are kept. */
  readonly scope: string
  /** Its trees, top first; absolute. */
  readonly ro: readonly string[]
  /** A directory on a disk with room, for nameless files. */
  readonly temporary: string
}

/** Called with stretches of data in ascending order; holes are left out. */
export type Sink = (bytes: Buffer, offset: number) => void

/** Makes a content, and checks it. Returns its size. Throws Damage, SVS_RO_CHANGED. */
export async function makeContent(sources: Sources, id: string, sink: Sink): Promise<number> {
  return make(sources, id, sink, 0)
}

async function make(sources: Sources, id: string, sink: Sink, depth: number): Promise<number> {
  const content = await sources.depot.content(sources.scope, id)
  if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
  if (depth > DEEPEST) throw new Damage('a chain of contents without end')
  const holes = holesOfParts(content)
  const hash = beginId(content.size, holes)
  const opened = new Map<string, Readable>()
  try {
    let at = 0
    for (const part of content.parts) {
      if (part.codec !== 'hole') {
        const bytes = await makePart(sources, part, opened, depth)
        for (const { start, end } of dataWithin(part.holes ?? [], 0, part.length)) {
          const data = bytes.subarray(start, end)
          hash.update(data)
          sink(data, at + start)
        }
      }
      at += part.length
    }
    if (at !== content.size || hash.digest('hex') !== id)
      throw new Damage(`content ${id.slice(0, 16)} is not what its name says`)
    return content.size
  } finally {
    for (const source of opened.values()) source.close()
  }
}

function holesOfParts({ parts }: Content): number[] {
  const holes: number[] = []
  let at = 0
  for (const part of parts) {
    if (part.codec === 'hole') addHole(holes, at, part.length)
    const inside = part.holes ?? []
    for (let index = 0; index + 1 < inside.length; index += 2)
      addHole(holes, at + inside[index]!, inside[index + 1]!)
    at += part.length
  }
  return holes
}

// Two that meet are one hole of the file.
function addHole(holes: number[], offset: number, length: number): void {
  const last = holes.length - 2
  if (last >= 0 && holes[last]! + holes[last + 1]! === offset) holes[last + 1]! += length
  else holes.push(offset, length)
}

async function makePart(
  sources: Sources,
  part: Part,
  opened: Map<string, Readable>,
  depth: number,
): Promise<Buffer> {
  const frame = part.frame ?? part.length
  const skip = part.skip ?? 0
  if (frame > LARGEST_PART || skip + part.length > frame) throw new Damage('a part of no such size')
  const references = part.references ?? []
  for (const reference of references) await openReference(sources, reference, opened, depth)
  const stored = await readChunks(sources.depot, part.chunks ?? [])
  // Nothing waits from here on, so that the memory of one part serves all.
  const bytes =
    part.codec === 'raw' ? stored : unpack(stored, frame, makePrefix(references, opened))
  if (bytes.length !== frame) throw new Damage('a part of another length')
  return bytes.subarray(skip, skip + part.length)
}

function unpack(stored: Buffer, size: number, prefix: Buffer | null): Buffer {
  try {
    return decompress(stored, size, prefix, scratch('part', size))
  } catch (cause) {
    if (cause instanceof BadFrame) throw new Damage(cause.message, { cause })
    throw cause
  }
}

const kept = { part: Buffer.alloc(0), prefix: Buffer.alloc(0) }

/** Memory that is used again: fresh memory is slow to touch. Good until asked for again. */
export function scratch(use: keyof typeof kept, size: number): Buffer {
  if (kept[use].length < size) kept[use] = Buffer.allocUnsafeSlow(size)
  return kept[use].subarray(0, size)
}

function makePrefix(
  references: readonly Reference[],
  opened: ReadonlyMap<string, Readable>,
): Buffer | null {
  if (references.length === 0) return null
  const length = references.reduce((sum, reference) => sum + reference.length, 0)
  if (length > LARGEST_WINDOW) throw new Damage('references beyond any window')
  const prefix = scratch('prefix', length)
  let at = 0
  for (const reference of references) {
    const source = opened.get(nameOf(reference))!
    if (reference.offset + reference.length > source.size) throw changed(reference, 'it is shorter')
    const stretch = prefix.subarray(at, at + reference.length)
    source.read(stretch, reference.offset)
    if (reference.digest !== '' && sha256(stretch) !== reference.digest)
      throw changed(reference, 'its bytes differ')
    at += reference.length
  }
  return prefix
}

const nameOf = ({ content, path }: Reference): string => content ?? `/${path}`

function changed(reference: Reference, why: string): Error {
  if (reference.source === 'ro')
    return new Failure('SVS_RO_CHANGED', shown(reference.path ?? ''), why)
  return new Damage(`content ${reference.content?.slice(0, 16)}: ${why}`)
}

async function openReference(
  sources: Sources,
  reference: Reference,
  opened: Map<string, Readable>,
  depth: number,
): Promise<void> {
  if (opened.has(nameOf(reference))) return
  const source =
    reference.source === 'ro'
      ? openLower(sources.ro, reference.path)
      : await openContent(sources, reference.content ?? '', depth + 1)
  if (source === null) throw changed(reference, 'it is missing')
  opened.set(nameOf(reference), source)
}

/** A content as something to read from. Throws Damage. */
export async function openContent(sources: Sources, id: string, depth = 0): Promise<Readable> {
  const content = await sources.depot.content(sources.scope, id)
  if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
  if (content.size > IN_MEMORY) return openLarge(sources, id, content.size, depth)
  const bytes = Buffer.alloc(content.size)
  await make(sources, id, (data, offset) => void data.copy(bytes, offset), depth)
  return {
    size: bytes.length,
    read: (into, offset) => void bytes.copy(into, 0, offset),
    close() {},
  }
}

async function openLarge(
  sources: Sources,
  id: string,
  size: number,
  depth: number,
): Promise<Readable> {
  const flags = O.TMPFILE | O.RDWR
  const fd = must(sys.openat(AT_FDCWD, sources.temporary, flags, 0o600), shown(sources.temporary))
  try {
    must(sys.ftruncate(fd, size), 'ftruncate')
    await make(sources, id, (data, offset) => writeFull(fd, data, offset), depth)
    return readable(fd, size)
  } catch (err) {
    sys.close(fd)
    throw err
  }
}

/** Writes all of `bytes`. Throws Errno. */
export function writeFull(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    const rest = done === 0 ? bytes : bytes.subarray(done)
    done += must(sys.pwrite(fd, rest, rest.length, offset + done), 'pwrite')
  }
}

const readable = (fd: number, size: number): Readable => ({
  size,
  read: (into, offset) => readFull(fd, into, offset),
  close: () => void sys.close(fd),
})

const lowerStat = new Stat()

/** A regular file of the read-only sublayer; null where there is none. Follows no link. */
export function openLower(roots: readonly string[], path: RelPath | undefined): Readable | null {
  if (path === undefined) return null
  for (const root of roots) {
    const fd = openBelow(root, path)
    if (fd === null) continue
    must(sys.stat(fd, '', lowerStat), shown(path))
    if ((lowerStat.mode & S.IFMT) === S.IFREG) return readable(fd, lowerStat.size)
    sys.close(fd)
    return null
  }
  return null
}

/**
 * Opens a file of a tree; null where there is none. Name by name, each relative to the directory
 * before: a path may be longer than PATH_MAX.
 */
export function openBelow(root: string, path: RelPath): number | null {
  let dir = must(sys.openat(AT_FDCWD, root, O.PATH | O.DIRECTORY), shown(root))
  const names = path.split('/')
  const last = names.pop()!
  for (const name of names) {
    const next = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    sys.close(dir)
    if (next < 0) return null
    dir = next
  }
  const fd = sys.openat(dir, last, O.RDONLY | O.NOFOLLOW | O.NONBLOCK)
  sys.close(dir)
  return fd < 0 ? null : fd
}
