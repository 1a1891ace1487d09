// A disk that refuses: from the n-th changing system call on, calls fail with an errno.
//
//   const refused = refuse('ENOSPC', 3)     two changes go well, the third and all later ones fail
//   … ; refused.end()                       refused.hit: whether it came to that
//
// Rule: what takes no room (removing, cutting, times, modes, looking) goes on working, as on a
// full disk.

import koffi from 'koffi'
import { ERRNO, type ErrnoName } from '../../lib/base/errno.ts'
import { libc } from '../../lib/host/libc.ts'
import { O, RENAME_WHITEOUT } from '../../lib/host/sys.ts'

type Call = (...args: unknown[]) => number
type Name = keyof typeof libc

/** Calls that may need room on a disk. */
const CHANGES: readonly Name[] = [
  'openat',
  'write',
  'pwrite',
  'ftruncate',
  'fallocate',
  'copyFileRange',
  'fsync',
  'fdatasync',
  'mkdirat',
  'mknodat',
  'symlinkat',
  'linkat',
  'renameat2',
  'fchownat',
  'lsetxattr',
  'setxattr',
]

/** How many of the calls fail: all from there on, or that one alone. */
export type Span = 'from then on' | 'once'

export class Refusal {
  /** The calls that were counted, in order. */
  readonly calls: string[] = []
  hit = false
  readonly #originals = new Map<Name, Call>()

  constructor(code: ErrnoName, at: number, span: Span) {
    for (const name of CHANGES) {
      const original = libc[name] as Call
      this.#originals.set(name, original)
      put(name, (...args) => {
        if (!takesRoom(name, args)) return original(...args)
        const count = this.calls.push(name)
        const fails = count === at || (span === 'from then on' && count > at && !undoes(name, args))
        if (!fails) return original(...args)
        this.hit = true
        koffi.errno(ERRNO[code])
        return -1
      })
    }
  }

  end(): void {
    for (const [name, original] of this.#originals) put(name, original)
  }
}

function takesRoom(name: Name, args: readonly unknown[]): boolean {
  if (name === 'openat') return ((args[2] as number) & (O.CREAT | 0o20000000)) !== 0
  return name !== 'ftruncate' || args[1] !== 0
}

/** A rename back needs no room in a directory that just lost the name; a whiteout needs an inode. */
const undoes = (name: Name, args: readonly unknown[]): boolean =>
  name === 'renameat2' && ((args[4] as number) & RENAME_WHITEOUT) === 0

const put = (name: Name, call: Call): void => {
  ;(libc as Record<Name, unknown>)[name] = call
}

export const refuse = (code: ErrnoName, at: number, span: Span): Refusal =>
  new Refusal(code, at, span)
