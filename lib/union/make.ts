// New names: files, directories, links of both kinds, devices.
//
//   nothing there   made in place, as the caller: owner, setgid, default ACL, umask and quota
//                   are the disk's own
//   over a whiteout made in `work/`, in a directory like the parent, then renamed over it; a
//                   directory is made opaque first, then exchanged in
//
// What fails half-way is unmade, and what dies half-way was not seen.
//
// Rule: the caller's identity is taken for the one call that makes the thing, and given back
// whatever happens.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { joinPath, type RelPath } from '../base/path.ts'
import type { Caller } from '../fuse/filesystem.ts'
import { mayKeepSetgid } from '../host/caller.ts'
import { moveAsOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { AT_REMOVEDIR, must, O, RENAME_EXCHANGE, S, sys } from '../host/sys.ts'
import { setFileOwner } from '../host/thread.ts'
import { getXattr, setXattr } from '../host/xattr.ts'
import { setMark } from '../layer/marks.ts'
import { locate } from './attributes.ts'
import { beforeChange, born } from './before-change.ts'
import type { Branch } from './branch.ts'
import { copyUp, ensureDirectory } from './copy-up.ts'
import type { UnionLayer } from './layer.ts'
import { nameUnnamed } from './links.ts'
import { find } from './lookup.ts'
import type { UnionNode } from './node.ts'
import { relocate } from './rename.ts'
import { layerForName, raise } from './route.ts'
import type { View } from './view.ts'

/** Makes the thing at (dir, name); answers a value >= 0, or the negative errno. */
type Make = (dir: number, name: string) => number

const stat = new Stat()
const GROUP_RUNS = S.ISGID | 0o010
const DEFAULT_ACL = 'system.posix_acl_default'

/**
 * Makes a new name in a directory, and its node; `mode` has the type's bits. The made file's attributes are in
 * `view.stat` afterwards. Answers also what `make` did: a descriptor, for a file.
 */
export function makeName(
  view: View,
  caller: Caller,
  dir: UnionNode,
  name: string,
  umask: number,
  mode: number,
  make: Make,
): { node: UnionNode; value: number } {
  const type = mode & S.IFMT
  if (dir.fd !== -1) fail('ENOENT')
  const hidden = view.whatHides(dir, name)
  if (hidden === 'something') fail('EEXIST')
  const layer = layerForName(
    view,
    dir,
    name,
    hidden === null ? { at: 'nowhere' } : { at: 'whiteout', layer: hidden },
  )
  ensureDirectory(view, dir, layer)
  const rw = layer.rw!
  const into = rw.dirFd(dir.path)
  rw.written?.take(1, view.opened)
  beforeNewName(rw, into, dir.path, name, hidden === layer)
  let number = 0
  const record = (at: number, as: string, made: number) => {
    keepSetgid(caller, at, as, mode)
    const done =
      type === S.IFREG && made > 0 ? sys.stat(made, '', view.stat) : sys.stat(at, as, view.stat)
    must(done, 'stat')
    born(rw, view.stat.ino)
    number = view.newNumber(rw)
  }
  const order = { view, caller, layer, into, name, umask, type, make, record }
  const value = hidden === layer ? makeApart(order, 'over a whiteout') : makeInPlace(order)
  if (type === S.IFDIR) rw.own?.begins(dir.path, into, name, joinPath(dir.path, name))
  const node = view.adoptNew(dir, name, rw, hidden !== null && type === S.IFDIR, number)
  return { node, value }
}

/** `over`: a whiteout goes for it. */
function beforeNewName(rw: Branch, into: number, dir: RelPath, name: string, over: boolean): void {
  const { nameChanges } = rw
  if (over) beforeChange(rw, 'gone', into, name)
  beforeChange(rw, 'names', into, name)
  rw.own?.adds(nameChanges, dir, name)
}

/** One new name: what makes it where, and what must be known of it before it shows. */
interface Order {
  readonly view: View
  readonly caller: Caller
  readonly layer: UnionLayer
  /** The directory in the writable sublayer. */
  readonly into: number
  readonly name: string
  readonly umask: number
  readonly type: number
  readonly make: Make
  /** `made`: what `make` answered. */
  readonly record: (dir: number, name: string, made: number) => void
}

type Ask = Pick<Order, 'view' | 'caller' | 'umask' | 'make'>

/** Runs `make` with the caller's identity and umask. Answers what it did. */
function asCaller({ view, caller, umask, make }: Ask, dir: number, name: string): number {
  view.setUmask(umask)
  const { uid, gid } = caller
  if (!view.options.privileged || (uid === 0 && gid === 0)) return make(dir, name)
  setFileOwner(uid, gid)
  try {
    return make(dir, name)
  } finally {
    setFileOwner(0, 0)
  }
}

// The kernel allowed it: by a supplementary group or a capability that a request does not tell.
const isRefused = ({ view }: Ask, value: number): boolean =>
  view.options.privileged && (value === -ERRNO.EACCES || value === -ERRNO.EPERM)

function makeInPlace(order: Order): number {
  const { view, caller, layer, into, name, umask, type, make, record } = order
  let value = asCaller(order, into, name)
  const refused = isRefused(order, value)
  if (refused && layer.work !== -1) return makeApart(order, 'as root')
  if (refused) {
    view.setUmask(umask)
    value = make(into, name)
  }
  must(value, 'create')
  try {
    // A base has no `work/` to make it in: for this moment it is root's.
    if (refused) giveAway(into, into, name, caller)
    record(into, name, value)
    return value
  } catch (err) {
    unmake(into, name, type, value)
    throw err
  }
}

function unmake(dir: number, name: string, type: number, value: number): void {
  if (value > 0 && type === S.IFREG) sys.close(value)
  sys.unlinkat(dir, name, type === S.IFDIR ? AT_REMOVEDIR : 0)
}

/**
 * In a setgid directory the disk takes setgid from a file whose maker is not in the group; who is
 * so by a supplementary group, which a request does not tell, keeps it.
 */
function keepSetgid(caller: Caller, dir: number, name: string, mode: number): void {
  if ((mode & GROUP_RUNS) !== GROUP_RUNS) return
  must(sys.stat(dir, name, stat), 'stat')
  const { mode: given, gid } = stat
  if (given & S.ISGID || (given & S.IFMT) === S.IFDIR || !mayKeepSetgid(caller.pid, gid)) return
  must(sys.chmodat(dir, name, (given & ~S.IFMT) | S.ISGID), 'chmod')
}

/** Made by root, it is given to the caller, as the disk would have done. */
function giveAway(parent: number, dir: number, name: string, { uid, gid }: Caller): void {
  must(sys.stat(parent, '', stat), 'stat')
  const inherits = (stat.mode & S.ISGID) !== 0
  must(sys.stat(dir, name, stat), 'stat')
  const { mode } = stat
  must(sys.chownat(dir, name, uid, inherits ? 0xffffffff : gid), 'chown')
  if ((mode & S.IFMT) !== S.IFLNK && mode & (S.ISUID | S.ISGID)) {
    must(sys.chmodat(dir, name, mode & ~S.IFMT), 'chmod')
  }
}

/** Makes it in `work/`, with all that belongs to it, and then puts it in its place. */
function makeApart(order: Order, how: 'over a whiteout' | 'as root'): number {
  const { view, caller, layer, into, name, umask, type, make, record } = order
  const { work } = layer
  const room = view.tempName()
  const fd = likeParent(work, room, into)
  let value = -1
  try {
    if (how === 'over a whiteout') value = asCaller(order, fd, name)
    if (how === 'as root' || isRefused(order, value)) {
      view.setUmask(umask)
      value = must(make(fd, name), 'create')
      giveAway(into, fd, name, caller)
    }
    must(value, 'create')
    record(fd, name, value)
    if (type === S.IFDIR && how === 'over a whiteout') {
      setMark(fd, name, 'opaque', layer.rw!.prefix!)
    }
    moveIn(fd, into, name, type)
    sys.stat(into, name, view.stat)
    return value
  } catch (err) {
    unmake(fd, name, type, value)
    throw err
  } finally {
    sys.close(fd)
    sys.unlinkat(work, room, AT_REMOVEDIR)
  }
}

// A whiteout that a directory replaces may lie in a lower tree of a drop-in's: then there is none
// to exchange it with.
function moveIn(from: number, into: number, name: string, type: number): void {
  const exchanges = type === S.IFDIR && sys.stat(into, name, stat) >= 0
  must(moveAsOwner(from, name, into, name, exchanges ? RENAME_EXCHANGE : 0), 'create')
  if (exchanges) sys.unlinkat(from, name)
}

/** A directory in `work/` from which new things inherit what they would from the parent. */
function likeParent(work: number, room: string, parent: number): number {
  must(sys.mkdirat(work, room, 0o700), 'work')
  let fd = -1
  try {
    fd = must(sys.openat(work, room, O.PATH | O.DIRECTORY | O.NOFOLLOW), 'work')
    must(sys.stat(parent, '', stat), 'work')
    sys.chownat(fd, '', stat.uid, stat.gid)
    const acl = getXattr(parent, '', DEFAULT_ACL)
    if (typeof acl !== 'number') must(setXattr(fd, '', DEFAULT_ACL, acl), 'work')
    must(sys.chmodFd(fd, stat.mode & ~S.IFMT), 'work')
    return fd
  } catch (err) {
    if (fd !== -1) sys.close(fd)
    sys.unlinkat(work, room, AT_REMOVEDIR)
    throw err
  }
}

/** A further name for a file. Throws Errno. */
export function makeLink(view: View, node: UnionNode, dir: UnionNode, name: string): void {
  if (dir.fd !== -1) fail('ENOENT')
  const found = find(view, dir, name)
  if (found.at === 'file' || found.at === 'directory') fail('EEXIST')
  copyUp(view, node, 'attributes')
  const own = node.branch!.layer
  const shows = found.at === 'whiteout' ? topOf(view, found.layer, own) : own
  const raised = raise(view, shows.owner ?? shows, dir, name)
  // All names of one file lie in one layer: it moves to where the new one shows, too.
  if (raised !== (own.owner ?? own)) relocate(view, node, raised.forPath(joinPath(dir.path, name)))
  const { layer } = node.branch!
  ensureDirectory(view, dir, layer)
  const rw = layer.rw!
  const into = rw.dirFd(dir.path)
  const over = found.at === 'whiteout' && found.layer === layer
  beforeNewName(rw, into, dir.path, name, over)
  noteLinked(rw, node)
  if (node.data !== null && rw.prefix !== null) markRedirect(node, rw)
  if (over) linkOver(view, node, layer, into, name)
  else must(link(node, into, name), 'link')
  view.addName(node, dir, name)
}

const topOf = (view: View, one: UnionLayer, other: UnionLayer): UnionLayer =>
  view.stack.isAbove(one, other) ? one : other

// Its link count is an attribute, too.
function noteLinked(rw: Branch, node: UnionNode): void {
  const { dir, name } = locate(node)
  beforeChange(rw, 'attributes', dir, name)
}

// A metacopy found by its own name alone would not be found under a second one.
function markRedirect(node: UnionNode, rw: Branch): void {
  const { dir, name } = locate(node)
  beforeChange(rw, 'attributes', dir, name)
  setMark(dir, name, 'redirect', rw.prefix!, joinPath(node.data!.dir, node.data!.name))
}

function link(node: UnionNode, into: number, name: string): number {
  if (node.fd !== -1) return nameUnnamed(node, into, name)
  const { dir, name: from } = locate(node)
  return sys.linkat(dir, from, into, name)
}

function linkOver(
  view: View,
  node: UnionNode,
  layer: UnionLayer,
  into: number,
  name: string,
): void {
  const temp = view.tempName()
  must(link(node, layer.work, temp), 'link')
  const done = sys.renameat(layer.work, temp, into, name)
  if (done >= 0) return
  sys.unlinkat(layer.work, temp)
  throw new Errno(-done, 'link')
}

/** An unnamed file (O_TMPFILE) in the layer that would receive a name in this directory. */
export function makeUnnamed(
  view: View,
  caller: Caller,
  dir: UnionNode,
  flags: number,
  mode: number,
  umask: number,
): { fd: number; layer: UnionLayer } {
  if (dir.fd !== -1) fail('ENOENT')
  const layer = layerForName(view, dir, '', { at: 'nowhere' })
  ensureDirectory(view, dir, layer)
  const into = layer.rw!.dirFd(dir.path)
  const excl = flags & O.EXCL
  const make: Make = (at, name) => sys.openat(at, name, O.RDWR | O.TMPFILE | excl, mode)
  const ask = { view, caller, umask, make }
  const value = asCaller(ask, into, '.')
  const refused = isRefused(ask, value)
  const fd = must(refused ? make(into, '.') : value, 'create')
  try {
    if (refused) giveAway(into, fd, '', caller)
    keepSetgid(caller, fd, '', mode)
    return { fd, layer }
  } catch (err) {
    sys.close(fd)
    throw err
  }
}
