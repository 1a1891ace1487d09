// Going back and forth between states of random trees.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { buildState } from '../../lib/snapshot/restore.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { describeTree, labOf, mutate, randomOf } from './fixture.ts'

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
