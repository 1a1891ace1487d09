// What a thread is to the kernel: its number and its privileges.
//
// Rule: privileges here are those of the calling thread alone (the plain system calls, not
// libc's, which change all threads of a process). Limits belong to the whole process.

import { readFileSync } from 'node:fs'
import { Errno } from '../base/errno.ts'
import type { Brand } from '../base/path.ts'
import { errno, libc } from './libc.ts'
import { must } from './sys.ts'

const arm = process.arch === 'arm64'
const SYS = {
  gettid: arm ? 178 : 186,
  capget: arm ? 90 : 125,
  capset: arm ? 91 : 126,
  setgroups: arm ? 159 : 116,
  unshare: arm ? 97 : 272,
} as const

const RLIMIT_NOFILE = 7
const CAP_SYS_RESOURCE = 24
const CAP_VERSION_3 = 0x20080522

/** The calling thread's number: what the kernel shows as `pid` in its requests. */
export const threadId = (): number => must(libc.syscall0(SYS.gettid), 'gettid')

/** Raises the process's limit of open files to what it may be. Answers the limit. */
export function raiseFileLimit(): number {
  const limit = new BigUint64Array(2)
  const bytes = Buffer.from(limit.buffer)
  if (libc.getrlimit(RLIMIT_NOFILE, bytes) < 0) throw new Errno(errno(), 'getrlimit')
  limit[0] = limit[1]!
  if (libc.setrlimit(RLIMIT_NOFILE, bytes) < 0) throw new Errno(errno(), 'setrlimit')
  return Number(limit[0])
}

/**
 * Gives up CAP_SYS_RESOURCE in this thread, so that disk quotas and reserved blocks bind it as
 * they bind the callers it works for. Nothing happens where the thread has it not.
 */
export function dropResourcePrivilege(): void {
  setCapabilities(without(readCapabilities(), CAP_SYS_RESOURCE, 'all'))
}

/** What a thread may do: struct __user_cap_data of linux/capability.h, twice. */
export type Capabilities = Brand<Buffer, 'Capabilities'>

// struct __user_cap_header {version u32, pid s32}, then two of {effective, permitted, inheritable u32}
const capHeader = Buffer.alloc(8)
capHeader.writeUInt32LE(CAP_VERSION_3, 0)

/** The calling thread's. Throws Errno. */
export function readCapabilities(): Capabilities {
  const sets = Buffer.alloc(24) as Capabilities
  if (libc.syscall2p(SYS.capget, capHeader, sets) < 0) throw new Errno(errno(), 'capget')
  return sets
}

/** Throws Errno. */
export function setCapabilities(sets: Capabilities): void {
  if (libc.syscall2p(SYS.capset, capHeader, sets) < 0) throw new Errno(errno(), 'capset')
}

/** The same without one of the first 32; given up for good, or (`effective`) to be taken again. */
export function without(
  sets: Capabilities,
  capability: number,
  from: 'all' | 'effective',
): Capabilities {
  const less = Buffer.from(sets) as Capabilities
  for (const at of from === 'all' ? [0, 4, 8] : [0]) {
    less.writeUInt32LE((less.readUInt32LE(at) & ~(1 << capability)) >>> 0, at)
  }
  return less
}

/** The owner that files made by this thread get. The thread must have been root's. */
export function setFileOwner(uid: number, gid: number): void {
  // The group first: without root's uid it could not be set any more.
  if (uid === 0) libc.setfsuid(0)
  libc.setfsgid(gid)
  if (uid !== 0) libc.setfsuid(uid)
}

/** Supplementary groups of this thread. Answers 0 or the negative errno. */
export function setThreadGroups(groups: readonly number[]): number {
  const list = Buffer.alloc(Math.max(4, groups.length * 4))
  for (const [i, gid] of groups.entries()) list.writeUInt32LE(gid, i * 4)
  return libc.setgroups(SYS.setgroups, groups.length, list) < 0 ? -errno() : 0
}

const CLONE_FS = 0x200

/** Gives this thread a umask and a working directory of its own. Throws Errno. */
export function ownUmask(): void {
  if (libc.syscall1(SYS.unshare, CLONE_FS) < 0) throw new Errno(errno(), 'unshare')
}

const SIGKILL_BIT = 1n << 8n

/**
 * True where a thread of any process is about to die: of SIGKILL, or of another signal that ends
 * it, which the kernel tells each of its threads by a SIGKILL. False where it cannot be seen.
 */
export function isBeingKilled(thread: number): boolean {
  if (thread === 0) return false
  try {
    const pending = /^SigPnd:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${thread}/status`, 'utf8'))
    return pending !== null && (BigInt(`0x${pending[1]}`) & SIGKILL_BIT) !== 0n
  } catch {
    return false
  }
}
