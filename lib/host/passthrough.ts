// What a process must be to let the kernel read and write files for a FUSE mount by itself, and
// what must be known of such files.
//
// Rule: the kernel keeps the privileges of the thread that gives it a file, and writes with them.

import { readFileSync } from 'node:fs'
import { Errno } from '../base/errno.ts'
import { errno, libc } from './libc.ts'
import { sys } from './sys.ts'
import { type Capabilities, readCapabilities, setCapabilities, without } from './thread.ts'

/** Every id is mapped to something: only so is a user namespace the first one. */
const ALL_IDS = /^\s*0\s+0\s+4294967295\s*$/

/** True for root, but not for the root of a user namespace, whom the kernel refuses. */
export function mayPassThrough(): boolean {
  if (process.geteuid?.() !== 0) return false
  try {
    return ALL_IDS.test(readFileSync('/proc/self/uid_map', 'utf8'))
  } catch {
    return false
  }
}

const CAP_FSETID = 4

/** What the calling thread has, and that without CAP_FSETID; read once, for the fuse thread alone. */
let sets: { all: Capabilities; less: Capabilities } | null = null

/**
 * Gives the kernel a file that it may write: `device` is the mount's, the answer the number of
 * the file, or the negative errno. With CAP_FSETID each caller's write would keep setuid.
 */
export function passToWrite(device: number, fd: number): number {
  if (sets === null) {
    const all = readCapabilities()
    sets = { all, less: without(all, CAP_FSETID, 'effective') }
  }
  setCapabilities(sets.less)
  try {
    return sys.backingOpen(device, fd)
  } finally {
    setCapabilities(sets.all)
  }
}

const F_SETSIG = 10
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_UNLCK = 2
/** Ignored by default, should somebody open the file in the moment between. */
const SIGURG = 23

/**
 * True where any process has a file open for writing, or mapped: then nobody can get a lease to
 * read it. `fd` itself is open for reading.
 */
export function isOpenForWriting(fd: number): boolean {
  if (libc.fcntl(fd, F_SETSIG, SIGURG) < 0) throw new Errno(errno(), 'fcntl')
  if (libc.fcntl(fd, F_SETLEASE, F_RDLCK) < 0) return true
  libc.fcntl(fd, F_SETLEASE, F_UNLCK)
  return false
}
