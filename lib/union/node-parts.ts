// What not every node has: the part of a directory, and what only few nodes ever come to have.
//
//   UnionNode ─┬─ directory   path, places, children …      of directories
//              └─ rare        further names, a descriptor … of a node that needs one of them
//
// Rule: the rest of lib/union reads and writes `node.children`, `node.fd` and so on as if each
// node had them all; a part that holds nothing but defaults is not made.

import type { RelPath } from '../base/path.ts'
import type { Branch } from './branch.ts'
import type { UnionLayer } from './layer.ts'
import type { DataPlace, PendingCopy, Place, UnionNode } from './node.ts'

const NONE: Place[] = []

class DirectoryPart {
  path = '' as RelPath
  places: Place[] = NONE
  closed = false
  children: Map<string, UnionNode> | null = null
  absent: Map<string, UnionLayer | null> | null = null
}

class RarePart {
  fd = -1
  links: { parent: UnionNode; name: string }[] | null = null
  known: { branch: Branch; backing: number }[] | null = null
  data: DataPlace | null = null
  pending: PendingCopy | null = null
  hidden = false
  stale = false
}

export abstract class NodeParts {
  #directory: DirectoryPart | null = null
  #rare: RarePart | null = null

  // Directories.

  /** Path in the view; '' for the root. */
  get path(): RelPath {
    return this.#directory === null ? ('' as RelPath) : this.#directory.path
  }
  set path(path: RelPath) {
    this.#directory ??= new DirectoryPart()
    this.#directory.path = path
  }

  get places(): Place[] {
    return this.#directory === null ? NONE : this.#directory.places
  }
  set places(places: Place[]) {
    this.#directory ??= new DirectoryPart()
    this.#directory.places = places
  }

  /** True where nothing of lower layers may show inside, here or further down. */
  get closed(): boolean {
    return this.#directory?.closed ?? false
  }
  set closed(closed: boolean) {
    this.#directory ??= new DirectoryPart()
    this.#directory.closed = closed
  }

  get children(): Map<string, UnionNode> | null {
    return this.#directory === null ? null : this.#directory.children
  }
  set children(children: Map<string, UnionNode> | null) {
    if (children !== null) this.#directory ??= new DirectoryPart()
    if (this.#directory !== null) this.#directory.children = children
  }

  /** Absent names the kernel was told, with the layer whose whiteout hides them, if one does. */
  get absent(): Map<string, UnionLayer | null> | null {
    return this.#directory === null ? null : this.#directory.absent
  }
  set absent(absent: Map<string, UnionLayer | null> | null) {
    if (absent !== null) this.#directory ??= new DirectoryPart()
    if (this.#directory !== null) this.#directory.absent = absent
  }

  // Whatever needs it.

  /** Keeps a removed or detached node's file in hand; -1 while it has a name. */
  get fd(): number {
    return this.#rare === null ? -1 : this.#rare.fd
  }
  set fd(fd: number) {
    if (fd !== -1) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.fd = fd
  }

  /** Further names of a hard-linked file that the kernel was told of. */
  get links(): { parent: UnionNode; name: string }[] | null {
    return this.#rare === null ? null : this.#rare.links
  }
  set links(links: { parent: UnionNode; name: string }[] | null) {
    if (links !== null) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.links = links
  }

  /** Where the link registry has it, for a file with several names. */
  get known(): { branch: Branch; backing: number }[] | null {
    return this.#rare === null ? null : this.#rare.known
  }
  set known(known: { branch: Branch; backing: number }[] | null) {
    if (known !== null) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.known = known
  }

  /** Where the bytes of a metacopy lie. */
  get data(): DataPlace | null {
    const data = this.#rare === null ? null : this.#rare.data
    if (data?.blocks?.settled !== true) return data
    this.#rare!.data = null
    return null
  }
  set data(data: DataPlace | null) {
    if (data !== null) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.data = data
  }

  /** A copy-up that waits for an io thread. */
  get pending(): PendingCopy | null {
    return this.#rare === null ? null : this.#rare.pending
  }
  set pending(pending: PendingCopy | null) {
    if (pending !== null) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.pending = pending
  }

  /** True where it lost its name by being hidden from above: on the disk it still has it. */
  get hidden(): boolean {
    return this.#rare?.hidden ?? false
  }
  set hidden(hidden: boolean) {
    if (hidden) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.hidden = hidden
  }

  /** True when its content was exchanged behind it: OPEN answers ESTALE. */
  get stale(): boolean {
    return this.#rare?.stale ?? false
  }
  set stale(stale: boolean) {
    if (stale) this.#rare ??= new RarePart()
    if (this.#rare !== null) this.#rare.stale = stale
  }
}
