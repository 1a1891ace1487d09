// Directory listings: the names of all places of a directory, each once, what is deleted
// left out.
//
// A listing is taken as a whole when it is first read, so that `telldir` positions stay good
// and a name is told exactly once while others come and go; reading from the start takes a
// new one.

import { Errno } from '../base/errno.ts'
import type { RelPath } from '../base/path.ts'
import type { DirSink, HandleId } from '../fuse/filesystem.ts'
import { DT, listDirectory } from '../host/directory.ts'
import { S } from '../host/sys.ts'
import type { IndexTables } from '../layer/index-tables.ts'
import { isWhiteout } from '../layer/marks.ts'
import type { Branch } from './branch.ts'
import { pathIn, type UnionNode } from './node.ts'
import type { View } from './view.ts'

export interface Listed {
  name: string
  ino: number
  type: number
}

/** In place of a type: deleted. */
const GONE = -1

/** A directory that the kernel has open. */
export interface DirHandle {
  readonly id: HandleId
  readonly node: UnionNode
  entries: Listed[] | null
}

/**
 * All names of a directory, without `.` and `..`; `access`: a program asked for them. Throws Errno.
 */
export function listMerged(view: View, node: UnionNode, access = false): Listed[] {
  if (node.fd !== -1) return []
  const { places } = node
  const first = places[0]!
  if (places.length === 1 && first.branch.blocked === null)
    return listOne(view, node, first.branch, access)
  const byName = new Map<string, Listed | null>()
  for (const place of places) {
    const path = pathIn(node, place)
    for (const entry of contents(view, place.branch, path, access)) {
      if (isBlocked(place.branch, path, entry.name)) continue
      const known = byName.get(entry.name)
      if (known === undefined) {
        byName.set(entry.name, entry.type === GONE ? null : entry)
      } else if (known?.type === DT.DIR && entry.type === DT.DIR) {
        // A merged directory's number is its lowest place's.
        known.ino = entry.ino
      }
    }
  }
  return [...byName.values()].filter((entry) => entry !== null)
}

function listOne(view: View, node: UnionNode, branch: Branch, access: boolean): Listed[] {
  const all = contents(view, branch, pathIn(node, node.places[0]!), access)
  return branch.prefix === null ? all : all.filter(({ type }) => type !== GONE)
}

/** What one branch has in a directory; a whiteout's type is GONE. */
function contents(view: View, branch: Branch, path: RelPath, access: boolean): Listed[] {
  if (branch.index !== null) return indexed(branch, branch.index.tablesAt(path), path, access)
  const dir = branch.dirFd(path)
  const dev = diskOf(view, dir, branch)
  return listDirectory(dir, '', access).map(({ name, ino, type }) =>
    // Nobody sees a whiteout, so it gets no number.
    type === DT.CHR && deleted(view, dir, name, branch)
      ? { name, ino: 0, type: GONE }
      : { name, ino: view.numberOf(branch, ino, dev), type },
  )
}

function indexed(branch: Branch, tables: IndexTables, path: RelPath, access: boolean): Listed[] {
  const directory = tables.directory(path)
  const [start, end] = tables.rows(directory)
  if (access) branch.accessed(directory)
  const entries: Listed[] = []
  for (let row = start; row < end; row++) {
    const number = tables.numberAt(row)
    const type = (tables.mode(number) & S.IFMT) >> 12
    entries.push({ name: tables.nameAt(row), ino: branch.numberBase + number, type })
  }
  return entries
}

// A base may span several disks; a sublayer lies on one.
const diskOf = (view: View, dir: number, branch: Branch): number =>
  branch.foreign && view.statQuiet(dir, '') ? view.below.dev : branch.dev

// Where no marks are held, in the base above all, a device 0/0 is what it is.
function deleted(view: View, dir: number, name: string, branch: Branch): boolean {
  if (branch.prefix === null) return false
  if (view.statQuiet(dir, name)) return isWhiteout(view.below)
  // In a directory that its owner may not search: devices of users are nothing but whiteouts.
  return branch.prefix === 'user'
}

const isBlocked = (branch: Branch, path: string, name: string): boolean =>
  branch.blocked?.has(path === '' ? name : `${path}/${name}`) ?? false

/** Tells the sink what comes after `offset`: 0 and 1 are `.` and `..`, the rest by position. */
export function readdir(view: View, handle: DirHandle, offset: number, sink: DirSink): void {
  const { node } = handle
  if (view.behind.some) view.behind.catchUpNames(node)
  if (offset === 0 || handle.entries === null) handle.entries = listMerged(view, node, true)
  if (offset < 1 && !sink.plain('.', node.ino, DT.DIR, 1)) return
  if (offset < 2 && !sink.plain('..', (node.parent ?? node).ino, DT.DIR, 2)) return
  const { entries } = handle
  for (let at = Math.max(offset - 2, 0); at < entries.length; at++) {
    const { name, ino, type } = entries[at]!
    if (!sink.hasRoom(name)) return
    // A directory that the kernel knows keeps its number, also where layers below it changed.
    const told = sink.wantsPlus
      ? tellPlus(view, node, entries[at]!, at + 3, sink)
      : sink.plain(name, node.children?.get(name)?.ino ?? ino, type, at + 3)
    if (!told) return
  }
}

function tellPlus(
  view: View,
  dir: UnionNode,
  listed: Listed,
  next: number,
  sink: DirSink,
): boolean {
  const child = ifAllowed(() => view.child(dir, listed.name))
  // Gone since the listing was taken: its name alone, as a plain filesystem may still tell it.
  if (child === null) return true
  const entry = child === REFUSED ? REFUSED : ifAllowed(() => view.entryOf(child))
  // May be listed, but not looked at: its name alone.
  if (child === REFUSED || entry === REFUSED)
    return sink.plain(listed.name, listed.ino, listed.type, next)
  const told = sink.plus(listed.name, entry, next)
  if (told) child.lookups += 1
  else view.forgetIfUnused(child)
  return told
}

const REFUSED = Symbol('refused')

// Names of a directory without the right to search it are listed all the same, and so is one that
// cannot be read: whoever wants it is told why.
function ifAllowed<T>(look: () => T): T | typeof REFUSED {
  try {
    return look()
  } catch (err) {
    if (err instanceof Errno && (err.code === 'EACCES' || err.code === 'EIO')) return REFUSED
    throw err
  }
}
