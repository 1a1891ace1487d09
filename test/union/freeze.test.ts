// A frozen image: what a writable sublayer was, while it goes on changing.

import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { relPath } from '../../lib/base/path.ts'
import { type Job, type NodeId, Parked } from '../../lib/fuse/filesystem.ts'
import { AT_FDCWD, O, sys } from '../../lib/host/sys.ts'
import { ownPrefix } from '../../lib/layer/marks.ts'
import { openImage } from '../../lib/snapshot/image.ts'
import { Freeze, type FreezeOptions } from '../../lib/union/freeze.ts'
import { CALLER, type Layers, type Seen, viewOf } from './view-of.ts'

function freeze(layers: Layers, options: FreezeOptions = {}): { freeze: Freeze; area: string } {
  const area = join(layers.dir, 'area')
  mkdirSync(area)
  const branch = layers.pool.writable('app')!
  const fd = sys.openat(AT_FDCWD, area, O.PATH | O.DIRECTORY)
  return { freeze: new Freeze(1, branch, fd, options), area }
}

const kinds = (area: string): string[] =>
  readdirSync(area)
    .map((name) => name.replace(/-.*/, ''))
    .sort()

async function written(t: {
  teardown(act: () => void): void
}): Promise<{ layers: Layers; view: Seen }> {
  const made = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/ro': 'ro' } }] })
  made.view.mkdir('w')
  made.view.write('w/f', 'before')
  return made
}

t.test('bytes are preserved once, before they first change', async (t) => {
  const { layers, view } = await written(t)
  const { freeze: image, area } = freeze(layers)
  t.same(kinds(area), [], 'nothing is copied at the instant')
  view.write('w/f', 'after')
  view.write('w/f', 'later')
  const data = readdirSync(area).find((name) => name.startsWith('data-'))!
  t.equal(readFileSync(join(area, data), 'utf8'), 'before')
  t.same(kinds(area), ['attr', 'data'])
  image.thaw()
})

t.test('a removed file stays in the image, and is not counted as a link', async (t) => {
  const { layers, view } = await written(t)
  const { freeze: image, area } = freeze(layers)
  view.rename('w/f', 'w/g')
  const links = () => view.view.getattr(CALLER, view.id('w/g'), null).attr.nlink
  t.equal(links(), 1)
  t.ok(kinds(area).includes('list') && kinds(area).includes('link'))
  t.same(image.thaw(), [])
  t.equal(links(), 1, 'though the area is still there')
})

t.test('a whiteout that a new name replaces stays in the image', async (t) => {
  const { layers, view } = await written(t)
  view.unlink('d/ro')
  const { freeze: image, area } = freeze(layers)
  view.write('d/ro', 'new')
  t.ok(kinds(area).includes('link'))
  image.thaw()
})

t.test('what the image alone held is let go by who has time for it', async (t) => {
  const { layers, view } = await written(t)
  const { freeze: image, area } = freeze(layers)
  view.unlink('w/f')
  t.ok(kinds(area).includes('link'))
  const orphans = image.thaw()
  t.equal(orphans.length, 1)
  for (const fd of orphans) sys.close(fd)
  t.notOk(kinds(area).includes('link'))
})

t.test('what is born after the instant is not preserved', async (t) => {
  const { layers, view } = await written(t)
  const { freeze: image, area } = freeze(layers)
  view.mkdir('w/new')
  view.write('w/new/f', 'one')
  view.write('w/new/f', 'two')
  view.unlink('w/new/f')
  view.rmdir('w/new')
  t.same(kinds(area), ['attr', 'list'], 'only that `w` had another list')
  image.thaw()
})

t.test('after the thaw nothing is kept any more', async (t) => {
  const { layers, view } = await written(t)
  const { freeze: image, area } = freeze(layers)
  image.thaw()
  view.write('w/f', 'after')
  t.same(kinds(area), [])
})

t.test('of a large directory each change tells its name and some of the others', async (t) => {
  const { layers, view } = await written(t)
  const names = Array.from({ length: 400 }, (_, i) => `name-${i}`)
  for (const name of names) view.write(`w/${name}`, '')
  const { freeze: image, area } = freeze(layers, { slice: 1024 })
  const told = () => {
    const list = readdirSync(area).find((name) => name.startsWith('list-'))!
    return readFileSync(join(area, list), 'utf8').split('\n').length - 1
  }
  const was = [...names, 'f'].sort().join()
  const counts: number[] = []
  for (let i = 0; i < 20; i++) {
    view.write(`w/new-${i}`, '')
    counts.push(told())
    view.rename(`w/name-${i * 20}`, `w/moved-${i}`)
    view.unlink(`w/name-${i * 20 + 1}`)
    t.equal(namesIn(layers, area, 'w'), was)
  }
  t.ok(counts[0]! < 50, `${counts[0]} at first`)
  t.ok(counts.at(-1)! > 400, `${counts.at(-1)} in the end`)
  t.equal(counts.at(-2), counts.at(-1), 'and no more when all are told')
  for (const fd of image.thaw()) sys.close(fd)
})

function namesIn(layers: Layers, area: string, dir: string): string {
  const image = openImage({ rw: layers.specs.get('app')!.rw!, ro: [], numbers: null, area }, 'user')
  const names = [...image.entries([relPath(dir)])].map(({ entry }) => entry.path)
  image.close()
  const below = names.filter((path) => path.startsWith(`${dir}/`))
  return below.map((path) => path.slice(dir.length + 1)).join()
}

/** What an image has as a file's bytes, also where they are the read-only file's. */
function imageOf(layers: Layers, area: string, path: string): string {
  const { rw, ro } = layers.specs.get('app')!
  const lower = ro.map(({ path: root }) => root)
  const image = openImage({ rw: rw!, ro: lower, numbers: null, area }, ownPrefix())
  try {
    for (const { entry, open, lower: below } of image.visit(relPath(path), false)) {
      if (entry.marks?.metacopy === true) return readFileSync(join(lower[0]!, below!), 'latin1')
      const file = open()
      const bytes = Buffer.alloc(file.size)
      file.read(bytes, 0)
      file.close()
      return bytes.toString('latin1')
    }
    return 'absent'
  } finally {
    image.check()
    image.close()
  }
}

function jobOf(act: () => void): Extract<Job, { kind: 'copy' }> {
  try {
    act()
  } catch (err) {
    if (err instanceof Parked && err.job.kind === 'copy') return err.job
    throw err
  }
  throw new Error('not parked')
}

t.test('a file of several names that is being filled is the whole one in an image', async (t) => {
  const large = 'from below '.repeat(200_000)
  const app = { name: 'app', ro: { large } }
  const { layers, view } = await viewOf(t, { layers: [app], options: { wholeCopies: true } })
  view.chmod('large', 0o600)
  const id = view.id('large')
  view.view.link(CALLER, 1 as NodeId, { node: id, name: 'second' })
  const job = jobOf(() => view.view.open(CALLER, id, O.RDWR, false))
  const half = Buffer.from(large.slice(0, large.length / 2))
  sys.pwrite(job.to, half, half.length, 0)
  const { freeze: image, area } = freeze(layers)
  const same = (when: string) => t.ok(imageOf(layers, area, 'large') === large, when)
  same('half filled')
  const rest = Buffer.from(large.slice(half.length))
  sys.pwrite(job.to, rest, rest.length, half.length)
  job.done = true
  same('filled')
  view.open(id, O.RDWR)
  same('and no metacopy any more')
  view.writeOpen(id, 'written')
  same('and written to')
  const size = readdirSync(area).reduce((sum, name) => sum + statSync(join(area, name)).size, 0)
  t.ok(size < 64 * 1024, `${size} bytes were preserved`)
  image.thaw()
})
