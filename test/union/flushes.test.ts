// What reaches the disk before what, and who holds the descriptors meanwhile.

import t from 'tap'
import type { HandleId, Job, NodeId } from '../../lib/fuse/filesystem.ts'
import { Parked } from '../../lib/fuse/filesystem.ts'
import { Stat } from '../../lib/host/stat.ts'
import { O, sys } from '../../lib/host/sys.ts'
import { FaultyDisk } from './disk-faults.ts'
import { CALLER, type Seen, viewOf } from './view-of.ts'

const HANDLE = 0 as HandleId

function parkedFsync(view: Seen, id: NodeId): Job {
  try {
    view.view.fsync(CALLER, id, HANDLE, false)
  } catch (err) {
    if (err instanceof Parked) return err.job
    throw err
  }
  throw new Error('fsync was not parked')
}

t.test('a flush whose caller was interrupted and closed the file still has it', async (t) => {
  const { view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('file', 'text')
  const id = view.id('file')
  view.open(id, O.RDWR)
  const job = parkedFsync(view, id)
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
