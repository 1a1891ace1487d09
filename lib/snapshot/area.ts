// The preservation area of a freeze, as its reader sees it: what the union laid there
// before the first change after the instant (lib/union writes it).
//
//   list-<ino>  attr-<ino>  data-<ino>  map-<ino>  link-<ino>  dir-<ino>  failed
//
// Rule: the live thing is looked at first, then the area is asked: whatever is not in the
// area by then was still unchanged when it was looked at. The order is the proof.

import { z } from 'zod'
import { ERRNO } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { PreservedBytes } from './preserved-bytes.ts'
import { PreservedNames } from './preserved-names.ts'

const attributes = z.looseObject({
  mode: z.number(),
  uid: z.number(),
  gid: z.number(),
  size: z.number(),
  blocks: z.number(),
  nlink: z.number(),
  rdev: z.number(),
  atime: z.number(),
  atimeNsec: z.number(),
  mtime: z.number(),
  mtimeNsec: z.number(),
  xattrs: z.record(z.string(), z.string()),
})
export type PreservedAttributes = z.infer<typeof attributes>

export class FrozenArea {
  readonly #fd: number
  readonly #links: number
  readonly #path: string
  readonly #stat = new Stat()

  /** `links` is the directory of link-<ino>, and of an empty directory `empty`; the area by default. */
  constructor(path: string, links: string | null = null) {
    this.#path = path
    this.#fd = must(sys.openat(AT_FDCWD, path, O.RDONLY | O.DIRECTORY), shown(path))
    const apart = links === null || links === path ? null : links
    this.#links =
      apart === null
        ? this.#fd
        : must(sys.openat(AT_FDCWD, apart, O.RDONLY | O.DIRECTORY), shown(apart))
  }

  /** What is told of a directory's names, beyond what is `known`; null where none changed since. */
  names(ino: number, known: PreservedNames | null = null): PreservedNames | null {
    if (known?.isAll === true) return known
    const bytes = this.#bytesOf(`list-${ino}`, known?.read ?? 0)
    if (bytes === null) return null
    const names = known ?? new PreservedNames()
    return names.add(bytes) ? names : this.#fail(`list-${ino} cannot be read`)
  }

  attributes(ino: number): PreservedAttributes | null {
    const text = this.#read(`attr-${ino}`)
    if (text === null) return null
    const read = attributes.safeParse(parse(text))
    if (!read.success) this.#fail(`attr-${ino} cannot be read`)
    return read.data
  }

  /** Descriptor of the content at the instant, or null while the file has not changed. */
  data(ino: number): number | null {
    return this.#open(`data-${ino}`, O.RDONLY | O.NOFOLLOW)
  }

  /** What of a large file was preserved; null while its bytes have not changed. */
  blocks(ino: number): PreservedBytes | null {
    const map = this.#open(`map-${ino}`, O.RDONLY | O.NOFOLLOW)
    return map === null ? null : new PreservedBytes(map, this.#fd, ino)
  }

  /**
   * O_PATH descriptor of a file or directory that lost its name since; of an empty directory for one
   * that is gone, all of which was preserved. Throws SVS_FREEZE_FAILED.
   */
  lost(ino: number, name: string): number {
    const link = this.#open(`link-${ino}`, O.PATH | O.NOFOLLOW, this.#links)
    if (link !== null) return link
    const text = this.#read(`dir-${ino}`)
    const dir = text === null ? Number.NaN : Number.parseInt(text, 10)
    if (!Number.isSafeInteger(dir)) this.#fail(`${shown(name)} was lost`)
    const path = O.PATH | O.DIRECTORY
    if (dir < 0) return must(sys.openat(this.#links, 'empty', path), 'preserved directory')
    // Not by its `.`, for which its owner may have no right.
    const fd = must(sys.reopen(dir, path), 'preserved directory')
    if (sys.stat(fd, '', this.#stat) >= 0 && this.#stat.ino === ino) return fd
    sys.close(fd)
    return this.#fail(`${shown(name)} is another now`)
  }

  /** Throws SVS_FREEZE_FAILED where something could not be preserved: what was read counts for nothing. */
  check(): void {
    const reason = this.#read('failed') ?? this.#closed()
    if (reason !== null) throw new Failure('SVS_FREEZE_FAILED', shown(this.#path), reason)
  }

  close(): void {
    sys.close(this.#fd)
    if (this.#links !== this.#fd) sys.close(this.#links)
  }

  // Without room for a name, the union took the area's own mode away.
  #closed(): string | null {
    must(sys.stat(this.#fd, '', this.#stat), shown(this.#path))
    return (this.#stat.mode & 0o777) === 0 ? 'no room left' : null
  }

  // Where the area itself says why it failed, that is the better reason.
  #fail(reason: string): never {
    this.check()
    throw new Failure('SVS_FREEZE_FAILED', shown(this.#path), reason)
  }

  #open(name: string, flags: number, dir = this.#fd): number | null {
    const fd = sys.openat(dir, name, flags)
    return fd === -ERRNO.ENOENT ? null : must(fd, name)
  }

  #read(name: string): string | null {
    return this.#bytesOf(name)?.toString('utf8') ?? null
  }

  #bytesOf(name: string, from = 0): Buffer | null {
    const fd = this.#open(name, O.RDONLY | O.NOFOLLOW)
    if (fd === null) return null
    try {
      must(sys.stat(fd, '', this.#stat), name)
      const bytes = Buffer.alloc(Math.max(0, this.#stat.size - from))
      return bytes.subarray(0, must(sys.pread(fd, bytes, bytes.length, from), name))
    } finally {
      sys.close(fd)
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
