// Names of directories that were made through a mount: they are known from the beginning, so the disk
// is not asked for what they do not have. Whatever comes to them, and by whatever way, is there.
//
//   SEED, ROUNDS   other, and more, changes of the long test

import { lstatSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { RelPath } from '../../lib/base/path.ts'
import type { HandleId } from '../../lib/fuse/filesystem.ts'
import { Stat } from '../../lib/host/stat.ts'
import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import type { Branch } from '../../lib/union/branch.ts'
import { replaced } from '../../lib/union/restack.ts'
import { CALLER, type Layers, type Seen, viewOf } from './view-of.ts'

const stat = new Stat()
const LOWER = { 'd/x': 'lower x', 'd/y': 'lower y', 'e/f/z': 'lower z', 'e/x': 'lower' }

const rwOf = (view: Seen): Branch => view.view.stack.layers[0]!.rw!
const has = (view: Seen, dir: string, name: string): boolean =>
  rwOf(view).peek(dir as RelPath, name, stat)

function create(view: Seen, dir: string, name: string): void {
  const request = { name, flags: O.RDWR, mode: 0o100644, umask: 0o022 }
  const { entry } = view.view.create(CALLER, view.id(dir), request)
  view.view.release(CALLER, entry.node, 0 as HandleId)
}

t.test('of a new directory the disk is asked for no name that nobody made', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  view.mkdir('new')
  view.mkdir('new/inner')
  create(view, 'new', 'file')
  for (const dir of ['new', 'new/inner']) {
    writeFileSync(join(layers.dir, 'app/rw', dir, 'behind'), '')
    t.notOk(has(view, dir, 'behind'), dir)
  }
  t.ok(has(view, 'new', 'file'))
  t.ok(has(view, 'new', 'inner'))
})

t.test('of a directory that was copied up, too', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  view.chmod('e/f/z', 0o600)
  writeFileSync(join(layers.dir, 'app/rw/e/f/behind'), '')
  t.notOk(has(view, 'e/f', 'behind'))
  t.ok(has(view, 'e/f', 'z'))
})

t.test('what was there before the mount is asked for', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  mkdirSync(join(layers.dir, 'app/rw/old'))
  create(view, 'old', 'file')
  writeFileSync(join(layers.dir, 'app/rw/old/behind'), '')
  t.ok(has(view, 'old', 'behind'))
})

t.test('after a restore the disk is asked for all names', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  view.mkdir('new')
  writeFileSync(join(layers.dir, 'app/rw/new/restored'), '')
  t.notOk(view.has('new/restored'))
  replaced(view.view, rwOf(view), ['new/restored' as RelPath])
  t.ok(view.has('new/restored'))
})

t.test('where letters are not told apart the disk is asked', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  // As a disk would have it that finds `new` under `New`, too.
  mkdirSync(join(layers.dir, 'app/rw/New'))
  view.mkdir('new')
  writeFileSync(join(layers.dir, 'app/rw/new/behind'), '')
  t.ok(has(view, 'new', 'behind'))
})

/** What the disk has and the branch denies. */
function denied(layers: Layers, view: Seen, dir = ''): string[] {
  const at = join(layers.dir, 'app/rw', dir)
  return readdirSync(at).flatMap((name) => {
    const path = join(dir, name)
    const here = has(view, dir, name) ? [] : [path]
    return lstatSync(join(at, name)).isDirectory() ? [...here, ...denied(layers, view, path)] : here
  })
}

const NAMES = ['a', 'b', 'x', 'd', 'e']

/** A path of up to three names, by a sequence of numbers that a seed begins. */
function pathFrom(pick: (most: number) => number): string {
  return Array.from({ length: 1 + pick(3) }, () => NAMES[pick(NAMES.length)]!).join('/')
}

function changeOf(view: Seen, pick: (most: number) => number): () => void {
  const [path, other] = [pathFrom(pick), pathFrom(pick)]
  const at = path.lastIndexOf('/')
  const [dir, name] = [path.slice(0, Math.max(at, 0)), path.slice(at + 1)]
  const changes = [
    () => create(view, dir, name),
    () => view.mkdir(path),
    () => view.mkdir(path),
    () => view.unlink(path),
    () => view.rmdir(path),
    () => view.rename(path, other),
    () => view.rename(path, other),
    () => view.chmod(path, 0o700),
    () => void view.view.symlink(CALLER, view.id(dir), name, 'target'),
    () => void view.view.link(CALLER, view.id(dir), { node: view.id(other), name }),
    () => {
      const newAt = other.lastIndexOf('/')
      const newParent = view.id(other.slice(0, Math.max(newAt, 0)))
      const newName = other.slice(newAt + 1)
      const request = { name, newParent, newName, flags: RENAME_EXCHANGE }
      view.run(() => view.view.rename(CALLER, view.id(dir), request))
    },
  ]
  return changes[pick(changes.length)]!
}

t.test('no name that any change made is denied', async (t) => {
  let state = Number(process.env.SEED ?? 20_261_121)
  const pick = (most: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % most
  }
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'app', ro: LOWER },
      { name: 'low', ro: { 'a/b/x': 'other', 'y/e': 'other' } },
    ],
  })
  let done = 0
  for (let round = 0; round < Number(process.env.ROUNDS ?? 600); round++) {
    const change = changeOf(view, pick)
    try {
      change()
      done += 1
    } catch {
      // What cannot be done to such a path; it may have been begun.
    }
    const lost = denied(layers, view)
    if (lost.length > 0) t.fail(`round ${round}: ${change} hides ${lost.join(' ')}`)
    if (lost.length > 0) break
  }
  t.ok(done > 60, `${done} changes`)
})

t.test('a directory under another name is not taken for the one before it', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: LOWER }] })
  view.mkdir('one')
  view.mkdir('two')
  create(view, 'two', 'file')
  view.rename('two', 'three')
  view.rmdir('one')
  view.rename('three', 'one')
  t.ok(has(view, 'one', 'file'))
  renameSync(join(layers.dir, 'app/rw/one/file'), join(layers.dir, 'app/rw/one/moved'))
  t.ok(has(view, 'one', 'moved'), 'the disk is asked after a directory moved')
})
