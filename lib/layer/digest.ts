// The digest of a tree: SHA-256 over one line per name, in the order of the walk (walk.ts).
//
//   ["usr/bin/x",33261,0,0,0,5120,1700000000,123456789,0,"<sha-256>",[["user.a","aGk="]]]
//    path, mode, uid, gid, device, size, modified (s, ns), 0 or position of the first name
//    of this file, content (or target of a link), attributes
//
// The content of a file is the SHA-256 of its size (u64), then of every block of 64 KiB that holds
// anything but zeros: its offset (u64) and its bytes, the last block as long as the file goes.
// All numbers little-endian. So zeros count the same, written or left out as holes, and holes
// are not read.
//
// Paths, targets and names of attributes are bytes as latin1 text; values are base64. Only what
// a copy can keep is in it: no inode numbers, no changed or access times, sizes of files only.
//
// Rule: two machines that hold the same tree compute the same digest, whoever imported it; so
// overrides count in place of what the disk holds.

import { createHash } from 'node:crypto'
import { ERRNO } from '../base/errno.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { isCarried } from './attributes.ts'
import { Breath, goOn } from './breath.ts'
import type { Override, Overrides } from './layer.ts'
import { type WalkEntry, walk } from './walk.ts'

/** Part of the format: other blocks would give other digests. */
const BLOCK = 1 << 16
const ZEROS = Buffer.alloc(BLOCK)

/** How much is read at once: whole blocks. */
const buffer = Buffer.allocUnsafeSlow(16 * BLOCK)
const number = Buffer.alloc(8)

/** Digest in hex, and the bytes of all regular files (each hard-linked file once). */
export async function digestTree(
  root: number,
  overrides: Overrides,
): Promise<{ digest: string; bytes: number }> {
  const whole = createHash('sha256')
  const firsts = new Map<number, number>()
  let position = 0
  let bytes = 0
  const breath = new Breath()
  for (const entry of walk(root)) {
    position += 1
    const { stat } = entry
    const linked = stat.nlink > 1 && (stat.mode & S.IFMT) !== S.IFDIR
    const first = linked ? (firsts.get(stat.ino) ?? 0) : 0
    if (linked && first === 0) firsts.set(stat.ino, position)
    const line = describe(entry, overrides.get(entry.path) ?? {}, first)
    if (first === 0) bytes += line.size
    whole.update(`${JSON.stringify(line.fields)}\n`)
    await breath.taken()
  }
  return { digest: whole.digest('hex'), bytes }
}

function describe(entry: WalkEntry, override: Override, first: number) {
  const { path, stat } = entry
  const mode = override.mode ?? stat.mode
  const isFile = (mode & S.IFMT) === S.IFREG
  const size = isFile ? stat.size : 0
  const fields = [
    path,
    mode,
    override.uid ?? stat.uid,
    override.gid ?? stat.gid,
    isDevice(mode) ? (override.rdev ?? stat.rdev) : 0,
    size,
    stat.mtime,
    stat.mtimeNsec,
    first,
    first === 0 ? contentOf(entry, mode) : '',
    attributesOf(entry),
  ]
  return { fields, size }
}

const isDevice = (mode: number): boolean =>
  (mode & S.IFMT) === S.IFCHR || (mode & S.IFMT) === S.IFBLK

function contentOf(entry: WalkEntry, mode: number): string {
  if ((mode & S.IFMT) === S.IFREG) return fileContent(entry)
  if ((mode & S.IFMT) !== S.IFLNK) return ''
  return buffer.latin1Slice(0, must(sys.readlinkat(entry.dir, entry.name, buffer), entry.path))
}

function fileContent({ dir, name, path, stat }: WalkEntry): string {
  const hash = createHash('sha256').update(u64(stat.size))
  if (stat.size === 0) return hash.digest('hex')
  const fd = must(sys.openat(dir, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK), path)
  try {
    for (const { start, length } of dataOf(fd, stat.size)) {
      goOn()
      readFull(fd, length, start, path)
      for (let at = 0; at < length; at += BLOCK) {
        const block = buffer.subarray(at, Math.min(at + BLOCK, length))
        if (ZEROS.compare(block, 0, block.length, 0, block.length) === 0) continue
        hash.update(u64(start + at)).update(block)
      }
    }
    return hash.digest('hex')
  } finally {
    sys.close(fd)
  }
}

/** Stretches of whole blocks, each at most one buffer long, outside of which all is zero. */
function* dataOf(fd: number, size: number): Generator<{ start: number; length: number }> {
  let at = 0
  while (at < size) {
    const data = nextData(fd, at, size)
    const end = data >= size ? size : nextHole(fd, data, size)
    const last = Math.min(size, Math.ceil(end / BLOCK) * BLOCK)
    for (let start = data - (data % BLOCK); start < last && data < size; start += buffer.length)
      yield { start, length: Math.min(buffer.length, last - start) }
    at = last
  }
}

function readFull(fd: number, length: number, offset: number, path: string): void {
  for (let done = 0; done < length; ) {
    const rest = buffer.subarray(done, length)
    const count = must(sys.pread(fd, rest, rest.length, offset + done), path)
    // Nobody but us has the tree: a file that ends early is a disk that fails.
    if (count === 0) must(-ERRNO.EIO, path)
    done += count
  }
}

// The one buffer is enough: a hash takes what it is given at once.
function u64(value: number): Buffer {
  number.writeBigUInt64LE(BigInt(value))
  return number
}

function attributesOf({ dir, name }: WalkEntry): [string, string][] {
  const found: [string, string][] = []
  for (const attribute of listXattr(dir, name).filter(isCarried).sort()) {
    const value = getXattr(dir, name, attribute)
    if (typeof value !== 'number') found.push([attribute, value.toString('base64')])
  }
  return found
}
