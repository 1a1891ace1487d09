// The nodes of one view: which the kernel knows, how they hang together, when they end.
//
//   node ─ lookups > 0, or open, or has children      lives
//        ─ nothing of these                           is dropped, with its descriptors
//
// Rule: every change of a node's parent, name, path or places happens here, so that the tree,
// the table and the link registry always agree.

import { ERRNO, fail } from '../base/errno.ts'
import { baseName, joinPath, parentPath, type RelPath } from '../base/path.ts'
import { type NodeId, type Notification, ROOT_NODE } from '../fuse/filesystem.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { locate } from './attributes.ts'
import type { Behind } from './behind.ts'
import type { Branch } from './branch.ts'
import { discardCopy } from './copy-up.ts'
import { Disks } from './disks.ts'
import { closeOpen } from './files.ts'
import type { UnionLayer } from './layer.ts'
import { copyBehind, type FoundCopy, isLinkedBelow } from './links.ts'
import { type Found, find } from './lookup.ts'
import { type Place, repath, sameStamp, stampOf, toldAbsent, UnionNode, viewPath } from './node.ts'
import type { NodeBound } from './node-bound.ts'
import { NodeMap } from './node-map.ts'
import { keepFile } from './remove.ts'
import type { ViewOptions } from './spec.ts'
import type { Stack } from './stack.ts'
import { movedUnsettled } from './unsettled.ts'
import { Vanishing } from './vanishing.ts'
import type { View } from './view.ts'

/** This many detached directories are kept in hand for who still stands in them. */
const MOST_KEPT = 4096

const inside = new Stat()

export abstract class NodeTable {
  // A field: V8 calls a private getter by way of its runtime.
  readonly #view = this as unknown as View
  readonly nodes = new NodeMap()
  abstract readonly options: ViewOptions
  abstract announce(told: Notification): void
  abstract readonly stat: Stat
  /** How many nodes the kernel may keep in its cache for nothing. */
  abstract readonly bound: NodeBound
  abstract stack: Stack
  abstract readonly behind: Behind
  readonly vanishing = new Vanishing()
  root!: UnionNode
  /** After `child` answered null: the layer whose whiteout hides the name, if one does. */
  hiddenBy: UnionLayer | null = null
  /** The node whose attributes `stat` holds, because this request found or made it last. */
  protected fresh: UnionNode | null = null
  /** Nodes that programs may have mapped for writing past us, also where they have closed them. */
  readonly mapped = new Set<UnionNode>()
  /** Nodes that were written past us: what the kernel has in its cache of them is of before. */
  readonly rewritten = new Set<UnionNode>()
  #nextId = (ROOT_NODE as number) + 1
  /** Nodes of files with several names, by branch and backing inode. */
  readonly #linked = new Map<Branch, Map<number, UnionNode>>()
  #disks!: Disks
  /** Detached directories held by a descriptor, oldest first. */
  readonly #kept = new Set<UnionNode>()
  /** Made since the last request began: whether the kernel was told of them shows when it ends. */
  readonly #made: UnionNode[] = []

  /** Told after a name appeared, went, or got another content. */
  protected abstract nameChanged(dir: UnionNode, name: string): void
  /** Told after a file lost one of its names, or got one more: then with its backing inode. */
  protected abstract linksChanged(node: UnionNode, added: number | null): void
  protected abstract placeAdded(node: UnionNode, branch: Branch): void
  /** Told after a node was renamed, before the change of either name is. */
  protected abstract nameMoved(node: UnionNode, dir: RelPath, name: string): void

  /** The root lies in every branch of the stack. */
  rootPlaces(): Place[] {
    return this.stack.branches.map((branch) => ({
      branch,
      path: branch.writable ? null : ('' as RelPath),
    }))
  }

  setRoot(places: Place[]): void {
    const bottom = places.at(-1)?.branch ?? fail('ENOENT')
    must(sys.stat(bottom.root, '', this.stat), 'root')
    this.#disks = new Disks(bottom.dev)
    const ino = this.numberOf(bottom, this.stat.ino, this.stat.dev, 1)
    this.root = new UnionNode(ROOT_NODE, S.IFDIR, ino, null, '')
    this.root.places = places
    this.root.lookups = 1
    this.nodes.set(ROOT_NODE, this.root)
  }

  /**
   * The inode number programs see for a backing inode of a branch; `position`: its number in the
   * branch's index, where that is known.
   */
  numberOf(branch: Branch, backing: number, dev = branch.dev, position = 0): number {
    if (branch.index !== null) {
      const number = position === 0 ? branch.index.number(backing) : position
      if (number !== 0) return branch.numberBase + number
    }
    const numbers = branch.writable ? branch.layer.numbers : null
    const own = this.#disks.number(backing, dev, () => branch.diskOf(dev))
    return numbers === null ? own : numbers.of(backing, own)
  }

  #freshNumber(branch: Branch, backing: number, dev: number): number {
    const own = this.#disks.number(backing, dev, () => branch.diskOf(dev))
    return branch.layer.numbers?.fresh(backing, own) ?? own
  }

  /** The node of a name, found and made where the kernel does not know it; null where absent. */
  child(dir: UnionNode, name: string): UnionNode | null {
    this.fresh = null
    if (this.behind.some) this.behind.catchUpName(dir, name)
    const known = dir.children?.get(name)
    if (known !== undefined && !this.#changedBehind(known)) return known
    this.hiddenBy = null
    if (dir.fd !== -1) return null
    const hidden = toldAbsent(dir, name)
    if (hidden !== undefined) {
      this.hiddenBy = hidden
      return null
    }
    const found = find(this.#view, dir, name)
    if (found.at === 'whiteout') this.hiddenBy = found.layer
    if (found.at === 'nowhere' || found.at === 'whiteout') return null
    dir.absent?.delete(name)
    return this.#adopt(dir, name, found)
  }

  #adopt(dir: UnionNode, name: string, found: Found & { at: 'file' | 'directory' }): UnionNode {
    if (found.at === 'directory') {
      const node = this.#new(S.IFDIR, found.number, dir, name)
      node.path = joinPath(dir.path, name)
      node.places = found.places
      node.closed = found.closed
      this.fresh = node
      return node
    }
    const copy = this.#copyBehind(dir, name, found.branch)
    const branch = copy?.branch ?? found.branch
    const { ino, dev, mode, nlink, position } = this.stat
    const known = this.linkedNode(branch, ino)
    if (known !== undefined && (nlink > 1 ? canHave(known, branch) : isHeld(known, branch, ino))) {
      return this.#adoptLink(known, dir, name, found.dir, copy)
    }
    const number = this.numberOf(branch, ino, dev, position)
    const node = this.#new(mode & S.IFMT, number, dir, name)
    node.branch = branch
    if (copy !== null) node.fd = copy.fd
    else if (!branch.writable) {
      node.inDir = found.dir
      node.inName = name
    }
    node.data = copy === null ? found.data : null
    if (branch.foreign) node.stamp = stampOf(this.stat)
    if (nlink > 1) this.rememberLink(branch, ino, node)
    this.fresh = node
    return node
  }

  #copyBehind(dir: UnionNode, name: string, branch: Branch): FoundCopy | null {
    return isLinkedBelow(branch, this.stat) ? copyBehind(this.#view, dir, name, branch) : null
  }

  #adoptLink(
    node: UnionNode,
    dir: UnionNode,
    name: string,
    inDir: RelPath,
    copy: FoundCopy | null,
  ): UnionNode {
    const held = copy !== null && copy.fd !== -1
    // In a view that cannot link its names it is reached by a descriptor, under any of them.
    const named = node.fd !== -1 && node.parent !== null
    this.#attach(node, dir, name)
    if (named || held) {
      if (held && named) sys.close(copy.fd)
      else if (held) this.#hold(node, copy.fd)
      return node
    }
    if (node.fd === -1) return node
    this.#hold(node, -1)
    if (!node.branch!.writable) {
      node.inDir = inDir
      node.inName = name
    }
    return node
  }

  #hold(node: UnionNode, fd: number): void {
    if (node.fd !== -1) sys.close(node.fd)
    node.fd = fd
  }

  /** The inode number of a thing just made in a writable branch; its attributes are in `stat`. */
  newNumber(rw: Branch): number {
    const { ino, dev } = this.stat
    return this.#freshNumber(rw, ino, dev)
  }

  /** The node of a thing just made in a writable branch; its attributes are in `stat`. */
  adoptNew(dir: UnionNode, name: string, rw: Branch, closed: boolean, number: number): UnionNode {
    const type = this.stat.mode & S.IFMT
    const node = this.#new(type, number, dir, name)
    if (type === S.IFDIR) {
      node.path = joinPath(dir.path, name)
      node.places = [{ branch: rw, path: null }]
      node.closed = dir.closed || closed
    } else {
      node.branch = rw
      node.noCapability = true
    }
    this.fresh = node
    dir.absent?.delete(name)
    this.nameChanged(dir, name)
    return node
  }

  /** The node of a file that has no name yet, which is open as `fd`. */
  adoptUnnamed(fd: number, layer: UnionLayer): UnionNode {
    // Not opened anew: its own mode may not let its owner.
    const held = must(sys.reopen(fd, O.PATH), 'open')
    must(sys.stat(fd, '', this.stat), 'stat')
    const rw = layer.rw!
    const number = this.newNumber(rw)
    const type = this.stat.mode & S.IFMT
    const node = new UnionNode(this.#nextId++ as NodeId, type, number, null, '')
    node.branch = rw
    node.fd = held
    this.nodes.set(node.id, node)
    return node
  }

  #new(type: number, number: number, dir: UnionNode, name: string): UnionNode {
    const node = new UnionNode(this.#nextId++ as NodeId, type, number, dir, name)
    this.nodes.set(node.id, node)
    this.#made.push(node)
    dir.children ??= new Map()
    dir.children.set(name, node)
    this.bound.made()
    return node
  }

  /** All names under which the kernel finds this backing inode are one node. */
  rememberLink(branch: Branch, backing: number, node: UnionNode): void {
    const known = this.#linked.get(branch) ?? new Map<number, UnionNode>()
    this.#linked.set(branch, known)
    known.set(backing, node)
    node.known ??= []
    node.known.push({ branch, backing })
  }

  /** The node of a file with several names, where one is known. */
  linkedNode(branch: Branch, backing: number): UnionNode | undefined {
    const known = this.#linked.get(branch)?.get(backing)
    if (known === undefined || !this.behind.some) return known
    // What it looks up must not be mistaken for what the caller found.
    const found = Buffer.from(this.stat.bytes)
    this.behind.catchUp(known)
    found.copy(this.stat.bytes)
    return this.#linked.get(branch)?.get(backing)
  }

  /** A file got a further name (or, unnamed until now, its first). */
  addName(node: UnionNode, dir: UnionNode, name: string): void {
    const wasUnnamed = node.fd !== -1
    node.stamp = null
    dir.absent?.delete(name)
    this.#attach(node, dir, name)
    if (wasUnnamed) {
      sys.close(node.fd)
      node.fd = -1
    }
    const { dir: at, name: as } = locate(node)
    must(sys.stat(at, as, this.stat), 'stat')
    this.rememberLink(node.branch!, this.stat.ino, node)
    this.linksChanged(node, this.stat.ino)
    this.nameChanged(dir, name)
    this.#view.changed(node)
  }

  #attach(node: UnionNode, dir: UnionNode, name: string): void {
    dir.children ??= new Map()
    dir.children.set(name, node)
    if (node.parent === null) {
      node.parent = dir
      node.name = name
      return
    }
    node.links ??= []
    node.links.push({ parent: dir, name })
  }

  /** A name is gone. The node's file is kept by a descriptor unless another name is known. */
  removeName(node: UnionNode, dir: UnionNode, name: string): void {
    dir.children?.delete(name)
    node.stamp = null
    const { links } = node
    const other = links?.findIndex((one) => one.parent === dir && one.name === name) ?? -1
    if (other !== -1) links!.splice(other, 1)
    else this.#nextName(node)
    if (node.parent !== null && node.fd !== -1) {
      sys.close(node.fd)
      node.fd = -1
    }
    this.linksChanged(node, null)
    this.nameChanged(dir, name)
    // The link count.
    if (!node.isDirectory) this.#view.changed(node)
  }

  #nextName(node: UnionNode): void {
    const next = node.links?.shift()
    node.parent = next?.parent ?? null
    node.name = next?.name ?? ''
    if (next !== undefined) this.#placeByName(node, next.parent, next.name)
  }

  /** Reaches a file that has several names by the one that a request is about. */
  nameFirst(node: UnionNode, dir: UnionNode, name: string): void {
    const { links, parent } = node
    const at = links?.findIndex((one) => one.parent === dir && one.name === name) ?? -1
    if (at === -1 || parent === null) return
    links![at] = { parent, name: node.name }
    node.parent = dir
    node.name = name
    this.#placeByName(node, dir, name)
  }

  // In a read-only branch each name has a place of its own, which is not remembered.
  #placeByName(node: UnionNode, dir: UnionNode, name: string): void {
    if (node.branch!.writable) return
    const found = find(this.#view, dir, name)
    if (found.at !== 'file') return
    node.inDir = found.dir
    node.inName = name
  }

  moveName(node: UnionNode, to: UnionNode, newName: string): void {
    const from = node.parent!
    const { name } = node
    this.#hang(node, to, newName)
    movedUnsettled(node, joinPath(from.path, name))
    this.nameMoved(node, from.path, name)
    this.nameChanged(from, name)
    this.nameChanged(to, newName)
  }

  /** Another mount gave a node another name: what programs have open here goes on with it. */
  followMove(node: UnionNode, to: UnionNode, newName: string): void {
    const { id } = node.parent!
    const { name } = node
    const target = to.children?.get(newName)
    if (target !== undefined && target !== node) this.detach(target, true)
    this.#hang(node, to, newName)
    this.announce({ kind: 'entry', parent: id, name, expire: true })
    this.announce({ kind: 'entry', parent: to.id, name: newName, expire: false })
  }

  #hang(node: UnionNode, to: UnionNode, newName: string): void {
    node.parent!.children?.delete(node.name)
    to.absent?.delete(newName)
    node.parent = to
    node.name = newName
    to.children ??= new Map()
    to.children.set(newName, node)
    if (node.isDirectory) repath(node, joinPath(to.path, newName))
    this.restamp(node)
  }

  swapNames(one: UnionNode, other: UnionNode): void {
    const [parent, name] = [one.parent!, one.name]
    one.top.unsettled?.swapped(viewPath(one), viewPath(other))
    one.parent = other.parent
    one.name = other.name
    other.parent = parent
    other.name = name
    for (const node of [one, other]) {
      node.parent!.children!.set(node.name, node)
      if (node.isDirectory) repath(node, joinPath(node.parent!.path, node.name))
      this.restamp(node)
      this.nameChanged(node.parent!, node.name)
    }
  }

  /** A directory was written out whole into one branch. */
  onlyIn(node: UnionNode, rw: Branch): void {
    node.places = [{ branch: rw, path: null }]
    node.closed = true
    node.absent = null
  }

  /** A directory was made in a writable branch for a node that lies in others already. */
  addPlace(node: UnionNode, rw: Branch): void {
    const rank = this.stack.rank(rw)!
    const at = node.places.findIndex((place) => this.stack.rank(place.branch)! > rank)
    const place: Place = { branch: rw, path: null }
    if (at === -1) node.places.push(place)
    else node.places.splice(at, 0, place)
    this.placeAdded(node, rw)
  }

  forgetAbsent(dir: UnionNode, name: string): void {
    dir.absent?.delete(name)
  }

  forget(id: NodeId, count: number): void {
    const node = this.nodes.get(id)
    if (node === undefined) return
    node.lookups = Math.max(node.lookups - count, 0)
    this.forgetIfUnused(node)
  }

  /** As a request begins: what the last one looked at without telling the kernel is let go. */
  protected forgetUntold(): void {
    for (let node = this.#made.pop(); node !== undefined; node = this.#made.pop()) {
      if (node.lookups === 0) this.forgetIfUnused(node)
    }
  }

  forgetIfUnused(node: UnionNode): void {
    if (node.lookups > 0 || node === this.root || node.open !== null || node.pending !== null)
      return
    if (node.children !== null && node.children.size > 0) return
    this.#unlink(node)
    this.nodes.delete(node.id)
    this.#kept.delete(node)
    this.mapped.delete(node)
    this.rewritten.delete(node)
    if (node.fd !== -1) sys.close(node.fd)
    node.fd = -1
  }

  #unlink(node: UnionNode): void {
    const names = [{ parent: node.parent, name: node.name }, ...(node.links ?? [])]
    for (const { parent, name } of names) {
      if (parent?.children?.get(name) === node) {
        parent.children.delete(name)
        if (parent.lookups <= 0) this.forgetIfUnused(parent)
      }
    }
    this.#forgetLinks(node)
  }

  #forgetLinks(node: UnionNode): void {
    for (const { branch, backing } of node.known ?? []) {
      const linked = this.#linked.get(branch)
      if (linked?.get(backing) === node) linked.delete(backing)
      if (linked?.size === 0) this.#linked.delete(branch)
    }
    node.known = null
  }

  /**
   * The content behind a name is another, or none: the node lives on without a name, for who
   * has it open, and the kernel is told to ask for the name again.
   */
  detach(node: UnionNode, tell: boolean): void {
    const { parent, name } = node
    if (parent === null) return
    if (node.isDirectory && node.lookups > 0) this.#keepDirectory(node)
    if (tell) this.announce({ kind: 'entry', parent: parent.id, name, expire: true })
    if (tell) this.vanishing.add(this.#view, node)
    // Who has it open may ask for its link count.
    if (node.open !== null) this.announce({ kind: 'inode', node: node.id, offset: -1, length: 0 })
    for (const other of node.links ?? []) {
      other.parent.children?.delete(other.name)
      const { id } = other.parent
      this.announce({ kind: 'entry', parent: id, name: other.name, expire: true })
    }
    this.#forgetLinks(node)
    parent.children?.delete(name)
    const { children } = node
    node.parent = null
    node.links = null
    node.children = null
    node.absent = null
    node.stale = true
    if (children !== null && children.size > 0) this.behind.fall(children)
    this.forgetIfUnused(node)
  }

  // Who stands in it goes on; the oldest are let go first, and answer ESTALE.
  #keepDirectory(node: UnionNode): void {
    tryKeep(node)
    this.#kept.add(node)
    if (this.#kept.size <= MOST_KEPT) return
    const [oldest] = this.#kept
    this.#kept.delete(oldest!)
    if (oldest!.fd !== -1) sys.close(oldest!.fd)
    oldest!.fd = -1
  }

  /** What the node's file is now is its content: it was changed through the mount, not behind it. */
  protected restamp(node: UnionNode): void {
    node.stamp = null
    if (node.isDirectory || !node.branch!.foreign || node.open !== null) return
    if (node.parent === null) return
    const { dir, name } = locate(node)
    if (sys.stat(dir, name, inside) === 0) node.stamp = stampOf(inside)
  }

  /** ESTALE for a file of the base that was exchanged behind the mount: its name gets a new node. */
  checkStamp(node: UnionNode): void {
    if (node.stale) fail('ESTALE')
    if (node.stamp === null || node.parent === null) return
    if (this.#changedBehind(node)) fail('ESTALE')
  }

  #changedBehind(node: UnionNode): boolean {
    if (node.isDirectory) return this.#goneBehind(node)
    if (node.fd !== -1 || !node.branch!.foreign) return false
    if (node.stamp === null && node.open !== null) return false
    const { dir, name } = locate(node)
    const done = sys.stat(dir, name, this.stat)
    // Changed through the mount, which is not behind it: from here on it is looked at again.
    if (done === 0) node.stamp ??= stampOf(this.stat)
    if (done === 0 && sameStamp(node.stamp!, this.stat)) return false
    if (done === 0 && node.stamp?.ino === this.stat.ino && node.open !== null) {
      node.open.believed = Math.max(node.open.believed, node.stamp.size)
      node.stamp = stampOf(this.stat)
      this.announce({ kind: 'inode', node: node.id, offset: 0, length: 0 })
    }
    this.detach(node, true)
    return true
  }

  #goneBehind(node: UnionNode): boolean {
    const last = node.places.at(-1)
    if (node.parent === null || last === undefined || !last.branch.foreign) return false
    const { branch } = last
    const path = last.path ?? node.path
    const gone = sys.stat(branch.dirFd(parentPath(path)), baseName(path), this.stat)
    if (gone === 0 && this.stat.ino === inoOf(branch, path)) return false
    branch.moved(path)
    // What layers have of it stays: only its list is another.
    if (node.places.length > 1) {
      if (gone === 0) this.announce({ kind: 'inode', node: node.id, offset: 0, length: 0 })
      return false
    }
    if (gone !== 0 && gone !== -ERRNO.ENOENT) return false
    this.detach(node, true)
    return true
  }

  closeAll(): void {
    for (const node of this.nodes.values()) {
      discardCopy(this.#view, node)
      if (node.open !== null) closeOpen(node.open)
      if (node.fd !== -1) sys.close(node.fd)
    }
    this.nodes.clear()
  }
}

// A copy that has no name cannot get one any more: the two go separate ways.
const canHave = (known: UnionNode, branch: Branch): boolean =>
  known.fd === -1 || known.branch === branch

// Its last name is one that nobody had asked for yet.
function isHeld(known: UnionNode, branch: Branch, ino: number): boolean {
  if (known.fd === -1 || known.branch !== branch) return false
  return sys.stat(known.fd, '', inside) >= 0 && inside.ino === ino
}

function inoOf(branch: Branch, path: RelPath): number {
  must(sys.stat(branch.dirFd(path), '', inside), 'stat')
  return inside.ino
}

function tryKeep(node: UnionNode): void {
  try {
    keepFile(node)
  } catch {
    // Already gone from its branch, too: the node answers ESTALE from here on.
  }
}
