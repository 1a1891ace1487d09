// What follows another stack, done a little at a time: what requests see meanwhile, and what it costs.

import t from 'tap'
import { libc } from '../../lib/host/libc.ts'
import { O } from '../../lib/host/sys.ts'
import { prepareRestack } from '../../lib/union/restack.ts'
import type { StackSpec } from '../../lib/union/spec.ts'
import { CALLER, type Drawing, type Seen, viewOf } from './view-of.ts'

/** One directory with this many files. */
function many(dir: string, count: number, text: string): Drawing {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${dir}/f${i}`, text]))
}

/** Shows the stack, and does nothing of what follows. */
function begin(view: Seen, stack: StackSpec): { told: boolean } {
  const state = { told: false }
  prepareRestack(view.view, stack).apply(() => {
    state.told = true
  })
  return state
}

/** A few names: the clock is looked at after some. */
const step = (view: Seen) => view.view.behind.step(0)

t.test('requests see the new stack before anything was gone through', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/e/f': 'top', 'd/only/x': 'x' } },
      { name: 'low', ro: { 'd/e/f': 'low', 'd/e/g': 'g' } },
    ],
  })
  const [file, dir, only] = [view.id('d/e/f'), view.id('d/e'), view.id('d/only')]
  const gone = view.id('d/only/x')
  view.open(gone, O.RDONLY)
  const state = begin(view, layers.stack('low'))
  t.throws(() => view.open(file, O.RDONLY), { code: 'ESTALE' }, 'by its node')
  t.same(view.view.lookup(CALLER, dir, 'f').attr.size, 3)
  t.not(view.view.lookup(CALLER, dir, 'f').node, file)
  t.equal(view.readOpen(gone), 'x', 'what is open goes on')
  t.equal(view.view.lookup(CALLER, only, 'x').node, 0, 'in a directory that is gone')
  t.equal(view.read('d/e/f'), 'low')
  t.same(view.list('d'), ['e'])
  t.notOk(state.told)
  view.view.behind.finish()
  t.ok(state.told)
  t.equal(view.readOpen(gone), 'x')
})

t.test('an absence that the kernel was told is asked for again', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/new': 'new' } },
      { name: 'low', ro: { 'd/old': 'old' } },
    ],
  })
  view.restack(layers.stack('low'))
  t.notOk(view.has('d/new'))
  begin(view, layers.stack('top', 'low'))
  t.equal(view.read('d/new'), 'new')
  t.same(view.list('d'), ['new', 'old'])
})

t.test('what is written meanwhile goes to a layer of the new stack', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/f': 'top' } },
      { name: 'low', ro: { 'd/f': 'low' } },
    ],
  })
  const dir = view.id('d')
  view.id('d/f')
  begin(view, layers.stack('low'))
  view.view.mkdir(CALLER, dir, { name: 'made', mode: 0o755, umask: 0 })
  view.write('d/f', 'written')
  t.same(layers.namesInRw('top'), [])
  t.same(layers.namesInRw('low', 'd'), ['f', 'made'])
})

t.test('another stack may come before all of the last was gone through', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'a', ro: { ...many('d/x', 40, 'a'), 'd/a': 'a' } },
      { name: 'b', ro: { ...many('d/x', 40, 'b'), 'd/b': 'b' } },
      { name: 'c', ro: { ...many('d/x', 40, 'c') } },
    ],
  })
  for (let i = 0; i < 40; i++) view.id(`d/x/f${i}`)
  const first = begin(view, layers.stack('b', 'c'))
  step(view)
  const second = begin(view, layers.stack('a', 'c'))
  step(view)
  const third = begin(view, layers.stack('c'))
  t.equal(view.read('d/x/f39'), 'c')
  view.view.behind.finish()
  t.ok(first.told && second.told && third.told)
  t.same(view.list('d'), ['x'])
  for (let i = 0; i < 40; i++) t.equal(view.read(`d/x/f${i}`), 'c')
})

t.test('a view may end meanwhile', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'a', ro: many('d/x', 100, 'a') },
      { name: 'b', ro: {} },
    ],
  })
  for (let i = 0; i < 100; i++) view.id(`d/x/f${i}`)
  const state = begin(view, layers.stack('b'))
  step(view)
  view.view.destroy()
  t.ok(state.told)
})

t.test(
  'what a file of a layer that went had hidden shows, also where that layer has no part',
  async (t) => {
    const { layers, view } = await viewOf(t, {
      layers: [
        { name: 'top', ro: { 'd/e/f': 'top' } },
        { name: 'between', ro: { d: 'a file' } },
        { name: 'low', ro: { 'd/e/g': 'low' } },
      ],
    })
    t.same(view.list('d/e'), ['f'])
    t.notOk(view.has('d/e/g'))
    view.restack(layers.stack('top', 'low'))
    t.same(view.list('d/e'), ['f', 'g'])
    t.equal(view.read('d/e/g'), 'low')
  },
)

t.test('the topmost names are told first', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'a', ro: { 'z/y/x/w': 'a', 'z/y/v': 'a', 'z/u': 'a', s: 'a' } },
      { name: 'b', ro: { 'z/y/x/w': 'b', 'z/y/v': 'b', 'z/u': 'b', s: 'b' } },
    ],
  })
  for (const path of ['z/y/x/w', 'z/y/v', 'z/u', 's']) view.id(path)
  view.told.length = 0
  view.restack(layers.stack('b'))
  t.same(view.expired, ['s', 'u', 'v', 'w'])
})

/** How often the disk is asked for a name, or a directory of it opened. */
function asked(act: () => void): number {
  const calls = libc as unknown as Record<string, (...args: unknown[]) => number>
  const names = ['statx', 'openat']
  const originals = names.map((name) => calls[name]!)
  let count = 0
  for (const [at, name] of names.entries()) {
    calls[name] = (...args) => {
      count += 1
      return originals[at]!(...args)
    }
  }
  try {
    act()
  } finally {
    for (const [at, name] of names.entries()) calls[name] = originals[at]!
  }
  return count
}

for (const files of [10, 2000]) {
  t.test(
    `a layer with ${files} known files beside others comes and goes by its top name`,
    async (t) => {
      const { layers, view } = await viewOf(t, {
        layers: [
          { name: 'app', ro: many('opt/app', files, 'a') },
          { name: 'low', ro: { 'etc/low': 'low' } },
        ],
      })
      const look = () => {
        for (let i = 0; i < files; i++) view.id(`opt/app/f${i}`)
        view.id('etc/low')
        view.told.length = 0
      }
      look()
      const gone = asked(() => begin(view, layers.stack('low')) && step(view))
      t.ok(gone < 30, `${gone} questions`)
      t.same(view.expired, ['opt'])
      view.view.behind.finish()
      t.ok(view.told.length <= 4, `${view.told.length} notifications`)
      t.notOk(view.has('opt'))
      view.told.length = 0
      const come = asked(() => view.restack(layers.stack('app', 'low')))
      t.ok(come < 30, `${come} questions`)
      t.same(view.expired, ['opt'])
      look()
      const beside = asked(() => view.restack(layers.stack('app')))
      t.ok(beside < 30, `${beside} questions where another layer goes`)
      t.same(view.expired, ['etc'])
    },
  )
}

t.test(
  'the kernel is made to take down what was large, and is not troubled for what was small',
  async (t) => {
    const { layers, view } = await viewOf(t, {
      layers: [
        { name: 'app', ro: { ...many('large', 300, 'a'), ...many('small', 10, 'a') } },
        { name: 'low', ro: {} },
      ],
    })
    for (let i = 0; i < 300; i++) view.id(`large/f${i}`)
    for (let i = 0; i < 10; i++) view.id(`small/f${i}`)
    view.told.length = 0
    view.restack(layers.stack('low'))
    t.same(
      view.told.filter(({ kind }) => kind === 'gone'),
      [{ kind: 'gone', path: 'large' }],
    )
  },
)

const SEEDS = Number(process.env.SEEDS ?? 25)

/** Numbers that follow from a seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((state ^ (state >>> 13)) >>> 0) % below
  }
}

function randomTree(random: (below: number) => number, text: string): Drawing {
  const tree: Record<string, string | null> = {}
  for (let i = 0; i < 25; i++) {
    const path = Array.from({ length: 1 + random(4) }, () => 'abcd'[random(4)]).join('/')
    const clash = Object.keys(tree).some(
      (one) => one.startsWith(`${path}/`) || path.startsWith(`${one}/`) || one === path,
    )
    if (!clash) tree[path] = random(5) === 0 ? null : `${text}${i}`
  }
  return tree
}

/** Everything that a view shows at a path and below it. */
function shown(view: Seen, path: string): string {
  const id = view.id(path)
  if (id === 0) return `${path}: absent`
  const isDirectory = (view.view.getattr(CALLER, id, null).attr.mode & 0o170000) === 0o040000
  if (!isDirectory) return `${path}: ${view.read(path)}`
  const names = view.list(path)
  return [
    `${path}/`,
    ...names.map((name) => shown(view, path === '' ? name : `${path}/${name}`)),
  ].join('\n')
}

t.test(
  `whatever is asked in whichever order, the new stack answers (${SEEDS} seeds)`,
  async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = numbers(seed)
      const all = ['p', 'q', 'r']
      const { layers, view } = await viewOf(t, {
        layers: all.map((name) => ({ name, ro: randomTree(random, name) })),
      })
      for (const name of ['a', 'b', 'c', 'd']) {
        if (view.has(name) && random(3) === 0) view.write(`${name}${random(2)}`, 'new')
      }
      for (let turn = 0; turn < 4; turn++) {
        for (const one of ['a', 'b', 'c', 'd'])
          for (const two of ['a', 'b', 'c', 'd', 'e']) {
            if (view.list('').includes(one)) shown(view, one)
            if (isDirectory(view, one)) view.has(`${one}/${two}`)
          }
        const stack = all.filter(() => random(2) === 0).sort(() => random(3) - 1)
        begin(view, layers.stack(...(stack.length === 0 ? ['p'] : stack)))
        const fresh = layers.view(stack.length === 0 ? ['p'] : stack)
        for (let ask = 0; ask < 8; ask++) {
          if (random(3) === 0) step(view)
          const path = Array.from({ length: random(4) }, () => 'abcd'[random(4)]).join('/')
          const parents = path.split('/').slice(0, -1)
          const walks = parents.every((_, i) =>
            isDirectory(fresh, parents.slice(0, i + 1).join('/')),
          )
          if (walks) t.equal(shown(view, path), shown(fresh, path), `seed ${seed}: ${path}`)
        }
        if (random(3) > 0) view.view.behind.finish()
        t.equal(shown(view, ''), shown(fresh, ''), `seed ${seed}: all`)
        fresh.view.destroy()
      }
      layers.close()
    }
  },
)

function isDirectory(view: Seen, path: string): boolean {
  const id = view.id(path)
  return id !== 0 && (view.view.getattr(CALLER, id, null).attr.mode & 0o170000) === 0o040000
}
