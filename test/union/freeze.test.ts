// A frozen image: what a writable sublayer was, while it goes on changing.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AT_FDCWD, O, sys } from '../../lib/host/sys.ts'
import { Freeze } from '../../lib/union/freeze.ts'
import { CALLER, type Layers, type Seen, viewOf } from './view-of.ts'

function freeze(layers: Layers): { freeze: Freeze; area: string } {
  const area = join(layers.dir, 'area')
  mkdirSync(area)
  const branch = layers.pool.writable('app')!
  return { freeze: new Freeze(1, branch, sys.openat(AT_FDCWD, area, O.PATH | O.DIRECTORY)), area }
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
