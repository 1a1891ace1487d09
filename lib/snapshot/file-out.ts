// The bytes of one file, as a state shows it, as the layer was installed, or as it is now.
//
//   path ─▶ ShownTree ─▶ a content ─────────┐
//                        a file below ──────┼─▶ in memory, where it is small
//                        the image of now ──┘   into a file stretch by stretch, where it is not
//
// Rule: nothing is given out before it is whole, and is what its name says: what comes is checked first.

import { Failure } from '../base/failure.ts'
import { parentPath, type RelPath, shown } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { Below, type BelowIndex } from './below.ts'
import { namedDamage } from './builder.ts'
import { makeContent } from './content.ts'
import type { DepotReader } from './depot.ts'
import { dataWithin, type FileData } from './file-data.ts'
import { type Image, type ImageDirs, openImage } from './image.ts'
import type { Report } from './jobs.ts'
import { writeFull } from './readable.ts'
import type { Kind, Piece } from './records.ts'
import { type Shown, ShownTree } from './shown-tree.ts'
import type { Sources } from './sources.ts'
import { type EntryList, KnownList, StateList } from './state-list.ts'

export interface FileOutJob {
  readonly path: RelPath
  /** Id of the state, `ro` or `now`: what failures call it. */
  readonly of: string
  /** The state's list; empty for the layer as it was installed. */
  readonly pieces: readonly Piece[]
  /** The layer as it is now, in place of a list. */
  readonly now: { readonly dirs: ImageDirs; readonly prefix: MarkPrefix } | null
  /** Read-only trees, top first, the index of the first, and its digest. */
  readonly ro: readonly string[]
  readonly index: BelowIndex | null
  readonly scope: string
  /** A directory on a disk with room, for nameless files. */
  readonly temporary: string
  /** Bytes that are answered; of a larger file its size alone. */
  readonly most: number
  /** An empty file that takes them instead; its name is removed once it is open. */
  readonly into: string | null
}

export interface FileOut {
  readonly size: number
  readonly bytes: Uint8Array | null
}

/** Called with stretches of data in ascending order; what is left out is zeros. */
type Take = (bytes: Buffer, offset: number) => void

const STRETCH = 4 * 1024 * 1024

/** Throws SVS_PATH_NOT_IN_STATE, SVS_PATH_NOT_FILE, SVS_CHUNK_DAMAGED. */
export async function fileOut(
  job: FileOutJob,
  depot: DepotReader,
  report: Report,
): Promise<FileOut> {
  const fd = job.into === null ? null : openAlone(job.into)
  const below = new Below(job.ro[0]!, job.index)
  const image = job.now === null ? null : openImage(job.now.dirs, job.now.prefix)
  try {
    const list = image === null ? new StateList(depot, job.pieces) : presentOn(image, job.path)
    const file = await fileAt(list, below, job)
    const { size = 0 } = file.entry
    if (fd !== null) must(sys.ftruncate(fd, size), 'ftruncate')
    else if (size > job.most) return { size, bytes: null }
    const whole = fd === null ? Buffer.alloc(size) : null
    await make(job, file, { depot, below, image }, (bytes, offset) => {
      if (fd === null) bytes.copy(whole!, offset)
      else writeFull(fd, bytes, offset)
      report({ entries: 0, bytes: offset + bytes.length })
    })
    image?.check()
    return { size, bytes: whole }
  } catch (err) {
    throw namedDamage(err, job.of, shown(job.path))
  } finally {
    image?.close()
    below.close()
    if (fd !== null) sys.close(fd)
  }
}

// Whoever made it has it open: nothing is left of it, whatever ends whom.
function openAlone(path: string): number {
  const fd = must(sys.openat(AT_FDCWD, path, O.WRONLY | O.NOFOLLOW), shown(path))
  sys.unlinkat(AT_FDCWD, path, 0)
  return fd
}

/** What the writable sublayer has on the way to a path. */
export function presentOn(image: Image, path: RelPath): EntryList {
  const known = new KnownList()
  for (const name of wayTo(path)) for (const { entry } of image.visit(name, false)) known.add(entry)
  return known
}

const wayTo = (path: RelPath): RelPath[] =>
  path === '' ? [path] : [...wayTo(parentPath(path)), path]

async function fileAt(list: EntryList, below: Below, { path, of }: FileOutJob): Promise<Shown> {
  const found = await new ShownTree(list, below).look(path)
  if (found === null) throw new Failure('SVS_PATH_NOT_IN_STATE', of, shown(path))
  const { kind, target = '' } = found.entry
  if (kind === 'file') return found
  throw new Failure('SVS_PATH_NOT_FILE', `/${shown(path)}`, of, ...wordsOf(kind, target))
}

function wordsOf(kind: Kind, target: string): [string, string] {
  switch (kind) {
    case 'dir':
      return ['a directory', 'svsfs mount --state shows what lies in it']
    case 'symlink':
      return [`a symbolic link to ${shown(target)}`, 'name the file that it leads to']
    default:
      return [SPECIAL[kind] ?? 'a special file', 'it has no bytes']
  }
}

const SPECIAL: Partial<Record<Kind, string>> = {
  fifo: 'a FIFO',
  socket: 'a socket',
  char: 'a device',
  block: 'a device',
}

interface From {
  readonly depot: DepotReader
  readonly below: Below
  readonly image: Image | null
}

async function make(
  job: FileOutJob,
  { entry, bytes }: Shown,
  { depot, below, image }: From,
  take: Take,
): Promise<void> {
  const { scope, ro, temporary } = job
  const sources: Sources = { depot, scope, ro, temporary }
  if (bytes.at === 'content') await makeContent(sources, bytes.id, take)
  else if (bytes.at === 'below') copy(below.open(bytes.path), entry.size!, job, take)
  else if (image !== null) copyNow(image, entry.size!, job, take)
}

function copyNow(image: Image, size: number, job: FileOutJob, take: Take): void {
  image.rewind()
  for (const { open } of image.visit(job.path, false)) copy(open(), size, job, take)
}

function copy(file: FileData, size: number, { path }: FileOutJob, take: Take): void {
  try {
    if (file.size !== size) throw new Failure('SVS_RO_CHANGED', shown(path), 'it has another size')
    for (const { start, end } of dataWithin(file.holes, 0, size))
      for (let at = start; at < end; at += STRETCH) {
        const stretch = Buffer.allocUnsafe(Math.min(STRETCH, end - at))
        file.read(stretch, at)
        take(stretch, at)
      }
  } finally {
    file.close()
  }
}
