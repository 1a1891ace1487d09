// Where tests and demo may work: a new directory on a disk with room, that can hold what a
// store needs. In a container /tmp is often an overlayfs, which cannot; a mounted volume can.

import { existsSync, mkdtempSync, rmdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../../lib/base/failure.ts'
import { probeDisk } from '../../lib/daemon/store-probe.ts'

export interface Place {
  readonly dir: string
  readonly freeBytes: number
}

/** Makes a directory in the first place that will do. Throws, with each place's reason, where none does. */
export function findPlace(prefix: string, roomBytes: number): Place {
  const reasons: string[] = []
  for (const parent of [tmpdir(), '/var/tmp', process.cwd(), '/dev/shm']) {
    if (!existsSync(parent)) continue
    const { bavail, bsize } = statfsSync(parent)
    const freeBytes = bavail * bsize
    const reason = freeBytes < roomBytes ? 'too little room' : null
    const place = reason === null ? tryPlace(parent, prefix) : { reason }
    if ('dir' in place) return { dir: place.dir, freeBytes }
    reasons.push(`${parent}: ${place.reason}`)
  }
  throw new Error(`no place to work in; set TMPDIR to one\n  ${reasons.join('\n  ')}`)
}

function tryPlace(parent: string, prefix: string): { dir: string } | { reason: string } {
  let dir: string | null = null
  try {
    dir = mkdtempSync(join(parent, prefix))
    probeDisk(dir)
    return { dir }
  } catch (err) {
    if (dir !== null) rmdirSync(dir)
    if (err instanceof Failure) return { reason: err.message }
    const { code } = err as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return { reason: code }
    throw err
  }
}
