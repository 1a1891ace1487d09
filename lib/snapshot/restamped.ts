// What a restore has just put in place, by the stamps that the disk gave it: the next state, or the next
// plan, need not read it to know what it is.
//
//   applyRedo ─▶ noteStamps ─▶ work/restore-<id>/stamps ─▶ readStamps ─▶ Restamped ─▶ scan, plan
//              └─ in one step ─┘
//
// Rule: only what the restore itself placed or wrote is noted, in the step that did it and no later time,
// and only where the disk's clock has gone on since: so whatever is written afterwards has another stamp.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, O, S, sys, UTIME_NOW } from '../host/sys.ts'
import { readFull } from './file-data.ts'
import { LastDir } from './last-dir.ts'
import { writeFull } from './readable.ts'
import { openStage, type RedoDirs, type RedoPlan, stageName } from './redo.ts'
import type { Stamp } from './tree.ts'

/** Stamps of files that are as the entries of a state have them. */
export interface Restamped {
  readonly state: string
  /** The writable sublayer. */
  readonly rw: number
  readonly stamps: ReadonlyMap<RelPath, Stamp>
}

/** Smaller files are read as fast as this is done. */
const SMALLEST = 64 * 1024
/** So many names of a plan are looked at. */
const MOST = 5000
/** So often the clock is waited for, a millisecond each time. */
const TRIES = 15
const FILE = 'stamps'
/** Bytes of its file. */
const LARGEST = 8 * 1024 * 1024

/** Right after `applyRedo`, while nothing else can change the sublayer. Never fails what was restored. */
export function noteStamps(dirs: RedoDirs, plan: RedoPlan): void {
  const found = stampsOf(dirs, plan)
  if (found.length === 0) return
  const stage = openStage(dirs, plan)
  try {
    if (
      !clockGoesOn(
        stage,
        found.map(([, stamp]) => stamp),
      )
    )
      return
    const lines = found.map(([path, { ino, ctime, ctimeNsec }]) => [path, ino, ctime, ctimeNsec])
    const fd = sys.openat(stage, FILE, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600)
    if (fd < 0) return
    try {
      writeFull(fd, Buffer.from(JSON.stringify(lines)), 0)
    } catch {
      // A full disk: then the next state reads what it would not have had to.
      sys.unlinkat(stage, FILE)
    } finally {
      sys.close(fd)
    }
  } finally {
    sys.close(stage)
  }
}

function stampsOf(dirs: RedoDirs, { steps }: RedoPlan): [RelPath, Stamp][] {
  const found: [RelPath, Stamp][] = []
  const last = new LastDir(dirs.rw)
  const stat = new Stat()
  let looked = 0
  try {
    for (const { op, path } of steps) {
      if (op !== 'place' && op !== 'rewrite') continue
      if ((looked += 1) > MOST) break
      const dir = last.at(parentPath(path))
      if (dir === null || sys.stat(dir, baseName(path), stat) < 0) continue
      const { mode, size, ino, ctime, ctimeNsec } = stat
      if ((mode & S.IFMT) === S.IFREG && size >= SMALLEST)
        found.push([path, { ino, ctime, ctimeNsec }])
    }
    return found
  } finally {
    last.close()
  }
}

// By the disk's own clock, which may be another than the machine's, and coarse.
function clockGoesOn(stage: number, stamps: readonly Stamp[]): boolean {
  const stat = new Stat()
  const name = 'clock'
  const fd = sys.openat(stage, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600)
  if (fd < 0) return false
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      if (sys.utimensat(fd, '', 0, UTIME_NOW, 0, UTIME_NOW) < 0) return false
      if (sys.stat(fd, '', stat) < 0) return false
      const { ctime, ctimeNsec } = stat
      const isLater = (stamp: Stamp) =>
        ctime > stamp.ctime || (ctime === stamp.ctime && ctimeNsec > stamp.ctimeNsec)
      if (stamps.every(isLater)) return true
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
    return false
  } finally {
    sys.close(fd)
    sys.unlinkat(stage, name)
  }
}

/** What was noted of a plan that is applied; null where nothing was. */
export function readStamps(dirs: RedoDirs, plan: RedoPlan): Restamped['stamps'] | null {
  const fd = sys.openat(AT_FDCWD, `${dirs.work}/${stageName(plan)}/${FILE}`, O.RDONLY | O.NOFOLLOW)
  if (fd < 0) return null
  try {
    const stat = new Stat()
    if (sys.stat(fd, '', stat) < 0 || stat.size > LARGEST) return null
    const bytes = Buffer.alloc(stat.size)
    readFull(fd, bytes, 0)
    const lines = JSON.parse(bytes.toString()) as [RelPath, number, number, number][]
    return new Map(lines.map(([path, ino, ctime, ctimeNsec]) => [path, { ino, ctime, ctimeNsec }]))
  } catch {
    return null
  } finally {
    sys.close(fd)
  }
}

/** Of a state, in a sublayer; null where they are of another. */
export const stampsFor = (
  restamped: Restamped | null | undefined,
  state: string | undefined,
  rw: number,
): Restamped['stamps'] | null =>
  restamped != null && restamped.state === state && restamped.rw === rw ? restamped.stamps : null
