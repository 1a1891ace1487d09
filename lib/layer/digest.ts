// The digest of a tree: SHA-256 over one line per name, in the order of the walk (walk.ts).
//
//   ["usr/bin/x",33261,0,0,0,5120,1700000000,123456789,0,"<sha-256>",[["user.a","aGk="]]]
//    path, mode, uid, gid, device, size, modified (s, ns), 0 or position of the first name
//    of this file, content (or target of a link), attributes
//
// Paths, targets and names of attributes are bytes as latin1 text; values are base64. Only what
// a copy can keep is in it: no inode numbers, no changed or access times, sizes of files only.
//
// Rule: two machines that hold the same tree compute the same digest, whoever imported it; so
// overrides count in place of what the disk holds.

import { createHash, type Hash } from 'node:crypto'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { isCarried } from './attributes.ts'
import type { Override, Overrides } from './layer.ts'
import { type WalkEntry, walk } from './walk.ts'

/** Reading goes on for this long before other work gets its turn. */
const TURN_MS = 10

const block = Buffer.alloc(1 << 20)

/** Digest in hex, and the bytes of all regular files (each hard-linked file once). */
export async function digestTree(
  root: number,
  overrides: Overrides,
): Promise<{ digest: string; bytes: number }> {
  const whole = createHash('sha256')
  const firsts = new Map<number, number>()
  let position = 0
  let bytes = 0
  let turn = Date.now()
  for (const entry of walk(root)) {
    position += 1
    const { stat } = entry
    const linked = stat.nlink > 1 && (stat.mode & S.IFMT) !== S.IFDIR
    const first = linked ? (firsts.get(stat.ino) ?? 0) : 0
    if (linked && first === 0) firsts.set(stat.ino, position)
    const line = describe(entry, overrides.get(entry.path) ?? {}, first)
    if (first === 0) bytes += line.size
    whole.update(`${JSON.stringify(line.fields)}\n`)
    if (Date.now() - turn < TURN_MS) continue
    await new Promise(setImmediate)
    turn = Date.now()
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
  if ((mode & S.IFMT) === S.IFREG) return hashFile(entry)
  if ((mode & S.IFMT) !== S.IFLNK) return ''
  return block.latin1Slice(0, must(sys.readlinkat(entry.dir, entry.name, block), entry.path))
}

function hashFile({ dir, name, path }: WalkEntry): string {
  const fd = must(sys.openat(dir, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK), path)
  try {
    const hash: Hash = createHash('sha256')
    for (;;) {
      const length = must(sys.read(fd, block, block.length), path)
      if (length === 0) return hash.digest('hex')
      hash.update(block.subarray(0, length))
    }
  } finally {
    sys.close(fd)
  }
}

function attributesOf({ dir, name }: WalkEntry): [string, string][] {
  const found: [string, string][] = []
  for (const attribute of listXattr(dir, name).filter(isCarried).sort()) {
    const value = getXattr(dir, name, attribute)
    if (typeof value !== 'number') found.push([attribute, value.toString('base64')])
  }
  return found
}
