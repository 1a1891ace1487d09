// The disks behind one view, told apart in its inode numbers where a base spans several.
//
//   the first disk      its numbers as they are
//   each further one    (8001..8190) * 2^40 + salt * 2^32 + number     both from its identity
//
// Rule: a disk's numbers follow from what it is, never from when it was found: they are the same
// after a remount. Only two disks that meet in one place are told apart by their order.

import { must, sys } from '../host/sys.ts'
import { LAST_TAG } from './numbers.ts'

const TAG = 2 ** 40
const SLOT = 2 ** 32
/** Tags above the layers' that further disks have. */
const TAGS = 190
const SALTS = 256

const statfs = Buffer.alloc(256)

/** What a disk is, as text: its own id, where it has one, and else its device number. */
export function diskIdentity(fd: number, dev: number): string {
  must(sys.fstatfs(fd, statfs), 'statfs')
  // f_fsid of struct statfs64.
  const id = statfs.toString('hex', 56, 64)
  return /^0*$/.test(id) ? `dev${dev}` : id
}

/** True where reading sets access times: not on a disk mounted with `noatime`. */
export function keepsAtime(fd: number): boolean {
  must(sys.fstatfs(fd, statfs), 'statfs')
  // f_flags of struct statfs64: ST_RDONLY, ST_NOATIME.
  return (statfs.readUInt32LE(80) & (1 | 1024)) === 0
}

/** Kinds of disks (linux/magic.h) whose directories list all that can be found in them. */
const LISTED = [0xef53, 0x58465342, 0x9123683e, 0x01021994] as const

/** True for ext4, XFS, btrfs and tmpfs; on others a name may be there that no list has. */
export function listsAll(fd: number): boolean {
  must(sys.fstatfs(fd, statfs), 'statfs')
  return LISTED.some((type) => type === statfs.readUInt32LE(0))
}

/** tmpfs and ramfs (linux/magic.h). */
const MEMORY = [0x01021994, 0x858458f6] as const

/** True where the file of a descriptor lies in memory alone: flushing it does nothing. */
export function isInMemory(fd: number): boolean {
  return sys.fstatfs(fd, statfs) >= 0 && MEMORY.some((type) => type === statfs.readUInt32LE(0))
}

export class Disks {
  readonly #first: number
  readonly #places = new Map<number, number>()

  /** `first` is the device whose numbers are shown as they are. */
  constructor(first: number) {
    this.#first = first
  }

  /** The number that programs see for an inode of a disk. */
  number(backing: number, dev: number, identity: () => string): number {
    if (dev === this.#first) return backing
    let place = this.#places.get(dev)
    if (place === undefined) {
      place = this.#free(hash(identity()))
      this.#places.set(dev, place)
    }
    const tag = LAST_TAG + 1 + Math.floor(place / SALTS)
    return tag * TAG + (((place % SALTS) * SLOT + backing) % TAG)
  }

  #free(wanted: number): number {
    const taken = new Set(this.#places.values())
    let place = wanted
    while (taken.has(place)) place = (place + 1) % (TAGS * SALTS)
    return place
  }
}

// FNV-1a: the same text, the same place.
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0
  }
  return value % (TAGS * SALTS)
}
