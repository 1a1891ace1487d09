// Times that programs see of a view, where the disk's own are others.

import { readFileSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FATTR, type HandleId } from '../../lib/fuse/filesystem.ts'
import { Stat } from '../../lib/host/stat.ts'
import { O } from '../../lib/host/sys.ts'
import { Ctimes } from '../../lib/union/ctimes.ts'
import { mustReachDisk } from '../../lib/union/files.ts'
import { CALLER, NOTHING, type Seen, viewOf } from './view-of.ts'

const ctime = (view: Seen, path: string): string => {
  const { attr } = view.view.getattr(CALLER, view.id(path), null)
  return `${attr.ctime}.${attr.ctimeNsec}`
}

/** As the kernel tells when it changed a file that it keeps the times of. */
function tellCtime(view: Seen, path: string, seconds: number, nsec: number): void {
  const request = { ...NOTHING, valid: FATTR.CTIME, ctime: seconds, ctimeNsec: nsec }
  view.run(() => view.view.setattr(CALLER, view.id(path), request))
}

t.test('the ctime that the kernel told is shown until the file changes again', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('f', 'text')
  tellCtime(view, 'f', 1_700_000_000, 123_456_789)
  t.equal(ctime(view, 'f'), '1700000000.123456789')
  view.view.forget(view.id('f'), 1000)
  t.equal(ctime(view, 'f'), '1700000000.123456789', 'when the kernel forgot the file')
  view.view.destroy()
  const again = layers.view(['app'])
  t.equal(ctime(again, 'f'), '1700000000.123456789', 'after a remount')
  again.chmod('f', 0o600)
  t.not(ctime(again, 'f'), '1700000000.123456789')
})

t.test('a copy-up moves no ctime', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { 'd/e/f': 'text' } }],
    base: { 'b/c': 'base' },
  })
  const paths = ['d', 'd/e', 'd/e/f', 'b', 'b/c']
  const before = paths.map((path) => ctime(view, path))
  for (const path of ['d/e/f', 'b/c']) {
    view.open(view.id(path), O.RDWR)
    view.view.release(CALLER, view.id(path), 0 as HandleId)
  }
  t.same(layers.namesInRw('app'), ['b', 'd'])
  t.same(
    paths.map((path) => ctime(view, path)),
    before,
  )
  view.view.destroy()
  const again = layers.view(['app'])
  t.same(
    paths.map((path) => ctime(again, path)),
    before,
  )
})

t.test('times are written down once for all files that have others than the disk', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('f', 'text')
  tellCtime(view, 'f', 1, 2)
  view.view.destroy()
  t.equal(readFileSync(join(layers.dir, 'app/rw.ctimes')).length, 56)
  const again = layers.view(['app'])
  t.equal(ctime(again, 'f'), '1.2')
})

t.test('of very many files the newest times are kept', (t) => {
  const ctimes = new Ctimes(null)
  const stat = new Stat()
  const shown = { seconds: 1, nsec: 2 }
  const last = 300_000
  for (let ino = 1; ino <= last; ino++) {
    stat.bytes.writeUInt32LE(ino, 32)
    ctimes.keep(stat, shown)
  }
  const ofFile = (ino: number) => {
    stat.bytes.writeUInt32LE(ino, 32)
    return ctimes.shown(stat).seconds
  }
  for (const ino of [last, last - 1000, last - 30_000]) t.equal(ofFile(ino), 1, `file ${ino}`)
  for (const ino of [1, 1000, last - 70_000]) t.equal(ofFile(ino), 0, `file ${ino}, long ago`)
  t.end()
})

t.test('the cache is kept where a read changes no access time', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('f', 'text')
  const id = view.id('f')
  view.open(id, O.RDONLY)
  const node = view.view.node(id)
  t.ok(mustReachDisk(node, O.RDONLY), 'changed since it was read')
  t.notOk(mustReachDisk(node, O.WRONLY))
  t.notOk(mustReachDisk(node, O.RDWR | O.NOATIME))
  const at = join(layers.dir, 'app/rw/f')
  utimesSync(at, new Date(Date.now() + 60_000), statSync(at).mtime)
  t.notOk(mustReachDisk(node, O.RDONLY), 'read since')
  view.view.release(CALLER, id, 0 as HandleId)
})
