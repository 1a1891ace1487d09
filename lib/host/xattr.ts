// Extended attributes of a name in a directory, never of what a link points to.
//
// Linux 6.13 and later reach a name relative to a descriptor (getxattrat(2) and its kin). Before
// that, and for the file behind an O_PATH descriptor, it is reached as /proc/self/fd/DIR/NAME,
// which costs several times as much. Neither can be led elsewhere by exchanging a directory.
// Attribute names are latin1 text, values are bytes.

import { ERRNO, Errno } from '../base/errno.ts'
import { addressOf, errno, libc } from './libc.ts'
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from './sys.ts'

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const LARGEST = 65536
/** What is asked for first: the kernel allocates and clears as much as it is offered. */
const USUAL = 512

const path = Buffer.alloc(8192)
const key = Buffer.alloc(512)
const scratch = Buffer.alloc(LARGEST)
/** What `key` holds. */
let keyed = ''

function at(dir: number, name: string): void {
  const text = name === '' ? `/proc/self/fd/${dir}` : `/proc/self/fd/${dir}/${name}`
  path[path.latin1Write(text, 0)] = 0
}

// The same is asked of one file after the other.
function named(attribute: string): void {
  if (attribute === keyed) return
  if (attribute.length > 255) throw new Errno(ERRNO.ERANGE, 'xattr')
  key[key.latin1Write(attribute, 0)] = 0
  keyed = attribute
}

const result = (value: number): number => (value < 0 ? -errno() : value)

/** The same on x86-64 and arm64. */
const SYS = { setxattrat: 463, getxattrat: 464, listxattrat: 465, removexattrat: 466 } as const

/** False once the kernel has said that it does not know these calls. */
let relative = true

// struct xattr_args {value u64, size u32, flags u32}: where the value lies.
const args = Buffer.alloc(16)
args.writeBigUInt64LE(addressOf(scratch), 0)

// A descriptor of a directory is reached as its `.`, also an O_PATH one; other files are not.
function entry(name: string): void {
  path[path.latin1Write(name === '' ? '.' : name, 0)] = 0
}

/** True where the relative call could not say, and the path through /proc has to. */
function mustWalk(outcome: number, name: string): boolean {
  if (outcome === -ERRNO.ENOSYS) {
    relative = false
    return true
  }
  // EACCES: the `.` of a directory that its owner may not search; its descriptor needs no search.
  return name === '' && (outcome === -ERRNO.ENOTDIR || outcome === -ERRNO.EACCES)
}

/** Fills `scratch` with the value; its length, or the negative errno. */
function read(dir: number, name: string, attribute: string): number {
  named(attribute)
  const length = readUpTo(USUAL, dir, name)
  return length === -ERRNO.ERANGE ? readUpTo(LARGEST, dir, name) : length
}

function readUpTo(most: number, dir: number, name: string): number {
  if (relative) {
    entry(name)
    args.writeUInt32LE(most, 8)
    args.writeUInt32LE(0, 12)
    const length = result(
      libc.xattrAt(SYS.getxattrat, dir, path, AT_SYMLINK_NOFOLLOW, key, args, args.length),
    )
    if (!mustWalk(length, name)) return length
  }
  at(dir, name)
  const call = name === '' ? libc.getxattr : libc.lgetxattr
  return result(call(path, key, scratch, most))
}

/** The value (a copy), or the negative errno: -61 (ENODATA) not set, -95 the disk has none. */
export function getXattr(dir: number, name: string, attribute: string): Buffer | number {
  const length = read(dir, name, attribute)
  return length < 0 ? length : Buffer.from(scratch.subarray(0, length))
}

/** 0 or the negative errno. Flags: 1 XATTR_CREATE, 2 XATTR_REPLACE. */
export function setXattr(
  dir: number,
  name: string,
  attribute: string,
  value: Buffer,
  flags = 0,
): number {
  named(attribute)
  if (relative && value.length <= LARGEST) {
    entry(name)
    value.copy(scratch)
    args.writeUInt32LE(value.length, 8)
    args.writeUInt32LE(flags, 12)
    const done = result(
      libc.xattrAt(SYS.setxattrat, dir, path, AT_SYMLINK_NOFOLLOW, key, args, args.length),
    )
    if (!mustWalk(done, name)) return done
  }
  at(dir, name)
  const call = name === '' ? libc.setxattr : libc.lsetxattr
  return result(call(path, key, value, value.length, flags))
}

/** 0 or the negative errno. */
export function removeXattr(dir: number, name: string, attribute: string): number {
  named(attribute)
  if (relative) {
    entry(name)
    const done = result(libc.removexattrAt(SYS.removexattrat, dir, path, AT_SYMLINK_NOFOLLOW, key))
    if (!mustWalk(done, name)) return done
  }
  at(dir, name)
  return result((name === '' ? libc.removexattr : libc.lremovexattr)(path, key))
}

/** Fills `scratch` with the names, each with a NUL; their length, or the negative errno. */
function readNames(dir: number, name: string): number {
  const length = readNamesUpTo(USUAL, dir, name)
  return length === -ERRNO.ERANGE ? readNamesUpTo(LARGEST, dir, name) : length
}

function readNamesUpTo(most: number, dir: number, name: string): number {
  if (relative) {
    entry(name)
    const length = result(
      libc.listxattrAt(SYS.listxattrat, dir, path, AT_SYMLINK_NOFOLLOW, scratch, most),
    )
    if (!mustWalk(length, name)) return length
  }
  at(dir, name)
  return result((name === '' ? libc.listxattr : libc.llistxattr)(path, scratch, most))
}

/** All attribute names; none where the disk has no attributes. Throws Errno otherwise. */
export const listXattr = (dir: number, name: string): string[] => namesRead(readNames(dir, name))

/** The same of an open file, whose descriptor is not O_PATH. */
export function listOpenXattr(fd: number): string[] {
  if (!relative) return listXattr(fd, '')
  path[0] = 0
  const length = result(libc.listxattrAt(SYS.listxattrat, fd, path, AT_EMPTY_PATH, scratch, USUAL))
  const again = length === -ERRNO.ERANGE || length === -ERRNO.ENOSYS
  return again ? listXattr(fd, '') : namesRead(length)
}

function namesRead(length: number): string[] {
  if (length === -ERRNO.EOPNOTSUPP || length === -ERRNO.ENOSYS) return []
  if (length < 0) throw new Errno(-length, 'listxattr')
  if (length === 0) return []
  return scratch.latin1Slice(0, length - 1).split('\0')
}
