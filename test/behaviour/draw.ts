// Trees drawn as data, and put on disk: `{ 'etc/hosts': file('127.0.0.1\n') }`.
//
// Rule: what is drawn is what lies there, to the nanosecond; parents are made with default
// attributes unless they are drawn too. Names and contents are bytes as latin1 text.

import { S } from '../../lib/host/sys.ts'
import { bufferOf, type Kind, type Place } from './place.ts'

interface Common {
  readonly mode: number
  /** [uid, gid]; left alone where this process is not root. */
  readonly owner: readonly [number, number] | null
  readonly mtime: bigint
  readonly xattrs: Readonly<Record<string, string>>
}

export type Drawn = Common &
  (
    | { readonly kind: 'file'; readonly content: readonly Piece[]; readonly size: number }
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink'; readonly to: string }
    /** One more name of a file drawn before. */
    | { readonly kind: 'same'; readonly as: string }
    | { readonly kind: 'fifo' }
    | { readonly kind: 'character'; readonly rdev: number }
  )

/** Bytes at an offset; what no piece covers is a hole. */
export interface Piece {
  readonly at: number
  readonly bytes: string
}

/** Path to thing, parents before children. */
export type Tree = Readonly<Record<string, Drawn>>

export type Attributes = Partial<Common>

/** When everything drawn was changed last: 2020-09-13, with odd nanoseconds. */
export const LONG_AGO = 1_600_000_000_123_456_789n

const common = (mode: number, attributes: Attributes): Common => ({
  mode,
  owner: null,
  mtime: LONG_AGO,
  xattrs: {},
  ...attributes,
})

export const file = (text: string, attributes: Attributes = {}): Drawn => ({
  ...common(0o644, attributes),
  kind: 'file',
  content: [{ at: 0, bytes: text }],
  size: text.length,
})

/** A file of `size` bytes with holes. */
export const sparse = (size: number, content: readonly Piece[]): Drawn => ({
  ...common(0o644, {}),
  kind: 'file',
  content,
  size,
})

export const dir = (attributes: Attributes = {}): Drawn => ({
  ...common(0o755, attributes),
  kind: 'directory',
})

export const link = (to: string): Drawn => ({ ...common(0o777, {}), kind: 'symlink', to })

export const same = (as: string): Drawn => ({ ...common(0, {}), kind: 'same', as })

export const fifo = (attributes: Attributes = {}): Drawn => ({
  ...common(0o640, attributes),
  kind: 'fifo',
})

export const device = (major: number, minor: number): Drawn => ({
  ...common(0o660, {}),
  kind: 'character',
  rdev: (major << 8) | minor,
})

/** The mark of overlayfs for a deleted name. */
export const whiteout = (): Drawn => ({ ...device(0, 0), mode: 0 })

/** Makes the tree at `place`, which is a plain directory. Directories get their times last. */
export function drawInto(place: Place, tree: Tree): void {
  for (const [path, thing] of Object.entries(tree)) make(place, path, thing)
  for (const [path, thing] of Object.entries(tree).reverse())
    if (thing.kind !== 'same') place.lutimens(path, thing.mtime, thing.mtime)
}

function make(place: Place, path: string, thing: Drawn): void {
  const parent = path.slice(0, path.lastIndexOf('/') + 1)
  if (parent !== '') makeParents(place, parent.slice(0, -1))
  if (thing.kind === 'same') {
    place.link(thing.as, path)
    return
  }
  create(place, path, thing)
  if (thing.owner !== null && process.geteuid?.() === 0) place.lchown(path, ...thing.owner)
  if (thing.kind !== 'symlink' && thing.kind !== 'file') place.chmod(path, thing.mode)
  for (const [name, value] of Object.entries(thing.xattrs)) place.setxattr(path, name, value)
  // Last, so that a file that nobody may write can still be filled and marked.
  if (thing.kind === 'file') place.chmod(path, thing.mode)
}

function create(place: Place, path: string, thing: Exclude<Drawn, { kind: 'same' }>): void {
  switch (thing.kind) {
    case 'file':
      createFile(place, path, thing)
      break
    case 'directory':
      if (path !== '' && !exists(place, path)) place.mkdir(path)
      break
    case 'symlink':
      place.symlink(thing.to, path)
      break
    case 'fifo':
      place.mknod(path, S.IFIFO | 0o600)
      break
    case 'character':
      place.mknod(path, S.IFCHR | 0o600, thing.rdev)
  }
}

function createFile(place: Place, path: string, thing: Drawn & { kind: 'file' }): void {
  const open = place.open(path, 0o301) // O_WRONLY | O_CREAT | O_EXCL
  for (const piece of thing.content) open.pwrite(piece.bytes, piece.at)
  open.truncate(thing.size)
  open.close()
}

function makeParents(place: Place, path: string): void {
  if (exists(place, path)) return
  const slash = path.lastIndexOf('/')
  if (slash > 0) makeParents(place, path.slice(0, slash))
  place.mkdir(path)
}

function exists(place: Place, path: string): boolean {
  try {
    place.lstat(path)
    return true
  } catch {
    return false
  }
}

/** The bytes that a drawn file holds. */
export function contentOf(thing: Drawn & { kind: 'file' }): Buffer {
  const bytes = Buffer.alloc(thing.size)
  for (const piece of thing.content) bufferOf(piece.bytes).copy(bytes, piece.at)
  return bytes
}

/** What lstat says a drawn thing is. */
export const drawnKind = (tree: Tree, thing: Drawn): Kind =>
  thing.kind === 'same' ? drawnKind(tree, tree[thing.as]!) : thing.kind
