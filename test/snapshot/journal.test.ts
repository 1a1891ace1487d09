// States that the journal made and states that a scan made are the same, entry by entry, and the image
// that both are made of stays what it was at its instant, while it is being read and afterwards.
//
//   random operations on a view ─▶ freeze ─▶ more operations ─▶ image ─┬▶ by the journal
//                                                                      └▶ by a scan
//
// ROUNDS and SEED make a longer or another run of it.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Errno } from '../../lib/base/errno.ts'
import { joinPath, type RelPath } from '../../lib/base/path.ts'
import type { HandleId, NodeId } from '../../lib/fuse/filesystem.ts'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD, O, S, sys } from '../../lib/host/sys.ts'
import { ownPrefix } from '../../lib/layer/marks.ts'
import { type Catalogue, openCatalogue } from '../../lib/snapshot/catalogue.ts'
import type { FileData } from '../../lib/snapshot/file-data.ts'
import { openImage } from '../../lib/snapshot/image.ts'
import type { SnapshotRecord } from '../../lib/snapshot/records.ts'
import { type JournalAnswer, takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { readTree } from '../../lib/snapshot/tree.ts'
import type { Branch } from '../../lib/union/branch.ts'
import { Freeze } from '../../lib/union/freeze.ts'
import { Journal } from '../../lib/union/journal.ts'
import { CALLER, type Layers, type Seen, viewOf } from '../union/view-of.ts'
import { layerRecord, randomOf } from './fixture.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 12)
const SEED = Number(process.env.SEED ?? 1)

const RO = {
  'd/one': '1',
  'd/two': '2',
  'd/e/three': '3'.repeat(300),
  'd/e/f/four': '4',
  top: 'top',
  'x/y/z': 'z',
  'x/w': 'w',
}
const NAMES = ['a', 'a.b', 'b', 'd', 'e', 'f', 'x', 'y', 'one', 'zz', 'cache', 'é\x80\xff']

type Random = (below: number) => number

/** The layer of a view, in two catalogues. */
class Lab {
  readonly layers: Layers
  readonly view: Seen
  readonly journaled: Catalogue
  readonly scanned: Catalogue
  readonly #first: Catalogue
  readonly layer = layerRecord()
  readonly #opened: NodeId[] = []

  constructor(layers: Layers, view: Seen, catalogues: readonly [Catalogue, Catalogue, Catalogue]) {
    this.layers = layers
    this.view = view
    ;[this.journaled, this.scanned, this.#first] = catalogues
  }

  /** The state at this instant, made both ways; where `meanwhile` goes on also the image, read thrice. */
  async take(meanwhile: (() => void) | null): Promise<{
    journaled: SnapshotRecord
    scanned: SnapshotRecord
    by: 'journal' | 'scan'
    images: readonly string[]
  }> {
    const branch = this.layers.pool.writable('app')!
    const area = join(this.layers.dir, 'area')
    mkdirSync(join(area, 'empty'), { recursive: true })
    const head = await this.journaled.head('l1')
    const since = head === null ? null : (await this.journaled.snapshot('l1', head)).journal
    let freeze = this.#freeze(area, branch)
    branch.journal ??= new Journal(branch)
    const position = branch.journal.cut()
    const changed = since === null ? null : branch.journal.since(since)
    try {
      const images: string[] = []
      if (meanwhile !== null) {
        images.push(
          this.#linesOf(area, () => {}),
          this.#linesOf(area, meanwhile),
        )
        freeze = this.#takenOver(freeze, area, branch)
        meanwhile()
        images.push(this.#linesOf(area, () => {}))
      }
      // To read a link is an access, which shows in whatever looks at it next.
      await this.#into(this.#first, area, { position, changed: null })
      const journaled = await this.#into(this.journaled, area, { position, changed })
      const scanned = await this.#into(this.scanned, area, { position, changed: null })
      const [made, again] = [journaled.snapshot, scanned.snapshot]
      return { journaled: made, scanned: again, by: journaled.by, images }
    } finally {
      for (const fd of freeze.thaw()) sys.close(fd)
      removeTree(AT_FDCWD, area)
    }
  }

  // A few names of a directory are told at a time.
  #freeze(area: string, branch: Branch | null): Freeze {
    const fd = sys.openat(AT_FDCWD, area, O.PATH | O.DIRECTORY)
    return new Freeze(1, branch, fd, { slice: 320 })
  }

  // As the next daemon does it.
  #takenOver(freeze: Freeze, area: string, branch: Branch): Freeze {
    branch.freezes.splice(branch.freezes.indexOf(freeze), 1)
    freeze.close()
    const next = this.#freeze(area, null)
    next.recall(branch.root)
    next.attach(branch)
    return next
  }

  #dirs(area: string) {
    const { rw, numbers, ro } = this.layers.specs.get('app')!
    return { rw: rw!, numbers, area, ro: ro.map(({ path }) => path) }
  }

  #into(catalogue: Catalogue, area: string, journal: JournalAnswer) {
    const dirs = this.#dirs(area)
    return takeSnapshot({ catalogue, layer: this.layer, dirs, journal, allowEmpty: true })
  }

  /** All that an image has, while `between` goes on. */
  #linesOf(area: string, between: () => void): string {
    const image = openImage(this.#dirs(area), ownPrefix())
    const lines: string[] = []
    try {
      for (const { entry, open } of image.entries()) {
        between()
        const isData = entry.kind === 'file' && entry.marks?.metacopy !== true
        const content = isData ? contentOf(open()) : null
        lines.push(JSON.stringify({ ...entry, atime: 0, atimeNsec: 0, content }))
      }
      image.check()
    } finally {
      image.close()
    }
    return lines.join('\n')
  }

  /** Acts at random: most fail, as those of programs do. */
  act(random: Random, steps: number): void {
    for (let step = 0; step < steps; step++) {
      try {
        this.view.run(() => this.#once(random))
      } catch (err) {
        if (!(err instanceof Errno)) throw err
      }
    }
  }

  #once(random: Random): void {
    const { view } = this
    const path = this.#path(random)
    const at = { path, dir: view.id(parentOf(path)), name: nameOf(path), node: view.id(path) }
    const other = this.#path(random)
    const acts = [
      () => view.mkdir(path),
      () => view.view.symlink(CALLER, at.dir, at.name, `to${random(9)}`),
      () => view.view.mknod(CALLER, at.dir, { ...at, mode: S.IFIFO | 0o600, umask: 0, rdev: 0 }),
      () => this.#link(at.node, other),
      () => this.#link(at.node, other),
      () => view.rename(path, other),
      () => view.rename(path, other),
      () => view.unlink(path),
      () => view.rmdir(path),
      () => view.chmod(path, 0o600 + random(64)),
      () => this.#setAttribute(at.node, random),
      () => this.#writeOpen(at.node, random),
      () => this.#exchange(path, other),
      () => view.write(path, 'w'.repeat(random(400))),
      () => view.write(path, 'v'.repeat(random(400))),
    ]
    acts[random(acts.length)]!()
  }

  #link(node: NodeId, to: string): void {
    const { view } = this
    view.view.link(CALLER, view.id(parentOf(to)), { node, name: nameOf(to) })
  }

  #exchange(path: string, other: string): void {
    const { view } = this
    const request = {
      name: nameOf(path),
      newParent: view.id(parentOf(other)),
      newName: nameOf(other),
    }
    view.view.rename(CALLER, view.id(parentOf(path)), { ...request, flags: 2 })
  }

  #setAttribute(node: NodeId, random: Random): void {
    const value = Buffer.from(`v${random(5)}`)
    const request = { name: `user.n${random(3)}`, value, flags: 0, killSgid: false }
    this.view.view.setxattr(CALLER, node, request)
  }

  // Some files stay open, and are written long after, whatever became of their names.
  #writeOpen(id: NodeId, random: Random): void {
    const { view } = this
    if (this.#opened.length < 4 && id !== 0) {
      view.open(id, O.RDWR)
      this.#opened.push(id)
    }
    const at = this.#opened[random(this.#opened.length)]
    if (at !== undefined) view.writeOpen(at, 'o'.repeat(random(50) + 1), random(90))
  }

  closeAll(): void {
    for (const id of this.#opened) this.view.view.release(CALLER, id, 0 as HandleId)
  }

  #path(random: Random): RelPath {
    let path = '' as RelPath
    for (let depth = random(3); depth >= 0; depth--) {
      path = joinPath(path, NAMES[random(NAMES.length)]!)
      if (!this.view.has(path)) break
    }
    return path
  }
}

function contentOf(file: FileData): string {
  const bytes = Buffer.alloc(file.size)
  file.read(bytes, 0)
  file.close()
  return bytes.toString('latin1')
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 0))

async function labOf(t: Test): Promise<Lab> {
  const app = { name: 'app', ro: RO, excludes: ['cache'] }
  const base = { 'based/deep/file': 'base' }
  const { layers, view } = await viewOf(t, { layers: [app], base })
  const open = async (name: string) => {
    const catalogue = await openCatalogue(join(layers.dir, name))
    t.teardown(() => catalogue.close())
    return catalogue
  }
  return new Lab(layers, view, [
    await open('journaled'),
    await open('scanned'),
    await open('first'),
  ])
}

const linesOf = async (catalogue: Catalogue, { id }: SnapshotRecord): Promise<string> => {
  const lines: string[] = []
  for await (const { entry } of readTree(catalogue, await catalogue.pieces(id)))
    lines.push(JSON.stringify(entry))
  return lines.join('\n')
}

const listsOf = async (catalogue: Catalogue, { id }: SnapshotRecord) =>
  (await catalogue.pieces(id)).map(({ first, entries, list, listOn, totals }) => ({
    first,
    entries,
    list,
    listOn,
    totals,
  }))

const summaryOf = ({ entries, bytes, counts, dependsOnBase, owners }: SnapshotRecord) => ({
  entries,
  bytes,
  counts,
  dependsOnBase,
  owners,
})

async function sameBothWays(t: Test, lab: Lab, meanwhile: (() => void) | null): Promise<string> {
  const { journaled, scanned, by, images } = await lab.take(meanwhile)
  t.equal(images[1], images[0], 'the image as it was, while it is read')
  t.equal(images[2], images[0], 'and later')
  t.equal(
    await linesOf(lab.journaled, journaled),
    await linesOf(lab.scanned, scanned),
    'the same entries',
  )
  t.same(
    await listsOf(lab.journaled, journaled),
    await listsOf(lab.scanned, scanned),
    'in the same chunks',
  )
  t.same(summaryOf(journaled), summaryOf(scanned), 'with the same summary')
  return by
}

for (let seed = SEED; seed < SEED + 3; seed++) {
  t.test(`what the journal names is all that changed (seed ${seed})`, async (t) => {
    const lab = await labOf(t)
    const random = randomOf(seed * 6151)
    const ways: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      lab.act(random, random(round % 3 === 0 ? 60 : 8))
      ways.push(await sameBothWays(t, lab, () => lab.act(random, random(4))))
    }
    lab.closeAll()
    t.equal(ways.shift(), 'scan', 'a first state has nothing to go on from')
    t.same(new Set(ways), new Set(['journal']))
  })
}

t.test('what is written to a file that an image alone has is in no state', async (t) => {
  const lab = await labOf(t)
  const { view } = lab
  view.write('gone', 'gone')
  await sameBothWays(t, lab, null)
  const id = view.id('gone')
  view.open(id, O.RDWR)
  const meanwhile = () => {
    if (view.has('gone')) view.unlink('gone')
    view.writeOpen(id, 'written on')
  }
  t.equal(await sameBothWays(t, lab, meanwhile), 'journal')
  t.equal(await sameBothWays(t, lab, null), 'journal', 'which the journal knows')
  view.view.release(CALLER, id, 0 as HandleId)
})

t.test('in a large tree pieces are taken over unread, and cut alike', async (t) => {
  const lab = await labOf(t)
  for (let dir = 0; dir < 24; dir++) {
    lab.view.mkdir(`n${dir}`)
    for (let file = 0; file < 30; file++) lab.view.write(`n${dir}/f${file}`, `${dir} ${file}`)
  }
  await sameBothWays(t, lab, null)
  const acts: (() => void)[] = [
    () => lab.view.write('n7/f7', 'changed'),
    () => lab.view.rename('n8', 'n50'),
    () => lab.view.unlink('n9/f9'),
    () => {
      for (let file = 0; file < 30; file++) lab.view.unlink(`n20/f${file}`)
      lab.view.rmdir('n20')
    },
    () => lab.view.write('zz', 'the last name of all'),
    () => lab.view.write('a', 'the first name of all'),
    () => {},
  ]
  for (const act of acts) {
    act()
    t.equal(await sameBothWays(t, lab, null), 'journal')
  }
})
