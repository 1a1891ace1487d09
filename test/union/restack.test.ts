// Activation and its opposite, on a view that the kernel has been told of.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import koffi from 'koffi'
import t from 'tap'
import { ERRNO } from '../../lib/base/errno.ts'
import { libc } from '../../lib/host/libc.ts'
import { O } from '../../lib/host/sys.ts'
import { CALLER, viewOf } from './view-of.ts'

const DRAWN = {
  layers: [
    { name: 'app', ro: { 'bin/app': 'program', 'etc/app.conf': 'conf', 'etc/hosts': 'app hosts' } },
    { name: 'tool', ro: { 'lib/tool': 'lib' } },
  ],
  base: { 'etc/hosts': 'base hosts', 'etc/passwd': 'root' },
}

t.test('a deactivated layer leaves no trace', async (t) => {
  const { layers, view } = await viewOf(t, DRAWN)
  t.equal(view.read('etc/hosts'), 'app hosts')
  t.equal(view.read('bin/app'), 'program')
  view.restack(layers.stack('tool'))
  t.notOk(view.has('bin'))
  t.same(view.list('etc'), ['hosts', 'passwd'])
  t.equal(view.read('etc/hosts'), 'base hosts')
  t.same(view.list(''), ['etc', 'lib'])
})

t.test('the kernel is told the topmost name that changed, and not what is below', async (t) => {
  const { layers, view } = await viewOf(t, DRAWN)
  for (const path of ['bin/app', 'etc/hosts', 'etc/passwd', 'lib/tool']) view.id(path)
  view.restack(layers.stack('tool'))
  t.same(view.expired.sort(), ['bin', 'hosts'])
})

t.test('an absence the kernel was told is taken back when a layer fills it', async (t) => {
  const { layers, view } = await viewOf(t, { layers: DRAWN.layers })
  view.restack(layers.stack('tool'))
  t.notOk(view.has('bin'))
  view.told.length = 0
  view.restack(layers.stack('app', 'tool'))
  const told = view.told.find((one) => one.kind === 'entry' && one.name === 'bin')
  t.match(told, { expire: false })
  t.equal(view.read('bin/app'), 'program')
})

t.test('an absence over a base is taken back, too, though others may fill it', async (t) => {
  const { layers, view } = await viewOf(t, DRAWN)
  view.restack(layers.stack('tool'))
  t.notOk(view.has('bin'))
  t.notOk(view.has('etc/new'))
  writeFileSync(join(layers.base!, 'etc/new'), 'behind the mount')
  t.ok(view.has('etc/new'), 'the base is asked each time')
  view.told.length = 0
  view.restack(layers.stack('app', 'tool'))
  const told = view.told.find((one) => one.kind === 'entry' && one.name === 'bin')
  t.match(told, { expire: false })
})

t.test(
  'a name that shows another content gets a new node; the same directory keeps its own',
  async (t) => {
    const { layers, view } = await viewOf(t, DRAWN)
    const [hosts, etc] = [view.id('etc/hosts'), view.id('etc')]
    view.restack(layers.stack('tool'))
    t.not(view.id('etc/hosts'), hosts)
    t.equal(view.id('etc'), etc)
    t.throws(() => view.open(hosts, O.RDONLY), { code: 'ESTALE' })
  },
)

t.test('an open file of a deactivated layer goes on working', async (t) => {
  const { layers, view } = await viewOf(t, DRAWN)
  const id = view.id('bin/app')
  view.open(id, O.RDWR)
  view.restack(layers.stack('tool'))
  t.equal(view.readOpen(id), 'program')
  view.writeOpen(id, 'PROG')
  t.equal(view.readOpen(id), 'PROGram')
  t.equal(view.view.getattr(CALLER, id, null).attr.size, 7)
  t.equal(layers.view(['app']).read('bin/app'), 'PROGram', 'the change is in its layer')
})

t.test('changing the priority of two layers swaps what both have', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'a', ro: { 'd/f': 'a' } },
      { name: 'b', ro: { 'd/f': 'b' } },
    ],
  })
  t.equal(view.read('d/f'), 'a')
  view.restack(layers.stack('b', 'a'))
  t.equal(view.read('d/f'), 'b')
})

t.test('a base file exchanged behind the mount is found anew', async (t) => {
  const { layers, view } = await viewOf(t, DRAWN)
  const { writeFileSync } = await import('node:fs')
  view.restack(layers.stack('tool'))
  const id = view.id('etc/passwd')
  writeFileSync(`${layers.base}/etc/passwd`, 'longer than before')
  t.throws(() => view.open(id, O.RDONLY), { code: 'ESTALE' })
  t.equal(view.read('etc/passwd'), 'longer than before')
})

t.test('a listing tells the number of a directory that lost its lowest layer', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/l': 'l' } },
    ],
  })
  const ino = view.ino('d')
  view.restack(layers.stack('top'))
  t.equal(view.ino('d'), ino)
  const told = new Map<string, number>()
  const { handle } = view.view.opendir(CALLER, view.id(''), 0)
  view.view.readdir(CALLER, view.id(''), handle, 0, {
    wantsPlus: false,
    plain: (name, number) => told.set(name, number).size > 0,
    plus: () => false,
    hasRoom: () => true,
  })
  t.equal(told.get('d'), ino)
})

t.test('a switch that the disk disturbs is made and told, or not made', async (t) => {
  const statx = libc.statx
  t.teardown(() => {
    libc.statx = statx
  })
  for (let at = 1; ; at++) {
    const { layers, view } = await viewOf(t, DRAWN)
    for (const path of ['bin/app', 'etc/hosts', 'etc/passwd', 'lib/tool']) view.id(path)
    t.notOk(view.has('absent'))
    let calls = 0
    libc.statx = (...args) => {
      calls += 1
      if (calls !== at) return statx(...args)
      koffi.errno(ERRNO.EIO)
      return -1
    }
    let made = true
    try {
      view.restack(layers.stack('tool'))
    } catch {
      made = false
    }
    libc.statx = statx
    if (made) {
      // A directory that could not be looked at is asked for anew, with all below it.
      const told = (name: string) => view.expired.includes(name)
      t.ok(told('bin') && (told('hosts') || told('etc')), `call ${at}: told`)
      t.notOk(view.has('bin'))
      t.equal(view.read('etc/hosts'), 'base hosts')
    } else {
      t.same(view.told, [], `call ${at}: nothing is told`)
      t.equal(view.read('etc/hosts'), 'app hosts')
      t.equal(view.read('bin/app'), 'program')
    }
    t.equal(view.read('lib/tool'), 'lib')
    if (calls < at) break
  }
})
