// One reply: built in a buffer that is used again and again, sent by one write(2).
//
// Rule: the answer's bytes start after the header's 16. READ's data is read from the disk to
// there (`room`), so that it never passes through JavaScript. Layouts are the `fuse_*_out`
// structures of linux/fuse.h.

import { Writer } from '../base/cursor.ts'
import { ERRNO } from '../base/errno.ts'
import { NAME_MAX } from '../base/path.ts'
import {
  ABSENT,
  type Attr,
  type AttrReply,
  type DirSink,
  type Entry,
  type Opened,
  type Statfs,
} from './filesystem.ts'
import type { Negotiated } from './init.ts'
import {
  DIRENT,
  ENTRY,
  MAX_WRITE,
  nanoseconds,
  REPLY_BUFFER,
  REPLY_HEADER,
  wholeSeconds,
} from './protocol.ts'

export class Reply {
  readonly bytes = Buffer.allocUnsafeSlow(REPLY_BUFFER)
  readonly out = new Writer(this.bytes)
  readonly sink = new ReplySink(this.out)
  /** Positive errno of a reply that carries nothing else. */
  error = 0
  /** Of the mount whose request is being answered. */
  agreed: Negotiated | null = null
  readonly #rooms: (Buffer | undefined)[] = []

  begin(agreed: Negotiated | null): void {
    this.agreed = agreed
    this.error = 0
    this.out.at = REPLY_HEADER
  }

  /** Where `size` bytes of the answer go; less where the kernel asks for more than was agreed. */
  room(size: number): Buffer {
    const bounded = Math.min(size, MAX_WRITE)
    // Sizes are whole pages, nearly always; a view of each is made once.
    if (bounded % 4096 !== 0) return this.bytes.subarray(REPLY_HEADER, REPLY_HEADER + bounded)
    return (this.#rooms[bounded / 4096] ??= this.bytes.subarray(
      REPLY_HEADER,
      REPLY_HEADER + bounded,
    ))
  }

  /** Says that the first `count` bytes of `room` are the answer. */
  filled(count: number): void {
    this.out.at = REPLY_HEADER + count
  }

  entry(entry: Entry): void {
    // Absent for no time at all is the same as an error, and shorter.
    if (entry.node === ABSENT && entry.entryValid <= 0) this.error = ERRNO.ENOENT
    else writeEntry(this.out, entry)
  }

  attr(answer: AttrReply): void {
    const { out } = this
    out.u64(wholeSeconds(answer.attrValid))
    out.u32(nanoseconds(answer.attrValid))
    out.u32(0)
    writeAttr(out, answer.attr)
  }

  opened(opened: Opened): void {
    this.out.u64(opened.handle)
    this.out.u32(opened.flags)
    this.out.u32(opened.backing)
  }

  statfs(answer: Statfs): void {
    const { out } = this
    out.u64(answer.blocks)
    out.u64(answer.bfree)
    out.u64(answer.bavail)
    out.u64(answer.files)
    out.u64(answer.ffree)
    out.u32(answer.bsize)
    out.u32(answer.namelen)
    out.u32(answer.frsize)
    out.zeros(28)
  }

  /** WRITE, COPY_FILE_RANGE, and the length of an attribute: a count and padding. */
  count(count: number): void {
    this.out.u32(count)
    this.out.u32(0)
  }

  wide(count: number): void {
    this.out.u64(count)
  }

  text(text: string): void {
    this.out.name(text)
  }

  /** A value of an attribute, or its length where `size` is 0. */
  value(value: Buffer | null, size: number): void {
    if (value === null) this.error = ERRNO.ENODATA
    else if (size === 0) this.count(value.length)
    else if (value.length > size) this.error = ERRNO.ERANGE
    else this.out.put(value)
  }

  names(names: readonly string[], size: number): void {
    const all = names.length === 0 ? '' : `${names.join('\0')}\0`
    if (size === 0) this.count(all.length)
    else if (all.length > size) this.error = ERRNO.ERANGE
    else this.out.name(all)
  }
}

/** Entries of a directory, written straight into the reply. */
class ReplySink implements DirSink {
  wantsPlus = false
  readonly #out: Writer
  #limit = 0

  constructor(out: Writer) {
    this.#out = out
  }

  begin(size: number, plus: boolean): void {
    this.wantsPlus = plus
    this.#limit = this.#out.at + Math.min(size, MAX_WRITE)
  }

  hasRoom(name: string): boolean {
    return name.length <= NAME_MAX && this.#out.at + this.#length(name) <= this.#limit
  }

  // In READDIRPLUS an entry that was not looked up has node 0: the kernel lists it, and no more.
  plain(name: string, ino: number, type: number, next: number): boolean {
    if (!this.hasRoom(name)) return false
    if (this.wantsPlus) this.#out.zeros(ENTRY)
    this.#dirent(name, ino, type, next)
    return true
  }

  plus(name: string, entry: Entry, next: number): boolean {
    if (!this.hasRoom(name)) return false
    writeEntry(this.#out, entry)
    this.#dirent(name, entry.attr.ino, (entry.attr.mode >>> 12) & 0xf, next)
    return true
  }

  #length(name: string): number {
    return padded(DIRENT + name.length) + (this.wantsPlus ? ENTRY : 0)
  }

  #dirent(name: string, ino: number, type: number, next: number): void {
    const out = this.#out
    out.u64(ino)
    out.u64(next)
    out.u32(name.length)
    out.u32(type)
    out.name(name)
    out.zeros(padded(name.length) - name.length)
  }
}

const padded = (length: number): number => (length + 7) & ~7

function writeEntry(out: Writer, entry: Entry): void {
  out.u64(entry.node)
  out.u64(0) // generation: numbers are never used twice
  out.u64(wholeSeconds(entry.entryValid))
  out.u64(wholeSeconds(entry.attrValid))
  out.u32(nanoseconds(entry.entryValid))
  out.u32(nanoseconds(entry.attrValid))
  writeAttr(out, entry.attr)
}

function writeAttr(out: Writer, attr: Attr): void {
  out.u64(attr.ino)
  out.u64(attr.size)
  out.u64(attr.blocks)
  out.u64(attr.atime)
  out.u64(attr.mtime)
  out.u64(attr.ctime)
  out.u32(attr.atimeNsec)
  out.u32(attr.mtimeNsec)
  out.u32(attr.ctimeNsec)
  out.u32(attr.mode)
  out.u32(attr.nlink)
  out.u32(attr.uid)
  out.u32(attr.gid)
  out.u32(attr.rdev)
  out.u32(attr.blksize)
  out.u32(0)
}
