// A place seen whole: every name with its attributes, content, link target and extended
// attributes, so that two moments of one view, or two views, can be compared.
//
// Rule: what is compared is what a program could notice, link counts of directories aside
// (filesystems differ in what they mean).

import { createHash } from 'node:crypto'
import { Errno } from '../../lib/base/errno.ts'
import { contentOf, type Drawn, drawnKind, type Tree } from './draw.ts'
import type { Facts, Place } from './place.ts'

export interface Seen extends Facts {
  /** SHA-256 of a file's bytes, a link's target; '' for others. */
  readonly content: string
  readonly xattrs: string
}

/** All names below `top`, which is not among them. */
export function seeTree(place: Place, top = ''): Map<string, Seen> {
  const tree = new Map<string, Seen>()
  seeInto(place, top, '', tree)
  return tree
}

function seeInto(place: Place, top: string, below: string, tree: Map<string, Seen>): void {
  const listed = at(below, () => ifAllowed(() => place.list(join(top, below))))
  if (listed === null) tree.set(join(below, '*'), HIDDEN)
  for (const { name } of listed ?? []) {
    const path = join(below, name)
    const seen = at(path, () => ifAllowed(() => see(place, join(top, path)))) ?? HIDDEN
    tree.set(path, seen)
    if (seen.kind === 'directory') seeInto(place, top, path, tree)
  }
}

/** Null where this user may not look. */
function ifAllowed<T>(look: () => T): T | null {
  try {
    return look()
  } catch (err) {
    if (err instanceof Errno && err.code === 'EACCES') return null
    throw err
  }
}

/** What this user may not look at. */
const HIDDEN: Seen = {
  kind: 'unknown',
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  ino: 0,
  size: 0,
  blocks: 0,
  rdev: 0,
  atime: 0n,
  mtime: 0n,
  ctime: 0n,
  content: '',
  xattrs: '',
}

/** Says where in a tree something failed. */
function at<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (cause) {
    throw new Error(`${path}: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}

const join = (a: string, b: string): string => (a === '' ? b : b === '' ? a : `${a}/${b}`)

export function see(place: Place, path: string): Seen {
  const facts = place.lstat(path)
  const content =
    facts.kind === 'file'
      ? (ifAllowed(() => digest(readWhole(place, path, facts.size))) ?? 'hidden')
      : facts.kind === 'symlink'
        ? place.readlink(path)
        : ''
  return { ...facts, content, xattrs: facts.kind === 'symlink' ? '' : xattrsOf(place, path) }
}

function readWhole(place: Place, path: string, size: number): Buffer {
  const file = place.open(path)
  try {
    // One byte more than there should be, so that a file that is too long shows.
    return Buffer.from(file.pread(size + 1, 0))
  } finally {
    file.close()
  }
}

/** What a security module adds, and marks that a view hides and the plain disk shows. */
const NOT_COMPARED = /^(security\.|(trusted|user)\.(overlay|svsfs)\.)/

function xattrsOf(place: Place, path: string): string {
  const names = place.listxattr(path).filter((name) => !NOT_COMPARED.test(name))
  return names.map((name) => `${name}=${place.getxattr(path, name)?.toString('latin1')}`).join('\n')
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** What `compare` leaves out: inode numbers between different disks, say. */
export type Aspect = keyof Seen

const ASPECTS: readonly Aspect[] = [
  'kind',
  'mode',
  'nlink',
  'uid',
  'gid',
  'ino',
  'size',
  'rdev',
  'mtime',
  'content',
  'xattrs',
]

/** One line for each difference between two trees. */
export function compareTrees(
  before: ReadonlyMap<string, Seen>,
  after: ReadonlyMap<string, Seen>,
  without: readonly Aspect[] = [],
): string[] {
  const lines: string[] = []
  for (const [path, was] of before) {
    const is = after.get(path)
    if (is === undefined) lines.push(`${path}: disappeared`)
    else lines.push(...compareSeen(path, was, is, without))
  }
  for (const path of after.keys()) if (!before.has(path)) lines.push(`${path}: appeared`)
  return lines
}

function compareSeen(path: string, was: Seen, is: Seen, without: readonly Aspect[]): string[] {
  return ASPECTS.filter((aspect) => {
    if (without.includes(aspect) || was[aspect] === is[aspect]) return false
    const ofDirectory = was.kind === 'directory' && is.kind === 'directory'
    return !(ofDirectory && (aspect === 'nlink' || aspect === 'size'))
  }).map((aspect) => `${path}: ${aspect} was ${was[aspect]}, is ${is[aspect]}`)
}

/** One line for each way in which `place` does not show what was drawn. */
export function compareWithDrawn(place: Place, tree: Tree): string[] {
  const seen = seeTree(place)
  const lines: string[] = []
  const root = process.geteuid?.() === 0
  for (const [path, thing] of Object.entries(tree)) {
    const is = seen.get(path)
    if (is === undefined) lines.push(`${path}: is missing`)
    else lines.push(...compareDrawn(path, thing, is, tree, root))
  }
  for (const path of seen.keys()) if (!(path in tree)) lines.push(`${path}: should not be there`)
  return lines
}

function compareDrawn(path: string, thing: Drawn, is: Seen, tree: Tree, root: boolean): string[] {
  const drawn = thing.kind === 'same' ? tree[thing.as]! : thing
  const expected: [string, unknown, unknown][] = [
    ['kind', drawnKind(tree, thing), is.kind],
    ['mtime', drawn.mtime, is.mtime],
  ]
  if (drawn.kind !== 'symlink') {
    expected.push(['mode', drawn.mode, is.mode])
    const xattrs = Object.entries(drawn.xattrs).map(([name, value]) => `${name}=${value}`)
    expected.push(['xattrs', xattrs.sort().join('\n'), is.xattrs])
  }
  if (drawn.kind === 'file') {
    expected.push(['size', drawn.size, is.size], ['content', digest(contentOf(drawn)), is.content])
    const names = Object.entries(tree).filter(
      ([name, other]) => nameOf(name, other) === nameOf(path, thing),
    )
    expected.push(['nlink', names.length, is.nlink])
  }
  if (drawn.kind === 'symlink') expected.push(['target', drawn.to, is.content])
  if (drawn.kind === 'character') expected.push(['rdev', drawn.rdev, is.rdev])
  if (root) {
    expected.push(['uid', drawn.owner?.[0] ?? 0, is.uid])
    expected.push(['gid', drawn.owner?.[1] ?? 0, is.gid])
  }
  return expected
    .filter(([, want, got]) => want !== got)
    .map(([aspect, want, got]) => `${path}: ${aspect} should be ${want}, is ${got}`)
}

const nameOf = (path: string, thing: Drawn): string => (thing.kind === 'same' ? thing.as : path)
