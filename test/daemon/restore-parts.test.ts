// Restoring parts of a layer on a real mount: single paths, beside, and elsewhere.
//
//   SEED=7 ROUNDS=200 node dist/test/daemon/restore-parts.test.js     a longer random run

import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Client } from '../../lib/daemon/client.ts'
import type { CopyAnswer, RestoreAnswer } from '../../lib/daemon/restore-methods.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import { describeTree, randomOf } from '../snapshot/fixture.ts'
import { type StorePlace, storeOf } from './store-of.ts'

const DRAWING = {
  'etc/': null,
  'etc/app.ini': 'as installed\n',
  'etc/other.ini': 'other\n',
  'lib/deep/one': 'one\n',
  'lib/deep/two': 'two\n',
  'lib/deep/further/three': 'three\n',
  top: 'top\n',
}

const text = (...path: string[]): string => readFileSync(join(...path), 'utf8')

async function appOf(t: Parameters<typeof storeOf>[0]): Promise<StorePlace> {
  const place = await storeOf(t)
  const drawing = Object.fromEntries(Object.entries(DRAWING).filter(([, data]) => data !== null))
  await place.layer('app', drawing as Record<string, string>)
  await place.ask('activate', 'app')
  await place.mount()
  return place
}

const snapshot = async (place: StorePlace): Promise<string> =>
  ((await place.ask('snapshot', 'app', '--allow-empty')) as { id: string }).id

t.test('one file comes back, and nothing else changes', async (t) => {
  const place = await appOf(t)
  writeFileSync(join(place.at, 'etc/app.ini'), 'then\n')
  writeFileSync(join(place.at, 'born'), 'then\n')
  const id = await snapshot(place)
  for (const path of ['etc/app.ini', 'born', 'top']) writeFileSync(join(place.at, path), 'now\n')
  const inode = statSync(join(place.at, 'etc/app.ini')).ino
  const done = (await place.ask('restore', 'app', id, '--path', 'etc/app.ini')) as RestoreAnswer
  t.same(done.changed, { write: 1, remove: 0, attrs: 0 })
  t.equal(text(place.at, 'etc/app.ini'), 'then\n')
  t.equal(text(place.at, 'born'), 'now\n')
  t.equal(text(place.at, 'top'), 'now\n')
  t.equal(statSync(join(place.at, 'etc/app.ini')).ino, inode, 'its number stays')
  await place.ask('restore', 'app', done.before.id)
  t.equal(text(place.at, 'etc/app.ini'), 'now\n', 'and what was replaced comes back')
  await place.ask('restore', 'app', id, '--path', join(place.at, 'born'))
  t.equal(text(place.at, 'born'), 'then\n', 'a path in the mount means the same')
})

t.test('a deleted directory comes back whole, or one file of it alone', async (t) => {
  const place = await appOf(t)
  writeFileSync(join(place.at, 'lib/deep/two'), 'then\n')
  const id = await snapshot(place)
  rmSync(join(place.at, 'lib'), { recursive: true })
  await place.ask('restore', 'app', id, '--path', 'lib/deep/further/three')
  t.same(readdirSync(join(place.at, 'lib/deep')), ['further'], 'what was deleted stays deleted')
  t.equal(text(place.at, 'lib/deep/further/three'), 'three\n')
  await place.ask('restore', 'app', id, '--path', '/lib')
  t.same(readdirSync(join(place.at, 'lib/deep')).sort(), ['further', 'one', 'two'])
  t.equal(text(place.at, 'lib/deep/two'), 'then\n')
})

t.test('what was renamed since stays under its new name, and is a file of its own', async (t) => {
  const place = await appOf(t)
  const id = await snapshot(place)
  renameSync(join(place.at, 'top'), join(place.at, 'renamed'))
  renameSync(join(place.at, 'lib'), join(place.at, 'moved'))
  writeFileSync(join(place.at, 'moved/deep/one'), 'now\n')
  await place.ask('restore', 'app', id, '--path', 'top', 'lib')
  t.equal(text(place.at, 'top'), 'top\n')
  t.equal(text(place.at, 'renamed'), 'top\n')
  t.not(statSync(join(place.at, 'top')).ino, statSync(join(place.at, 'renamed')).ino)
  t.equal(text(place.at, 'lib/deep/one'), 'one\n')
  t.equal(text(place.at, 'moved/deep/one'), 'now\n')
  const two = (dir: string) => statSync(join(place.at, dir, 'deep/two')).ino
  t.not(two('lib'), two('moved'))
})

t.test('with --keep-both what differs comes beside what is there, once', async (t) => {
  const place = await appOf(t)
  writeFileSync(join(place.at, 'etc/app.ini'), 'then\n')
  writeFileSync(join(place.at, 'etc/gone'), 'then\n')
  const id = await snapshot(place)
  writeFileSync(join(place.at, 'etc/app.ini'), 'now\n')
  rmSync(join(place.at, 'etc/gone'))
  for (let time = 0; time < 2; time++) {
    await place.ask('restore', 'app', id, '--path', 'etc', '--keep-both')
    const beside = `app.ini~${id.slice(0, 8)}`
    t.same(readdirSync(join(place.at, 'etc')).sort(), ['app.ini', beside, 'gone', 'other.ini'])
    t.equal(text(place.at, 'etc/app.ini'), 'now\n')
    t.equal(text(place.at, 'etc', beside), 'then\n')
    t.equal(text(place.at, 'etc/gone'), 'then\n')
  }
})

t.test('with --to ordinary files are made elsewhere, and the layer stays', async (t) => {
  const place = await appOf(t)
  writeFileSync(join(place.at, 'etc/app.ini'), 'then\n', { mode: 0o640 })
  linkSync(join(place.at, 'etc/app.ini'), join(place.at, 'etc/same'))
  symlinkSync('app.ini', join(place.at, 'etc/link'))
  writeFileSync(join(place.at, 'etc/sparse'), 'begin')
  truncateSync(join(place.at, 'etc/sparse'), 1 << 20)
  chmodSync(join(place.at, 'lib/deep'), 0o500)
  utimesSync(join(place.at, 'lib/deep'), 1_000_000, 1_000_000)
  rmSync(join(place.at, 'top'))
  const id = await snapshot(place)
  const was = describeTree(place.at)
  rmSync(join(place.at, 'etc'), { recursive: true })
  const all = join(place.dir, 'all')
  const done = (await place.ask('restore', 'app', id, '--to', all)) as CopyAnswer
  t.same(done.left, [])
  t.same(plain(describeTree(all)), plain(was))
  t.ok(statSync(join(all, 'etc/sparse')).blocks < 512, 'a hole stays one')
  t.notOk(existsSync(join(place.at, 'etc')), 'the layer is as it was')
  const some = join(place.dir, 'some')
  mkdirSync(some)
  writeFileSync(join(some, 'mine'), '')
  await place.ask('restore', 'app', id, '--to', some, '--path', 'lib/deep/one', 'etc')
  t.same(readdirSync(some).sort(), ['etc', 'mine', 'one'])
  const again = ['restore', 'app', id, '--to', some, '--path']
  await t.rejects(place.ask(...again, 'etc', 'lib/deep/two'), /SVS_PATH_EXISTS/)
  t.same(readdirSync(some).sort(), ['etc', 'mine', 'one'], 'refused, it leaves nothing')
  await t.rejects(place.ask(...again, 'top'), /SVS_PATH_NOT_IN_STATE/)
  await t.rejects(place.ask('restore', 'app', id, '--to', place.at), /SVS_TREE_INSIDE_MOUNT/)
  await t.rejects(place.ask('restore', 'app', id, '--to', place.store), /SVS_DIRECTORY_INVALID/)
  chmodSync(join(all, 'lib/deep'), 0o700)
  chmodSync(join(place.at, 'lib/deep'), 0o700)
})

t.test('what cannot be put back is refused by name, and changes nothing', async (t) => {
  const place = await appOf(t)
  const id = await snapshot(place)
  rmSync(join(place.at, 'lib'), { recursive: true })
  writeFileSync(join(place.at, 'lib'), 'a file now')
  const refused = (path: string) => place.ask('restore', 'app', id, '--path', path)
  await t.rejects(refused('lib/deep/one'), /SVS_PATH_BLOCKED/)
  await t.rejects(refused('never'), /SVS_PATH_NOT_IN_STATE/)
  await t.rejects(refused('../etc'), /SVS_PATH_INVALID/)
  await t.rejects(place.ask('restore', 'app', id, '--to', '/tmp', '--keep-both'), /SVS_USAGE/)
  t.equal(text(place.at, 'lib'), 'a file now')
})

/** Without what a copy need not share: the blocks that the disk spent. */
const plain = (lines: readonly string[]): string[] =>
  lines.map((line) => {
    const fields = JSON.parse(line) as unknown[]
    const isFile = (Number(fields[1]) & 0o170000) === 0o100000
    return JSON.stringify(isFile ? fields.toSpliced(-2, 1) : fields)
  })

const NAMES = ['a', 'b', 'etc', 'lib', 'deep', 'one', 'app.ini', 'top']

function pathsIn(root: string, dir = ''): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? [path, ...pathsIn(root, path)] : [path]
  })
}

/** One change at random; what is impossible does nothing. */
function change(root: string, random: (below: number) => number): void {
  const all = pathsIn(root)
  const some = all[random(all.length)] ?? 'a'
  const isDir = lstatSync(join(root, some), { throwIfNoEntry: false })?.isDirectory() === true
  const dir = isDir && random(2) === 0 ? some : join(some, '..')
  const other = join(root, dir, NAMES[random(NAMES.length)]!)
  const at = join(root, some)
  try {
    const acts = [
      () => writeFileSync(isDir ? other : at, `${random(1e6)}`),
      () => writeFileSync(other, 'x'.repeat(random(5000))),
      () => mkdirSync(other),
      () => rmSync(at, { recursive: true }),
      () => renameSync(at, other),
      () => renameSync(at, other),
      () => linkSync(at, other),
      () => chmodSync(at, 0o700 + random(8) * 9),
      () => symlinkSync(`to${random(9)}`, other),
    ]
    acts[random(acts.length)]!()
  } catch (err) {
    if (!(err instanceof Error) || !('code' in err)) throw err
  }
}

const below = (lines: readonly string[], path: string, inside: boolean): string[] =>
  lines.filter((line) => {
    const [name, mode] = JSON.parse(line) as [string, number]
    const within = name === path || name.startsWith(`${path}/`)
    // What lies above gets a new entry: its own times are of now.
    const above = path.startsWith(`${name}/`) || name === ''
    return within === inside && (inside || !above || (mode & 0o170000) !== 0o040000)
  })

/** Without hard links, which hold among what is restored alone. */
const unlinked = (lines: readonly string[]): string[] =>
  plain(lines).map((line) => {
    const fields = JSON.parse(line) as unknown[]
    return JSON.stringify(
      (Number(fields[1]) & 0o170000) === 0o040000 ? fields : fields.toSpliced(7, 1),
    )
  })

t.test('any path of a random layer comes back as it was, and only that', async (t) => {
  const place = await appOf(t)
  const seed = Number(process.env.SEED ?? 4711)
  const random = randomOf(seed)
  const client = (await Client.connect(storePlaces(place.store)))!
  t.teardown(() => client.close())
  const states: { id: string; was: string[]; paths: string[] }[] = []
  for (
    let round = 0;
    round < Number(process.env.ROUNDS ?? (process.geteuid?.() === 0 ? 16 : 6));
    round++
  ) {
    for (let step = random(6); step >= 0; step--) change(place.at, random)
    if (round % 4 === 0) {
      const { id } = await client.call('snapshot', { layer: 'app', always: true })
      states.push({ id, was: describeTree(place.at), paths: pathsIn(place.at) })
    }
    const { id, was, paths } = states[random(states.length)]!
    const path = paths[random(paths.length)]
    if (path === undefined) continue
    const before = describeTree(place.at)
    const say = `seed ${seed}, round ${round}, ${path} of ${id}`
    try {
      await client.call('restore', { layer: 'app', state: id, paths: [path] }, () => {})
    } catch (err) {
      t.match(err, { code: 'SVS_PATH_BLOCKED' }, say)
      t.same(describeTree(place.at), before, say)
      continue
    }
    const after = describeTree(place.at)
    const same = t.same(unlinked(below(after, path, true)), unlinked(below(was, path, true)), say)
    t.same(unlinked(below(after, path, false)), unlinked(below(before, path, false)), say)
    if (!same) break
  }
})
