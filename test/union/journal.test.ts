// The change journal: names what changed since a state, or says that it does not know.

import t from 'tap'
import { O, sys } from '../../lib/host/sys.ts'
import { Journal } from '../../lib/union/journal.ts'
import { CALLER, type Layers, type Seen, viewOf } from './view-of.ts'

function begin(layers: Layers, most?: number): Journal {
  const branch = layers.pool.writable('app')!
  branch.journal = new Journal(branch, most)
  return branch.journal
}

/** What one act changed: paths, a `*` behind those with all below. */
function during(journal: Journal, act: () => void): string[] {
  const from = journal.cut()
  act()
  journal.cut()
  return namesSince(journal, from)
}

const namesSince = (journal: Journal, position: number): string[] =>
  (journal.since(position)?.names ?? [['lost', false] as const])
    .map(([path, whole]) => `${path}${whole ? '*' : ''}`)
    .sort()

async function drawn(t: {
  teardown(act: () => void): void
}): Promise<{ layers: Layers; view: Seen; journal: Journal }> {
  const ro = { 'd/ro': 'ro', 'd/e/f': 'f' }
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro }] })
  view.mkdir('w')
  view.write('w/f', 'before')
  return { layers, view, journal: begin(layers) }
}

t.test('each kind of change is named', async (t) => {
  const { view, journal } = await drawn(t)
  t.same(
    during(journal, () => view.write('w/f', 'after')),
    ['w/f'],
  )
  t.same(
    during(journal, () => view.chmod('w/f', 0o600)),
    ['w/f'],
  )
  t.same(
    during(journal, () => view.write('w/new', 'new')),
    ['w', 'w/new*'],
  )
  t.same(
    during(journal, () => view.unlink('w/new')),
    ['w', 'w/new*'],
  )
  t.same(
    during(journal, () => view.rename('w/f', 'w/g')),
    ['w', 'w/f*', 'w/g*'],
  )
  t.same(
    during(journal, () => view.write('d/ro', 'copied up')),
    ['', 'd*', 'd/ro*'],
  )
  t.same(
    during(journal, () => view.unlink('d/e/f')),
    ['d', 'd/e*', 'd/e/f*'],
    'a whiteout is a new name',
  )
  t.same(
    during(journal, () => view.rename('d', 'moved')),
    ['', 'd*', 'moved*'],
  )
})

t.test('a thing that changes again and again is named in each epoch', async (t) => {
  const { view, journal } = await drawn(t)
  const id = view.id('w/f')
  view.open(id, O.RDWR)
  const write = () => view.writeOpen(id, 'x')
  for (const _ of [1, 2, 3]) {
    t.same(
      during(journal, () => {
        write()
        write()
      }),
      ['w/f'],
    )
  }
})

t.test('an open file is named by where it lies now, and not at all without a name', async (t) => {
  const { view, journal } = await drawn(t)
  const id = view.id('w/f')
  view.open(id, O.RDWR)
  view.rename('w', 'v')
  t.same(
    during(journal, () => view.writeOpen(id, 'x')),
    ['v/f'],
  )
  view.unlink('v/f')
  t.same(
    during(journal, () => view.writeOpen(id, 'y')),
    [],
  )
})

t.test('a file of several names is named by its inode', async (t) => {
  const { layers, view, journal } = await drawn(t)
  const from = journal.position
  view.view.link(CALLER, view.id('w'), { node: view.id('w/f'), name: 'other' })
  journal.cut()
  t.same(namesSince(journal, from), ['w', 'w/f', 'w/other*'])
  const later = journal.position
  view.write('w/f', 'by one of them')
  journal.cut()
  const { files } = journal.since(later)!
  const root = layers.pool.writable('app')!.root
  const fd = sys.openat(root, 'w/other', O.RDONLY)
  t.equal(files.length, 1)
  t.ok(fd >= 0)
  sys.close(fd)
})

t.test('of a position that is not its own it knows nothing', async (t) => {
  const { layers, view, journal } = await drawn(t)
  const before = journal.position
  const from = journal.cut()
  t.equal(journal.since(from + 5), null)
  t.equal(journal.since(from - 5), null)
  const another = begin(layers)
  t.equal(another.since(from), null, 'the sublayer was opened anew')
  view.write('w/f', 'unseen by the first')
  t.not(journal.since(from), null)
  t.equal(journal.since(before), null, 'older than what was asked for last')
})

t.test('what it lost, it lost for this epoch alone', async (t) => {
  const { view, journal } = await drawn(t)
  const from = journal.position
  view.write('w/f', '1')
  journal.lost()
  const next = journal.cut()
  view.write('w/f', '2')
  journal.cut()
  t.equal(journal.since(from), null)
  t.same(namesSince(journal, next), ['w/f'])
})

t.test(
  'names and inodes of linked files are bounded, and what is lost keeps nothing',
  async (t) => {
    const { layers, view } = await drawn(t)
    for (const name of ['a', 'b', 'c', 'd']) {
      view.write(`w/${name}`, name)
      view.view.link(CALLER, view.id('w'), { node: view.id(`w/${name}`), name: `${name}2` })
    }
    const journal = begin(layers, 3)
    const writeLinked = () => {
      for (const name of ['a', 'b', 'c', 'd']) view.write(`w/${name}`, 'by its inode')
    }
    for (const act of [
      writeLinked,
      () => {
        for (const name of ['x', 'y', 'z']) view.mkdir(`w/${name}`)
      },
    ]) {
      const from = journal.cut()
      act()
      t.equal(journal.size, 0, 'nothing of what it lost')
      writeLinked()
      view.rename('w/a', 'w/a3')
      view.rename('w/a3', 'w/a')
      t.equal(journal.size, 0, 'nor of what came later')
      journal.cut()
      t.equal(journal.since(from), null)
    }
    t.same(
      during(journal, () => view.chmod('w', 0o700)),
      ['w'],
      'the next epoch has room again',
    )
    t.equal(journal.size, 1)
    journal.cut()
    journal.since(journal.position)
    t.equal(journal.size, 0, 'and gives it back')
  },
)
