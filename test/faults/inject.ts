// Loaded into a daemon before its own code (`node --import`): makes chosen system calls of its
// threads fail, and chosen operations of its views throw, as the lines of a file say.
//
//   SVSFS_TEST_FAULTS=/path/to/file       looked at before each call, so that a test can change it
//     copyFileRange EIO bad               the call fails where a descriptor's path, or a name, has "bad" in it
//     getattr throws odd                  the view's method throws a TypeError for such a path

import { readFileSync, readlinkSync } from 'node:fs'
import koffi from 'koffi'
import { ERRNO, type ErrnoName } from '../../lib/base/errno.ts'
import type { NodeId } from '../../lib/fuse/filesystem.ts'
import { libc } from '../../lib/host/libc.ts'
import { View } from '../../lib/union/view.ts'

type Call = (...args: unknown[]) => number

const file = process.env.SVSFS_TEST_FAULTS ?? ''

function faults(): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
  } catch {
    return []
  }
}

const CALLS = [
  'pread',
  'pwrite',
  'copyFileRange',
  'fsync',
  'fdatasync',
  'renameat2',
  'mkdirat',
] as const

for (const name of CALLS) {
  const original = libc[name] as Call
  ;(libc as Record<string, unknown>)[name] = (...args: unknown[]) => {
    const fault = faults().find(([call, , part]) => call === name && about(args, part ?? ''))
    if (fault === undefined) return original(...args)
    koffi.errno(ERRNO[fault[1] as ErrnoName])
    return -1
  }
}

/** True where one of the call's descriptors, or a name it was given, has the text in it. */
function about(args: readonly unknown[], part: string): boolean {
  return args.some((arg) => {
    if (Buffer.isBuffer(arg)) return arg.length === 8192 && nameIn(arg).includes(part)
    return typeof arg === 'number' && arg > 2 && pathOf(arg).includes(part)
  })
}

const nameIn = (bytes: Buffer): string => bytes.latin1Slice(0, bytes.indexOf(0))

function pathOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

const METHODS = [
  'lookup',
  'getattr',
  'setattr',
  'open',
  'read',
  'write',
  'unlink',
  'release',
] as const

for (const name of METHODS) {
  const methods = View.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
  const original = methods[name]!
  methods[name] = function (this: View, ...args: unknown[]) {
    const last = typeof args[2] === 'string' ? `/${args[2]}` : ''
    for (const [method, how, part] of faults()) {
      if (method !== name || how !== 'throws') continue
      if (`${this.pathOf(args[1] as NodeId)}${last}`.includes(part ?? ''))
        throw new TypeError(`injected into ${name}`)
    }
    return original.apply(this, args)
  }
}
