// What reaches the disk before what, and who holds the descriptors meanwhile.

import t from 'tap'
import type { HandleId, Job, NodeId } from '../../lib/fuse/filesystem.ts'
import { Parked } from '../../lib/fuse/filesystem.ts'
import { Stat } from '../../lib/host/stat.ts'
import { O, sys } from '../../lib/host/sys.ts'
import { FaultyDisk } from './disk-faults.ts'
import { diskIs } from './disk-type.ts'
import { CALLER, type Seen, viewOf } from './view-of.ts'

const HANDLE = 0 as HandleId

function jobOf(flush: () => void): Job | null {
  try {
    flush()
    return null
  } catch (err) {
    if (err instanceof Parked) return err.job
    throw err
  }
}

const fsync = (view: Seen, id: NodeId): Job | null =>
  jobOf(() => view.view.fsync(CALLER, id, HANDLE, false))
const fsyncdir = (view: Seen, id: NodeId): Job | null =>
  jobOf(() => view.view.fsyncdir(CALLER, id, HANDLE, false))

for (const type of ['ext4', 'tmpfs'] as const) {
  const parks = type === 'ext4'
  const how = parks ? 'waits for the disk aside' : 'is answered at once'
  t.test(`on ${type} a flush of a file or a directory ${how}`, async (t) => {
    diskIs(t, type)
    const { view } = await viewOf(t, { layers: [{ name: 'app', ro: { below: 'text' } }] })
    view.mkdir('d')
    view.write('d/file', 'text')
    const id = view.id('d/file')
    view.open(id, O.RDWR)
    for (const job of [fsync(view, id), fsyncdir(view, view.id('d'))]) {
      t.equal(job?.kind ?? null, parks ? 'fsync' : null)
      if (job !== null) view.view.abandon(job)
    }
    view.view.release(CALLER, id, HANDLE)
    const copied = jobOf(() => view.view.open(CALLER, view.id('below'), O.RDWR, false))
    t.equal(copied?.kind ?? null, parks ? 'fsync' : null, 'and so does a copy-up')
    if (copied === null) view.view.release(CALLER, view.id('below'), HANDLE)
    else view.view.abandon(copied)
  })
}

t.test('a flush whose caller was interrupted and closed the file still has it', async (t) => {
  diskIs(t, 'ext4')
  const { view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('file', 'text')
  const id = view.id('file')
  view.open(id, O.RDWR)
  const job = fsync(view, id)!
  const fd = job.kind === 'fsync' ? job.fd : -1
  const stat = new Stat()
  sys.stat(fd, '', stat)
  const { ino } = stat
  view.view.release(CALLER, id, HANDLE)
  view.write('other', 'takes the first free number')
  view.open(view.id('other'), O.RDWR)
  t.equal(sys.stat(fd, '', stat), 0)
  t.equal(stat.ino, ino)
  job.done = true
  view.view.abandon(job)
  t.ok(sys.stat(fd, '', stat) < 0 || stat.ino !== ino, 'it is given back')
  view.view.release(CALLER, view.id('other'), HANDLE)
})

t.test('the bytes of a linked file are on the disk before it says that they are', async (t) => {
  diskIs(t, 'ext4')
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: { file: 'x'.repeat(5000) } }] })
  view.chmod('file', 0o600)
  view.view.link(CALLER, 1 as NodeId, { node: view.id('file'), name: 'second' })
  const disk = new FaultyDisk()
  t.teardown(() => disk.remove())
  disk.arm(null)
  view.open(view.id('second'), O.RDWR)
  const { calls } = disk
  const mark = calls.findIndex((name) => name.toLowerCase().includes('removexattr'))
  const flush = calls.findIndex((name) => name === 'fsync' || name === 'fdatasync')
  const bytes = calls.findLastIndex((name) => name === 'pwrite' || name === 'copyFileRange')
  t.ok(bytes >= 0 && bytes < flush, 'bytes, then the flush')
  t.ok(flush < mark, 'then the mark')
  t.equal(view.read('file'), 'x'.repeat(5000))
  view.view.release(CALLER, view.id('second'), HANDLE)
})
