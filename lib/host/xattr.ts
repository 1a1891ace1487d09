// Extended attributes of a name in a directory, never of what a link points to.
//
// A name is reached as /proc/self/fd/DIR/NAME, which no directory can be exchanged under;
// the file behind an O_PATH descriptor as /proc/self/fd/FD, which is followed.
// Attribute names are latin1 text, values are bytes.

import { ERRNO, Errno } from '../base/errno.ts'
import { errno, libc } from './libc.ts'

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const LARGEST = 65536

const path = Buffer.alloc(8192)
const key = Buffer.alloc(512)
const scratch = Buffer.alloc(LARGEST)

function at(dir: number, name: string): void {
  const text = name === '' ? `/proc/self/fd/${dir}` : `/proc/self/fd/${dir}/${name}`
  path[path.latin1Write(text, 0)] = 0
}

function named(attribute: string): void {
  if (attribute.length > 255) throw new Errno(ERRNO.ERANGE, 'xattr')
  key[key.latin1Write(attribute, 0)] = 0
}

const result = (value: number): number => (value < 0 ? -errno() : value)

/** The value (a copy), or the negative errno: -61 (ENODATA) not set, -95 the disk has none. */
export function getXattr(dir: number, name: string, attribute: string): Buffer | number {
  at(dir, name)
  named(attribute)
  const call = name === '' ? libc.getxattr : libc.lgetxattr
  const length = result(call(path, key, scratch, scratch.length))
  return length < 0 ? length : Buffer.from(scratch.subarray(0, length))
}

/** True where the attribute is set to exactly this value; false also where the disk has none. */
export function xattrIs(dir: number, name: string, attribute: string, value: string): boolean {
  at(dir, name)
  named(attribute)
  const call = name === '' ? libc.getxattr : libc.lgetxattr
  const length = call(path, key, scratch, scratch.length)
  return length === value.length && scratch.latin1Slice(0, length) === value
}

/** 0 or the negative errno. Flags: 1 XATTR_CREATE, 2 XATTR_REPLACE. */
export function setXattr(
  dir: number,
  name: string,
  attribute: string,
  value: Buffer,
  flags = 0,
): number {
  at(dir, name)
  named(attribute)
  const call = name === '' ? libc.setxattr : libc.lsetxattr
  return result(call(path, key, value, value.length, flags))
}

/** 0 or the negative errno. */
export function removeXattr(dir: number, name: string, attribute: string): number {
  at(dir, name)
  named(attribute)
  return result((name === '' ? libc.removexattr : libc.lremovexattr)(path, key))
}

/** All attribute names; none where the disk has no attributes. Throws Errno otherwise. */
export function listXattr(dir: number, name: string): string[] {
  at(dir, name)
  const call = name === '' ? libc.listxattr : libc.llistxattr
  const length = result(call(path, scratch, scratch.length))
  if (length === -ERRNO.EOPNOTSUPP || length === -ERRNO.ENOSYS) return []
  if (length < 0) throw new Errno(-length, 'listxattr')
  if (length === 0) return []
  return scratch.latin1Slice(0, length - 1).split('\0')
}
