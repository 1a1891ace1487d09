// Inode numbers where a view spans several disks: each file its own, and the same ones however
// often, and in whichever order, they are found.

import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Disks } from '../../lib/union/disks.ts'
import { Layers } from './view-of.ts'

const text = (id: string) => () => id

t.test('the numbers of a disk do not depend on which was met first', (t) => {
  const [one, other] = [new Disks(1), new Disks(1)]
  const first = [2, 3, 4].map((dev) => one.number(77, dev, text(`disk ${dev}`)))
  const second = [4, 2, 3].map((dev) => other.number(77, dev, text(`disk ${dev}`)))
  t.same(first, [second[1], second[2], second[0]])
  t.equal(new Set([77, ...first]).size, 4)
  t.equal(one.number(77, 1, text('first')), 77)
  t.end()
})

t.test('two disks that say the same of themselves are kept apart', (t) => {
  const disks = new Disks(1)
  const numbers = Array.from({ length: 300 }, (_, at) => disks.number(5, at + 2, text('twin')))
  t.equal(new Set(numbers).size, 300)
  t.ok(numbers.every((number) => number < 2 ** 53 && number >= 8001 * 2 ** 40))
  t.end()
})

t.test('a drop-in whose upper lies on another disk than its lower', async (t) => {
  const there = mkdtempSync('/dev/shm/svsfs-disks-')
  const here = mkdtempSync(join(tmpdir(), 'svsfs-disks-'))
  const layers = new Layers()
  t.teardown(() => {
    layers.close()
    for (const dir of [here, there]) rmSync(dir, { recursive: true })
  })
  if (statSync(here).dev === statSync(there).dev) {
    t.plan(0, 'both directories lie on one disk')
    return
  }
  for (const dir of ['up', 'work']) mkdirSync(join(here, dir))
  for (let i = 0; i < 50; i++) writeFileSync(join(there, `low${i}`), 'low')
  const overlay = {
    id: '',
    name: 'overlay',
    tag: 0,
    rw: join(here, 'up'),
    numbers: join(here, 'work/svsfs.numbers'),
    work: join(here, 'work'),
    ro: [{ path: there, index: null, version: 1 }],
    scratch: null,
    excludes: [],
  }
  const open = () => layers.view([], {}, { layers: [overlay], base: null })
  const view = open()
  view.write('low0', 'changed')
  view.write('new', 'new')
  const names = view.list('')
  const numbers = new Map(names.map((name) => [name, view.ino(name)]))
  t.equal(new Set(numbers.values()).size, names.length)
  const raw = statSync(join(here, 'up/new')).ino
  t.not(numbers.get('new'), raw, 'a file of the lower disk may have it')
  view.view.destroy()
  const again = open()
  for (const name of names.reverse()) t.equal(again.ino(name), numbers.get(name), name)
})
