// Who owns a store: the one process that holds flock(2) on run/lock.
//
// Rule: the kernel drops the lock with the process, whatever ends it; the text in the file
// only says who holds it and is never trusted for more than a message.

import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { ERRNO, Errno } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { sys } from '../host/sys.ts'
import type { StorePlaces } from './store-path.ts'

const EXCLUSIVE_NOW = 2 | 4

export interface StoreLock {
  release(): void
}

/** Takes the store for this process; fails with SVS_STORE_LOCKED where another has it. */
export function lockStore(places: StorePlaces, doing: string): StoreLock {
  // Node opens with O_CLOEXEC: no child keeps the lock beyond this process.
  const fd = openSync(places.lock, 'a+', 0o600)
  const taken = sys.flock(fd, EXCLUSIVE_NOW)
  if (taken < 0) {
    closeSync(fd)
    if (taken !== -ERRNO.EAGAIN) throw new Errno(-taken, 'flock')
    throw new Failure('SVS_STORE_LOCKED', places.root, lockHolder(places) ?? 'another process')
  }
  sayWho(fd, doing)
  return { release: () => closeSync(fd) }
}

function sayWho(fd: number, doing: string): void {
  try {
    ftruncateSync(fd, 0)
    writeSync(fd, `${process.pid} ${doing}\n`)
  } catch (err) {
    // The lock is taken all the same.
    if ((err as NodeJS.ErrnoException).code !== 'ENOSPC') throw err
  }
}

/** Process that holds, or held last, the lock of a store; null where none is known. */
export function lastHolder(places: StorePlaces): number | null {
  const [pid] = /^\d{1,9}(?= )/.exec(readFileSync(places.lock, 'utf8').slice(0, 20)) ?? []
  return pid === undefined ? null : Number(pid)
}

/** What the holder wrote about itself (`process 123, svsfs daemon`), or null. */
export function lockHolder(places: StorePlaces): string | null {
  const text = readFileSync(places.lock, 'utf8').slice(0, 200).trim()
  const [, pid, doing] = /^(\d{1,9}) (.*)$/.exec(text) ?? []
  return pid === undefined ? null : `process ${pid}, ${doing}`
}
