// Applying a restore: the same outcome wherever it died, and however often it is repeated.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { appendNumbers, readNumbers } from '../../lib/snapshot/numbers.ts'
import { applyRedo } from '../../lib/snapshot/redo.ts'
import { redoAgain } from '../../lib/snapshot/redo-again.ts'
import { finishRestore, planRestore, prepareRestore } from '../../lib/snapshot/restore.ts'
import { describeTree, labOf, mutate, placeOf, randomBytes, randomOf } from './fixture.ts'

for (let seed = 1; seed <= 4; seed++) {
  t.test(`a redo that died after any step is completed by the next (seed ${seed})`, async (t) => {
    const lab = await labOf(t)
    const random = randomOf(seed * 31337)
    mutate(lab.dirs.rw, random, 60)
    const was = describeTree(lab.dirs.rw)
    const first = await lab.snapshot()
    mutate(lab.dirs.rw, random, 60)
    await lab.snapshot()
    const { catalogue, layer, dirs } = lab
    const { redo } = await prepareRestore({ catalogue, layer, snapshot: first, dirs })
    await catalogue.putPlan(redo)
    const [plan] = await catalogue.plans()

    for (
      let step = 0;
      step < redo.steps.length;
      step += 1 + random(Math.ceil(redo.steps.length / 5))
    ) {
      const copy = join(lab.dir, `copy-${step}`)
      // cp keeps links among the files, and the stage's links to each other.
      execFileSync('mkdir', [copy])
      execFileSync('cp', ['-a', join(lab.dir, 'rw'), join(lab.dir, 'work'), copy])
      const there = { rw: join(copy, 'rw/1'), work: join(copy, 'work'), numbers: null }
      const dies = (at: number) => {
        if (at === step) throw new Error('died here')
      }
      t.throws(() => applyRedo(there, plan!, dies), { message: 'died here' })
      applyRedo(there, plan!)
      t.same(describeTree(there.rw), was, `after step ${step} of ${redo.steps.length}`)
      applyRedo(there, plan!)
      t.same(describeTree(there.rw), was, 'and once more')
    }
  })
}

t.test('a directory that becomes a file, and the reverse, survive repetition', async (t) => {
  const lab = await labOf(t)
  const at = (name: string) => join(lab.dirs.rw, name)
  mkdirSync(at('x/deep/er'), { recursive: true })
  writeFileSync(at('x/deep/er/f'), '1')
  writeFileSync(at('y'), 'file')
  const was = describeTree(lab.dirs.rw)
  const first = await lab.snapshot()
  execFileSync('sh', ['-c', 'rm -r x y; echo now-a-file > x; mkdir y; echo in > y/in'], {
    cwd: lab.dirs.rw,
  })
  await lab.snapshot()
  const { catalogue, layer, dirs } = lab
  const { redo, plan } = await prepareRestore({ catalogue, layer, snapshot: first, dirs })
  t.same(plan.remove, [])
  await catalogue.putPlan(redo)
  for (let time = 0; time < 3; time++) {
    applyRedo(dirs, redo)
    t.same(describeTree(lab.dirs.rw), was)
  }
  await finishRestore(catalogue, dirs, redo)
  t.same(await catalogue.plans(), [])
  t.equal(await catalogue.head('l1'), first.id)
  t.notOk(existsSync(join(dirs.work, `restore-${redo.id}`)))
})

t.test('files keep their inode numbers over a restore', async (t) => {
  const lab = await labOf(t)
  const { dirs } = lab
  const inodeOf = (name: string) =>
    Number(execFileSync('stat', ['-c', '%i', join(dirs.rw, name)], { encoding: 'utf8' }))
  writeFileSync(join(dirs.rw, 'kept'), 'same')
  writeFileSync(join(dirs.rw, 'lost'), 'old')
  appendNumbers(dirs.numbers, [
    { ino: inodeOf('kept'), number: 2 ** 40 + 7 },
    { ino: inodeOf('lost'), number: 2 ** 40 + 8 },
  ])
  const keptInode = inodeOf('kept')
  const first = await lab.snapshot()
  execFileSync('sh', ['-c', 'rm lost; echo other > lost'], { cwd: dirs.rw })
  await lab.restore(first)
  t.equal(inodeOf('kept'), keptInode, 'what did not change was not touched')
  t.equal(readNumbers(dirs.numbers).get(inodeOf('lost')), 2 ** 40 + 8)
})

t.test('a number record that a crash cut short does not shift the next', async (t) => {
  const log = join(placeOf(t), 'numbers')
  appendNumbers(log, [{ ino: 1, number: 10 }])
  writeFileSync(log, Buffer.alloc(7, 9), { flag: 'a' })
  appendNumbers(log, [{ ino: 2, number: 2 ** 50 }])
  t.same(
    [...readNumbers(log)],
    [
      [1, 10],
      [2, 2 ** 50],
    ],
  )
})

t.test('what a program does between plan and application does not stop it', async (t) => {
  const lab = await labOf(t)
  const sh = (script: string) => execFileSync('sh', ['-ec', script], { cwd: lab.dirs.rw })
  sh('mkdir -p a/b c d; echo 1 > a/b/f; echo 2 > a/b/g; echo 3 > c/x; echo 4 > d/y; echo 5 > top')
  const first = await lab.snapshot()
  sh('echo other > a/b/f; chmod 700 a/b; rm c/x top; echo more > d/y; echo new > d/new')
  await lab.snapshot()
  const { catalogue, layer, dirs } = lab
  const { redo } = await prepareRestore({ catalogue, layer, snapshot: first, dirs })
  await catalogue.putPlan(redo)
  sh('rm -r a; echo file > a; rmdir c; mkdir -p top/dir; echo late > top/dir/z; rm d/new')
  for (let time = 0; time < 2; time++) {
    applyRedo(dirs, redo)
    const found = execFileSync('sh', ['-c', 'cat a/b/f c/x d/y top'], { cwd: dirs.rw })
    t.equal(found.toString(), '1\n3\n4\n5\n')
  }
  await finishRestore(catalogue, dirs, redo)
})

t.test('a state that is there already needs no step', async (t) => {
  const lab = await labOf(t)
  mutate(lab.dirs.rw, randomOf(99), 50)
  const snapshot = await lab.snapshot()
  const { catalogue, layer, dirs } = lab
  const { redo, plan } = await prepareRestore({ catalogue, layer, snapshot, dirs })
  t.same(redo.steps, [])
  t.same(plan, { write: [], remove: [], attrs: [], lose: [] })
})

t.test('a plan names what would be written, removed, and lost', async (t) => {
  const lab = await labOf(t)
  const at = (name: string) => join(lab.dirs.rw, name)
  for (const name of ['same', 'changed', 'gone']) writeFileSync(at(name), name)
  const snapshot = await lab.snapshot()
  execFileSync('sh', ['-c', 'echo x > changed; rm gone; echo n > new'], { cwd: lab.dirs.rw })
  const { catalogue, layer, dirs } = lab
  const { plan, redo } = await prepareRestore({ catalogue, layer, snapshot, dirs })
  t.same(plan.write, [
    { path: 'changed', size: 7 },
    { path: 'gone', size: 4 },
  ])
  t.same(plan.remove, ['new'])
  t.same(plan.lose, ['changed', 'new'])
  t.ok(redo.steps.length > 0)
})

const MIB = 1024 * 1024

t.test(
  'of a large file only the runs that differ are written, however often it dies',
  async (t) => {
    const lab = await labOf(t)
    const { catalogue, layer, dirs } = lab
    const random = randomOf(64)
    const big = join(dirs.rw, 'big')
    const bytes = randomBytes(random, 18 * MIB + 100)
    const change = (pages: number) => {
      const fd = openSync(big, 'r+')
      for (let page = 0; page < pages; page++)
        writeSync(fd, randomBytes(random, 5000), 0, 5000, random(17 * MIB))
      closeSync(fd)
    }
    writeFileSync(big, bytes)
    await lab.snapshot()
    change(5)
    chmodSync(big, 0o640)
    utimesSync(big, 1, 2)
    const first = await lab.snapshot()
    const [was, then] = [describeTree(dirs.rw), readFileSync(big)]
    change(9)
    truncateSync(big, 18 * MIB - 7)
    await lab.snapshot()
    change(3)
    const second = await lab.snapshot()
    const { ino } = statSync(big)

    const { redo } = await prepareRestore({ catalogue, layer, snapshot: first, dirs })
    t.match(redo.steps, [{ op: 'rewrite', path: 'big', ino }, { op: 'attrs' }, { op: 'attrs' }])
    const staged = join(dirs.work, `restore-${redo.id}`)
    const size = Number(execFileSync('du', ['-sb', staged]).toString().split('\t')[0])
    t.ok(size < MIB / 2, `${size} bytes are staged`)
    await catalogue.putPlan(redo)
    const [plan] = await catalogue.plans()
    const dies = (at: number) => {
      if (at === 0) throw new Error('died here')
    }
    t.throws(() => applyRedo(dirs, plan!, dies), { message: 'died here' })
    const readOnly = () => dirs.ro
    t.same(await redoAgain(catalogue, dirs, plan!, readOnly), [])
    t.same(describeTree(dirs.rw), was)
    t.equal(statSync(big).ino, ino)

    // A program wrote between the plan and the end of its process: nothing but the whole tells.
    change(2)
    t.same(await redoAgain(catalogue, dirs, plan!, readOnly), [])
    t.ok(readFileSync(big).equals(then), 'made anew')
    t.not(statSync(big).ino, ino)
    t.same(await redoAgain(catalogue, dirs, plan!, readOnly), [], 'and once more')
    t.same(describeTree(dirs.rw), was)
    await finishRestore(catalogue, dirs, redo)
    t.same(readdirSync(dirs.work), [])

    // What is open is replaced by a copy.
    const busy = { catalogue, layer, snapshot: second, dirs, busy: 'all' } as const
    const copy = await prepareRestore(busy)
    t.match(copy.redo.steps[0], { op: 'place', path: 'big' })
    applyRedo(dirs, copy.redo)
    await finishRestore(catalogue, dirs, copy.redo)
    t.same((await planRestore({ catalogue, layer, snapshot: second, dirs })).write, [])
  },
)
