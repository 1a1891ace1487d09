// A store's layer for the tests of states: directories, a catalogue, random trees, and what a
// tree looks like from outside.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { joinPath, type RelPath, ROOT, relPath } from '../../lib/base/path.ts'
import { listDirectory } from '../../lib/host/directory.ts'
import { Stat } from '../../lib/host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../../lib/host/sys.ts'
import { getXattr, listXattr, setXattr } from '../../lib/host/xattr.ts'
import { clearMark, ownPrefix, setMark } from '../../lib/layer/marks.ts'
import { type Catalogue, openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { readFull } from '../../lib/snapshot/file-data.ts'
import type { LayerRecord, SnapshotRecord } from '../../lib/snapshot/records.ts'
import { applyRedo } from '../../lib/snapshot/redo.ts'
import { buildState, finishRestore, prepareRestore } from '../../lib/snapshot/restore.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'

export const isRoot = process.geteuid?.() === 0

export interface Lab {
  readonly dir: string
  readonly catalogue: Catalogue
  readonly layer: LayerRecord
  readonly dirs: {
    rw: string
    numbers: string
    work: string
    ro: string[]
    area: null
  }
  snapshot(message?: string): Promise<SnapshotRecord>
  restore(snapshot: SnapshotRecord): Promise<void>
}

export const layerRecord = (): LayerRecord => ({
  id: 'l1',
  name: 'app',
  tag: 1,
  created: 1,
  ro: { version: 1, digest: 'a'.repeat(64), entries: 1, bytes: 0 },
  versions: [],
  rw: 1,
  active: false,
  priority: 0,
  excludes: [],
  manifest: {},
})

/** A directory that goes with the test. */
export function placeOf(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-state-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export async function labOf(t: Test): Promise<Lab> {
  const dir = placeOf(t)
  for (const name of ['rw/1', 'ro/1', 'work']) mkdirSync(join(dir, name), { recursive: true })
  const catalogue = await openCatalogue(join(dir, 'catalogue'))
  t.teardown(() => catalogue.close())
  const layer = layerRecord()
  const dirs = {
    rw: join(dir, 'rw/1'),
    numbers: join(dir, 'rw/1.numbers'),
    work: join(dir, 'work'),
    ro: [join(dir, 'ro/1')],
    area: null,
  }
  return {
    dir,
    catalogue,
    layer,
    dirs,
    async snapshot(message = '') {
      const { snapshot } = await takeSnapshot({ catalogue, layer, dirs, message, allowEmpty: true })
      return snapshot
    },
    async restore(snapshot) {
      const { redo } = await prepareRestore({ catalogue, layer, snapshot, dirs })
      await catalogue.putPlan(redo)
      applyRedo(dirs, redo)
      await finishRestore(catalogue, dirs, redo)
    },
  }
}

/** Numbers from a seed: the same run again finds the same failure. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

type Random = (below: number) => number

export function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(random(0xffff_ffff), at)
  return bytes
}

const NAMES = ['a', 'a.b', 'b', 'c c', 'é\x80\xff', '-x', 'zz', `n${'\n'}l`, 'dir', 'sub']

/** Changes a tree at random: makes, writes, links, renames, deletes. */
export function mutate(root: string, random: Random, steps: number): void {
  const fd = must(sys.openat(AT_FDCWD, root, O.RDONLY | O.DIRECTORY))
  try {
    for (let step = 0; step < steps; step++) mutateOnce(fd, random)
  } finally {
    sys.close(fd)
  }
}

function mutateOnce(root: number, random: Random): void {
  const dirs = pathsOf(root, (mode) => (mode & S.IFMT) === S.IFDIR)
  const others = pathsOf(root, (mode) => (mode & S.IFMT) !== S.IFDIR)
  const path = joinPath(dirs[random(dirs.length)]!, NAMES[random(NAMES.length)]!)
  const other = others[random(Math.max(1, others.length))]
  switch (random(15)) {
    case 14:
      metacopy(root, random, path)
      return

    case 0:
    case 1:
      sys.mkdirat(root, path, 0o700 + random(8) * 8)
      return
    case 2:
      sys.symlinkat(`t\xff${random(9)}`, root, path)
      return
    case 3:
      sys.mknodat(root, path, S.IFCHR, 0)
      return
    case 4:
      sys.mknodat(root, path, S.IFIFO | 0o640, 0)
      return
    case 5:
      if (other !== undefined) sys.linkat(root, other, root, path)
      return
    case 6:
      sys.renameat(root, dirs[random(dirs.length)]!, root, path)
      return
    case 7:
      if (other !== undefined) sys.unlinkat(root, other)
      return
    case 8:
      decorate(root, random, dirs[random(dirs.length)]!, true)
      return
    case 9:
      if (other !== undefined) decorate(root, random, other, false)
      return
    default:
      writeSome(root, random, random(3) === 0 && other !== undefined ? other : path)
  }
}

function writeSome(root: number, random: Random, path: string): void {
  const fd = sys.openat(root, path, O.RDWR | O.CREAT | O.NOFOLLOW | O.NONBLOCK, 0o600)
  if (fd < 0) return
  const stat = new Stat()
  must(sys.stat(fd, '', stat))
  if ((stat.mode & S.IFMT) === S.IFREG) {
    // As the union does when a metacopy gets bytes.
    clearMark(fd, '', 'metacopy', ownPrefix())
    const bytes = randomBytes(random, random(3) * 1000 + random(200))
    // Far behind the end now and then: a hole.
    sys.pwrite(fd, bytes, bytes.length, random(4) === 0 ? 65536 * random(60) : random(500))
    if (random(4) === 0) sys.ftruncate(fd, random(200_000))
    sys.fchmod(fd, 0o600 + random(2) * 0o4055)
  }
  sys.close(fd)
}

// Attributes alone: the bytes lie in the read-only sublayer.
function metacopy(root: number, random: Random, path: string): void {
  const fd = sys.openat(root, path, O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW, 0o644)
  if (fd < 0) return
  sys.ftruncate(fd, 1 + random(100_000))
  setMark(fd, '', 'metacopy', ownPrefix())
  sys.close(fd)
}

function decorate(root: number, random: Random, path: string, isDir: boolean): void {
  const fd = must(sys.openat(root, path || '.', O.PATH | O.NOFOLLOW))
  setXattr(fd, '', `user.x${random(3)}`, randomBytes(random, random(40)))
  if (isDir && random(2) === 0) setMark(fd, '', 'opaque', ownPrefix())
  if (isDir && random(4) === 0)
    setMark(fd, '', 'redirect', ownPrefix(), relPath(`old/\xfe${random(3)}`))
  if (isDir && random(9) === 0) setMark(fd, '', 'veil', ownPrefix())
  if (isRoot && random(2) === 0) sys.chownat(fd, '', random(3), random(3))
  sys.utimensat(fd, '', 5, 6, random(1000) - 500, random(1e9))
  sys.close(fd)
}

function pathsOf(root: number, wanted: (mode: number) => boolean): RelPath[] {
  const found: RelPath[] = wanted(S.IFDIR) ? [ROOT] : []
  const stat = new Stat()
  const visit = (dir: RelPath) => {
    for (const { name } of listDirectory(root, dir)) {
      const path = joinPath(dir, name)
      must(sys.stat(root, path, stat))
      const { mode } = stat
      if (wanted(mode)) found.push(path)
      if ((mode & S.IFMT) === S.IFDIR) visit(path)
    }
  }
  visit(ROOT)
  return found.sort()
}

/** All that a state must bring back of a tree, one line a name: attributes, bytes, links, holes. */
export function describeTree(root: string): string[] {
  const fd = must(sys.openat(AT_FDCWD, root, O.RDONLY | O.DIRECTORY))
  try {
    const firsts = new Map<number, string>()
    return pathsOf(fd, () => true).map((path) => describe(fd, path, firsts))
  } finally {
    sys.close(fd)
  }
}

function describe(root: number, path: RelPath, firsts: Map<number, string>): string {
  const fd = must(sys.openat(root, path || '.', O.PATH | O.NOFOLLOW))
  const stat = new Stat()
  must(sys.stat(fd, '', stat))
  const { mode, uid, gid, mtime, mtimeNsec, rdev, size, blocks, ino } = stat
  const type = mode & S.IFMT
  const fields: unknown[] = [path, mode, uid, gid, mtime, mtimeNsec, rdev]
  for (const name of listXattr(fd, '').sort())
    fields.push(name, (getXattr(fd, '', name) as Buffer).toString('hex'))
  if (type !== S.IFDIR) fields.push(firsts.get(ino) ?? 'first')
  if (type !== S.IFDIR && !firsts.has(ino)) firsts.set(ino, path)
  if (type === S.IFREG) fields.push(size, blocks, hashFile(fd, size))
  if (type === S.IFLNK) {
    const target = Buffer.alloc(4096)
    fields.push(target.latin1Slice(0, must(sys.readlinkat(fd, '', target))))
  }
  sys.close(fd)
  return JSON.stringify(fields)
}

function hashFile(path: number, size: number): string {
  const fd = must(sys.reopen(path, O.RDONLY))
  const bytes = Buffer.alloc(size)
  readFull(fd, bytes, 0)
  sys.close(fd)
  return bytes.toString('base64')
}

/** The tree that a state of the lab becomes where it is made anew, as `describeTree` tells it. */
export async function treeOf(
  { catalogue, dir, dirs }: Lab,
  snapshot: SnapshotRecord,
): Promise<string[]> {
  const rw = join(dir, 'built')
  mkdirSync(rw)
  try {
    await buildState({ catalogue, snapshot, ro: dirs.ro, rw, numbers: null })
    return describeTree(rw)
  } finally {
    rmSync(rw, { recursive: true, force: true })
  }
}
