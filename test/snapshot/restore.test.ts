// Going back and forth between states of random trees.

import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { RelPath } from '../../lib/base/path.ts'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { Stat } from '../../lib/host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { ownPrefix } from '../../lib/layer/marks.ts'
import { plan } from '../../lib/snapshot/plan.ts'
import { planByLists } from '../../lib/snapshot/plan-lists.ts'
import { applyRedo } from '../../lib/snapshot/redo.ts'
import { noteStamps, type Restamped } from '../../lib/snapshot/restamped.ts'
import {
  buildState,
  finishRestore,
  planRestore,
  prepareRestore,
} from '../../lib/snapshot/restore.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { describeTree, type Lab, labOf, mutate, randomBytes, randomOf } from './fixture.ts'

for (let seed = 1; seed <= 6; seed++) {
  t.test(`any state of a random tree comes back as it was (seed ${seed})`, async (t) => {
    const lab = await labOf(t)
    const random = randomOf(seed * 7919)
    mutate(lab.dirs.ro[0]!, random, 40)
    const states = []
    for (let round = 0; round < 4; round++) {
      mutate(lab.dirs.rw, random, 30 + random(120))
      const was = describeTree(lab.dirs.rw)
      states.push({ was, snapshot: await lab.snapshot() })
    }
    for (let visit = 0; visit < 5; visit++) {
      const { was, snapshot } = states[random(states.length)]!
      if (visit % 2 === 1) mutate(lab.dirs.rw, random, 10)
      await lab.restore(snapshot)
      t.same(describeTree(lab.dirs.rw), was)
    }
  })

  t.test(`a state becomes a sublayer of its own (seed ${seed})`, async (t) => {
    const lab = await labOf(t)
    const random = randomOf(seed * 104729)
    mutate(lab.dirs.rw, random, 150)
    const was = describeTree(lab.dirs.rw)
    const snapshot = await lab.snapshot()
    const rw = join(lab.dir, 'rw/2')
    mkdirSync(rw)
    const { catalogue } = lab
    await buildState({ catalogue, snapshot, ro: lab.dirs.ro, rw, numbers: `${rw}.numbers` })
    t.same(describeTree(rw), was)
  })
}

for (const seed of [1, 2, 3]) {
  t.test(`two lists give the plan that a walk gives (seed ${seed})`, async (t) => {
    const lab = await labOf(t)
    const random = randomOf(seed * 7907)
    for (let file = 0; file < 500; file++)
      put(lab, `d${file % 10}/e${file % 7}/f${file}`, random(2) === 0 ? '' : `${file}`)
    const states = [await lab.snapshot()]
    for (let state = 0; state < 4; state++) {
      for (let change = 0; change < 8; change++) changeTree(lab.dirs.rw, random)
      states.push(await lab.snapshot())
    }
    const { catalogue, dirs } = lab
    const pieces = await Promise.all(states.map(({ id }) => catalogue.pieces(id)))
    for (const target of pieces) {
      const job = { dirs, prefix: ownPrefix(), target, head: pieces.at(-1)! }
      const { differing = [], ...walked } = await plan(job, catalogue, () => {})
      const { differing: listed = [], ...found } = (await planByLists(job, catalogue))!
      t.same(found, walked)
      const told = new Set(listed)
      t.same(
        differing.filter((path) => !told.has(path)),
        [],
        'what was made anew is told',
      )
    }
    put(lab, 'one', 'bytes')
    linkSync(join(lab.dirs.rw, 'one'), join(lab.dirs.rw, 'other'))
    const linked = await catalogue.pieces((await lab.snapshot()).id)
    const job = { dirs, prefix: ownPrefix(), target: pieces[0]!, head: linked }
    t.equal(await planByLists(job, catalogue), null, 'a walk alone tells of files with two names')
  })
}

function put({ dirs }: Lab, path: string, bytes: string): void {
  mkdirSync(dirname(join(dirs.rw, path)), { recursive: true })
  writeFileSync(join(dirs.rw, path), bytes)
}

function changeTree(root: string, random: (below: number) => number): void {
  const dir = join(root, `d${random(10)}`)
  const file = join(dir, `e${random(7)}`, `f${random(500)}`)
  mkdirSync(dirname(file), { recursive: true })
  const changes = [
    () => rmSync(dir, { recursive: true }),
    () => rmSync(file, { force: true, recursive: true }),
    () => renameSync(dir, join(root, `moved${random(1e6)}`)),
    () => chmodSync(dirname(file), 0o700 + random(8)),
    () => utimesSync(dir, random(1e6), random(1e6)),
    () => {
      rmSync(file, { force: true, recursive: true })
      writeFileSync(file, `changed ${random(1e6)}`)
    },
    () => {
      rmSync(file, { force: true, recursive: true })
      mkdirSync(join(file, 'below'), { recursive: true })
    },
  ]
  changes[random(changes.length)]!()
}

t.test('a restored layer is unchanged against the state it came from', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(5)
  mutate(lab.dirs.rw, random, 40)
  const first = await lab.snapshot()
  mutate(lab.dirs.rw, random, 40)
  await lab.snapshot()
  await lab.restore(first)
  const { catalogue, layer, dirs } = lab
  const taken = await takeSnapshot({ catalogue, layer, dirs })
  t.equal(taken.kind, 'unchanged')
  t.equal(taken.snapshot.id, first.id)
})

t.test(
  'what a restore put in place is not read again; what is written right after is seen',
  async (t) => {
    const lab = await labOf(t)
    const { catalogue, layer, dirs } = lab
    const at = join(dirs.rw, 'large')
    const fill = (seed: number) => writeFileSync(at, randomBytes(randomOf(seed), 300_000))
    fill(1)
    writeFileSync(join(dirs.rw, 'small'), 'small')
    const first = await lab.snapshot()
    fill(2)
    await lab.snapshot()
    const { redo } = await prepareRestore({ catalogue, layer, snapshot: first, dirs })
    await catalogue.putPlan(redo)
    applyRedo(dirs, redo)
    noteStamps(dirs, redo)
    const restamped = (await finishRestore(catalogue, dirs, redo))!
    t.same([...restamped.stamps.keys()], ['large'])
    const take = async (known: Restamped | null) =>
      (await takeSnapshot({ catalogue, layer, dirs, restamped: known })).kind
    t.equal(await take(restamped), 'unchanged')

    // At once, of the same size, and as if nobody had been there.
    const was = new Stat()
    must(sys.stat(AT_FDCWD, at, was))
    fill(3)
    must(sys.utimensat(AT_FDCWD, at, was.atime, was.atimeNsec, was.mtime, was.mtimeNsec))
    const stat = new Stat()
    must(sys.stat(AT_FDCWD, at, stat))
    const { ino, ctime, ctimeNsec } = stat
    t.same([ino, stat.mtime, stat.mtimeNsec], [was.ino, was.mtime, was.mtimeNsec])
    const planned = async (known: Restamped | null) =>
      (await planRestore({ catalogue, layer, snapshot: first, dirs, restamped: known })).write
    t.same(await planned(restamped), [{ path: 'large', size: 300_000 }], 'a plan sees it')
    // With the stamp that it has now it would not have been read.
    const stamps = new Map([['large' as RelPath, { ino, ctime, ctimeNsec }]])
    const believed = { ...restamped, stamps }
    t.same(await planned(believed), [])
    t.equal(await take(believed), 'unchanged')
    for (const other of [
      { ...believed, state: 'another' },
      { ...believed, rw: 9 },
    ])
      t.same((await planned(other)).length, 1, 'nor of another state or sublayer')
    t.equal(await take(restamped), 'taken', 'a state sees it')
  },
)

t.test('a path of 4,000 bytes comes back', async (t) => {
  const lab = await labOf(t)
  const root = must(sys.openat(AT_FDCWD, lab.dirs.rw, O.RDONLY | O.DIRECTORY))
  t.teardown(() => sys.close(root))
  const name = '\xe9'.repeat(249)
  let path = name
  for (let depth = 0; depth < 15; depth++, path += `/${name}`) must(sys.mkdirat(root, path, 0o755))
  sys.close(must(sys.openat(root, `${path}file`, O.WRONLY | O.CREAT, 0o644)))
  const was = describeTree(lab.dirs.rw)
  const first = await lab.snapshot()
  must(sys.unlinkat(root, `${path}file`))
  must(sys.mkdirat(root, `${path}other`, 0o700))
  await lab.snapshot()
  await lab.restore(first)
  t.same(describeTree(lab.dirs.rw), was)
  removeTree(AT_FDCWD, `${lab.dirs.rw}/${name}`)
  await lab.restore(first)
  t.same(describeTree(lab.dirs.rw), was)
})
