// A disk that fails, or a process that dies, at the k-th call that changes something.
//
//   arm('die', 3)    the third such call and all after it do nothing: the process is dead
//   arm('EIO', 3)    the third fails with EIO, the others succeed
//   arm('ENOSPC', 3) from the third on, whatever needs room on the disk fails
//
// Rule: it stands between lib/host and libc, so every change of a tree passes it. `close` and
// whatever only reads goes through, also in a dead process: descriptors are given back.

import koffi from 'koffi'
import { ERRNO } from '../../lib/base/errno.ts'
import { libc } from '../../lib/host/libc.ts'
import { O } from '../../lib/host/sys.ts'

export type Fault = 'die' | 'EIO' | 'ENOSPC'

type Call = (...args: unknown[]) => number

/** True for calls that need room: a full disk refuses these. */
const CHANGES = {
  openat: true,
  write: true,
  pwrite: true,
  ftruncate: false,
  fallocate: true,
  copyFileRange: true,
  ioctlInt: true,
  fsync: false,
  fdatasync: false,
  mkdirat: true,
  mknodat: true,
  symlinkat: true,
  linkat: true,
  unlinkat: false,
  renameat2: false,
  fchmod: false,
  chmod: false,
  fchmodat2: false,
  fchownat: false,
  utimensat: false,
  lsetxattr: true,
  setxattr: true,
  lremovexattr: false,
  removexattr: false,
  xattrAt: true,
  removexattrAt: false,
} as const

type Name = keyof typeof CHANGES

/** The call `xattrAt` reads by, with another number (lib/host/xattr.ts). */
const GETXATTRAT = 464
const MAKES = O.CREAT | O.TRUNC | (O.TMPFILE & ~O.DIRECTORY)

/** Thrown where the process would be gone. */
export class Died extends Error {
  override name = 'Died'
}

export class FaultyDisk {
  /** Changing calls since `arm`, by name. */
  readonly calls: Name[] = []
  /** The call that failed; null where there were not so many. */
  failed: Name | null = null
  #fault: Fault | null = null
  #at = 0
  readonly #true: { [N in Name]: Call }

  constructor() {
    const table = libc as { [N in Name]: Call }
    this.#true = { ...table }
    for (const name of Object.keys(CHANGES) as Name[]) {
      const real = this.#true[name]
      table[name] = (...args) => this.#call(name, real, args)
    }
  }

  /** Counts from here on. Without a fault nothing fails. */
  arm(fault: Fault | null, at = 0): void {
    this.calls.length = 0
    this.failed = null
    this.#fault = fault
    this.#at = at
  }

  /** All calls work again. */
  disarm(): void {
    this.#fault = null
    this.#at = 0
  }

  /** Gives libc back. */
  remove(): void {
    Object.assign(libc, this.#true)
  }

  #call(name: Name, real: Call, args: unknown[]): number {
    if (onlyReads(name, args)) return real(...args)
    this.calls.push(name)
    const count = this.calls.length
    if (this.#fault === null || count < this.#at) return real(...args)
    if (this.#fault === 'die') return this.#die(name, count)
    const fails = this.#fault === 'EIO' ? count === this.#at : CHANGES[name]
    if (!fails) return real(...args)
    this.failed ??= name
    return refuse(ERRNO[this.#fault])
  }

  // What would clean up after the exception is dead, too.
  #die(name: Name, count: number): number {
    this.failed ??= name
    if (count === this.#at) throw new Died(name)
    return refuse(ERRNO.EIO)
  }
}

function refuse(errno: number): number {
  koffi.errno(errno)
  return -1
}

const onlyReads = (name: Name, args: unknown[]): boolean =>
  (name === 'openat' && ((args[2] as number) & MAKES) === 0) ||
  (name === 'xattrAt' && args[0] === GETXATTRAT)
