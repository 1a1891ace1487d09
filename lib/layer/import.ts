// Where a read-only sublayer comes from: a directory, a tar archive, Debian packages, or nothing.
//
//   source ──▶ new tree in the layer's work/ ──▶ index beside it (publishIndex) ──▶ ro/<version>
//              importTree, here                  the caller's two steps, in this order
//
// Everything is kept: owners, modes, times to the nanosecond, links, hard links, attributes,
// lists of access rights, special files, holes. What an ordinary user's disk cannot hold
// becomes an override for the index.
//
// Rule: a source is foreign. Nothing in it is written outside the new tree, nothing in it
// becomes a mark (marks.ts), and after a failure nothing of it is left.

import { errnoName, errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { bytesOf, type RelPath, relPath, shown } from '../base/path.ts'
import { readWhole } from '../host/file.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { copyDirectory } from './import-directory.ts'
import type { ImageLayer } from './import-image.ts'
import { IMPLIED, type Members, settle } from './import-members.ts'
import { unpackPackage, unpackTar } from './import-tar.ts'
import type { Overrides } from './layer.ts'
import { mergePackage, placeDirectory } from './merge.ts'
import { compressionOf } from './tar-stream.ts'

export type Source =
  | { readonly kind: 'empty' }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'tar'; readonly path: string }
  /** The layers of a container image, the lowest first. */
  | { readonly kind: 'image'; readonly name: string; readonly layers: readonly ImageLayer[] }
  /** Unpacked into one tree, a later one over an earlier one. */
  | { readonly kind: 'packages'; readonly paths: readonly string[] }

export interface ImportOptions {
  /** Root: owners and devices go to the disk. Otherwise they become overrides. */
  readonly privileged: boolean
  /**
   * The tree the layer will lie over, or null: where it has a link to a directory (`/bin`), a
   * package's directory of that name goes where the link points, and so does not hide it.
   */
  readonly base: string | null
  /** Directories to make besides, for the layer's owner alone: a recipe's home and profile. */
  readonly folders?: readonly string[]
  /** Directories that are never copied, wherever they show (the store itself). */
  readonly leaveOut?: readonly string[]
  readonly onProgress?: (text: string) => void
}

export interface Imported {
  readonly overrides: Overrides
  /** What was left out or not kept, in sentences, for people. */
  readonly warnings: readonly string[]
}

/**
 * Builds the tree at `into`, which must not exist yet. All paths are absolute and internal. Takes
 * as long as the source is large, and gives way to other work in between.
 */
export async function importTree(
  source: Source,
  into: string,
  options: ImportOptions,
): Promise<Imported> {
  must(sys.mkdirat(AT_FDCWD, into, 0o755), shown(into))
  try {
    const root = must(sys.openat(AT_FDCWD, into, O.RDONLY | O.DIRECTORY), shown(into))
    try {
      const imported = await fill(source, root, into, options)
      must(sys.syncfs(root), shown(into))
      return imported
    } finally {
      sys.close(root)
    }
  } catch (err) {
    removeTree(AT_FDCWD, into)
    removeTree(AT_FDCWD, stagingOf(into))
    throw asFailure(err, source)
  }
}

/** What the user named after `--from`. Throws where it is nothing that can be imported. */
export function sourceOf(paths: readonly string[]): Source {
  const kinds = paths.map((path) => ({ path, kind: kindOf(path) }))
  const [first] = kinds
  if (first === undefined) return { kind: 'empty' }
  if (kinds.every(({ kind }) => kind === 'package')) return { kind: 'packages', paths }
  if (kinds.length > 1) {
    const odd = kinds.find(({ kind }) => kind !== 'package') ?? first
    throw new Failure('SVS_SOURCE_MIXED', shown(odd.path))
  }
  return first.kind === 'directory'
    ? { kind: 'directory', path: first.path }
    : { kind: 'tar', path: first.path }
}

function kindOf(path: string): 'directory' | 'tar' | 'package' {
  const stat = new Stat()
  // The user's own path may be a link; nothing inside the source is followed.
  const fd = sys.openat(AT_FDCWD, path, O.RDONLY | O.NONBLOCK)
  if (fd < 0) throw new Failure('SVS_SOURCE_NOT_FOUND', shown(path), errnoName(-fd))
  const found = sys.stat(fd, '', stat)
  sys.close(fd)
  must(found, shown(path))
  if ((stat.mode & S.IFMT) === S.IFDIR) return 'directory'
  if ((stat.mode & S.IFMT) === S.IFREG) {
    const start = readWhole(path, 512)
    if (start.subarray(0, 8).latin1Slice() === '!<arch>\n') return 'package'
    if (compressionOf(start) !== 'none' || start.subarray(257, 262).latin1Slice() === 'ustar')
      return 'tar'
  }
  throw new Failure('SVS_SOURCE_UNKNOWN', shown(path))
}

function fill(
  source: Source,
  root: number,
  into: string,
  options: ImportOptions,
): Promise<Imported> {
  switch (source.kind) {
    case 'empty':
      return fillNothing(root, options)
    case 'directory':
      return fillFromDirectory(source.path, root, into, options)
    case 'tar':
      return fillFromTar(source.path, root, into, options)
    case 'image':
      return fillFromImage(source, root, into, options)
    case 'packages':
      return fillFromPackages(source.paths, root, into, options)
  }
}

async function fillNothing(root: number, options: ImportOptions): Promise<Imported> {
  return settle(root, new Map(), options.privileged)
}

async function fillFromDirectory(
  path: string,
  root: number,
  into: string,
  { privileged, leaveOut = [] }: ImportOptions,
): Promise<Imported> {
  const from = must(sys.openat(AT_FDCWD, path, O.RDONLY | O.DIRECTORY), shown(path))
  try {
    return await copyDirectory(from, root, { privileged, leaveOut: [...leaveOut, into] })
  } finally {
    sys.close(from)
  }
}

async function fillFromTar(
  path: string,
  root: number,
  into: string,
  { privileged }: ImportOptions,
): Promise<Imported> {
  const { members, warnings } = await unpackTar(path, into, privileged)
  const settled = await settle(root, members, privileged)
  return { ...settled, warnings: [...warnings, ...settled.warnings] }
}

async function fillFromImage(
  { name, layers }: Extract<Source, { kind: 'image' }>,
  root: number,
  into: string,
  { privileged, onProgress }: ImportOptions,
): Promise<Imported> {
  const { unpackImage } = await import('./import-image.ts')
  const staging = stagingOf(into)
  const all = await unpackImage({ name, layers, root, into, staging, privileged, onProgress })
  const settled = await settle(root, all.members, privileged, false)
  return { ...settled, warnings: [...all.warnings, ...settled.warnings] }
}

async function fillFromPackages(
  paths: readonly string[],
  root: number,
  into: string,
  { privileged, base, folders = [], onProgress }: ImportOptions,
): Promise<Imported> {
  const all: Members = new Map()
  const warnings: string[] = []
  const staging = stagingOf(into)
  for (const path of paths) {
    onProgress?.(`unpacking ${shown(path.slice(path.lastIndexOf('/') + 1))}`)
    must(sys.mkdirat(AT_FDCWD, staging, 0o700), shown(staging))
    const unpacked = await unpackPackage(path, staging, privileged)
    const moved = await mergePackage({ staging, root, base, members: unpacked.members })
    for (const [name, member] of moved.members) all.set(name, member)
    warnings.push(...unpacked.warnings, ...moved.warnings)
    removeTree(AT_FDCWD, staging)
  }
  for (const path of folders) makeFolder(relPath(path), root, base, all)
  const settled = await settle(root, all, privileged)
  return { ...settled, warnings: [...warnings, ...settled.warnings] }
}

function makeFolder(path: RelPath, root: number, base: string | null, members: Members): void {
  const under = base === null ? null : must(sys.openat(AT_FDCWD, base, O.PATH), shown(base))
  try {
    const place = placeDirectory(root, under === null ? [root] : [root, under], path)
    if (!members.has(place)) members.set(place, { ...IMPLIED, mode: S.IFDIR | 0o700 })
  } finally {
    if (under !== null) sys.close(under)
  }
}

const stagingOf = (into: string): string => `${into}.unpacked`

function asFailure(err: unknown, source: Source): unknown {
  const number = errnoOf(err)
  if (err instanceof Failure || number === null) return err
  const what =
    source.kind === 'directory' || source.kind === 'tar'
      ? shown(source.path)
      : source.kind === 'image'
        ? source.name
        : source.kind
  const where = err instanceof Error ? shown(bytesOf(err.message)) : errnoName(number)
  return new Failure('SVS_IMPORT_FAILED', what, where, { cause: err })
}
