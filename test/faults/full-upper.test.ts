// Needs root: it mounts small disks.
//
// A drop-in mount whose upper directory lies on a disk without room: every change is refused as
// the disk itself refuses it, or done; nothing half-copied shows, nothing stays in `work/`; with
// room again, everything goes as on a plain directory of the same disk.
//
// Rule: each change has a start directory of its own, drawn alike below the view and plain on
// the full disk.

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { fail } from '../../lib/base/errno.ts'
import { O } from '../../lib/host/sys.ts'
import { text, using } from '../behaviour/act.ts'
import { dir, file, sparse, type Tree } from '../behaviour/draw.ts'
import { drawAt } from '../behaviour/ground.ts'
import { errnoOfCall, type OpenFile, type Place } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { Served } from '../behaviour/served.ts'
import { pattern } from '../behaviour/start.ts'
import { type Aspect, compareTrees, seeTree } from '../behaviour/walk.ts'
import { type DiskType, fill, mountSmallDisk, type Scarce, unmountSmallDisk } from './small-disk.ts'

const LARGE = 3 * 1024 * 1024
const TREE: Tree = {
  small: file('small\n'),
  large: sparse(LARGE, [
    { at: 0, bytes: pattern(65536) },
    { at: LARGE - 4096, bytes: pattern(4096) },
  ]),
  dir: dir(),
  'dir/a': file('a\n'),
  'dir/b': file('b\n', { xattrs: { 'user.colour': 'blue' } }),
  'empty-dir': dir(),
}
/** What the upper directory has itself from the beginning, some of it over the lower one's. */
const OWN: Tree = { own: file(pattern(70_000)), 'dir/a': file('changed a\n') }

function writeAll(f: OpenFile, data: string, at: number): void {
  for (let done = 0; done < data.length; )
    done += f.pwrite(data.slice(done), at + done) || fail('EIO')
  f.sync()
}

const CHANGES: Record<string, (place: Place, s: string) => void> = {
  'writing into a small file': (p, s) =>
    using(p.open(`${s}/small`, O.RDWR), (f) => writeAll(f, 'S', 0)),
  'writing into a large file': (p, s) =>
    using(p.open(`${s}/large`, O.RDWR), (f) => writeAll(f, 'L', 5)),
  'writing into a hole': (p, s) =>
    using(p.open(`${s}/large`, O.RDWR), (f) => writeAll(f, pattern(65536), 1 << 20)),
  'writing anew': (p, s) =>
    using(p.open(`${s}/small`, O.WRONLY | O.TRUNC), (f) => writeAll(f, pattern(9000), 0)),
  'adding to what is there': (p, s) =>
    using(p.open(`${s}/own`, O.WRONLY), (f) => writeAll(f, pattern(200_000), 70_000)),
  'a new file': (p, s) =>
    using(p.open(`${s}/dir/new`, O.WRONLY | O.CREAT | O.EXCL), (f) =>
      writeAll(f, pattern(8192), 0),
    ),
  'a file without a name': (p, s) => using(p.tmpfile(s), (f) => writeAll(f, pattern(8192), 0)),
  'a new directory': (p, s) => p.mkdir(`${s}/new`),
  'a symbolic link': (p, s) => p.symlink('t'.repeat(3000), `${s}/new`),
  'cutting a file': (p, s) => p.truncate(`${s}/large`, 1000),
  'growing a file': (p, s) => p.truncate(`${s}/small`, 1 << 20),
  'allocating room': (p, s) => using(p.open(`${s}/own`, O.RDWR), (f) => f.allocate(0, 0, 1 << 20)),
  'copying a range': (p, s) =>
    using(p.open(`${s}/large`), (from) =>
      using(p.open(`${s}/own`, O.RDWR), (to) => {
        if (from.copyTo(to, 0, 70_000, 65536) < 65536) fail('ENOSPC')
        to.sync()
      }),
    ),
  'a large attribute': (p, s) => p.setxattr(`${s}/small`, 'user.new', 'v'.repeat(3000)),
  'a mode': (p, s) => p.chmod(`${s}/dir/b`, 0o600),
  'an owner': (p, s) => p.chown(`${s}/dir/b`, 12, 13),
  'a further name': (p, s) => p.link(`${s}/dir/b`, `${s}/dir/${'n'.repeat(200)}`),
  'renaming a file': (p, s) => p.rename(`${s}/dir/b`, `${s}/moved`),
  'renaming a file over another': (p, s) => p.rename(`${s}/large`, `${s}/dir/a`),
  'renaming a directory': (p, s) => p.rename(`${s}/dir`, `${s}/moved`),
  'renaming a directory over an empty one': (p, s) => p.rename(`${s}/dir`, `${s}/empty-dir`),
  'removing a file': (p, s) => p.unlink(`${s}/dir/b`),
  'removing a changed file': (p, s) => p.unlink(`${s}/dir/a`),
  'removing a file of its own': (p, s) => p.unlink(`${s}/own`),
  'removing a directory': (p, s) => p.rmdir(`${s}/empty-dir`),
}
const STARTS = Object.keys(CHANGES).map((_, i) => `c${i}`)

/** What may show a part: it was emptied, made or lengthened before the disk refused the rest. */
const PARTS: Record<string, string> = {
  'writing anew': 'small: ',
  'a new file': 'dir/new: ',
  'adding to what is there': 'own: ',
  'copying a range': 'own: ',
  'allocating room': 'own: ',
}

/** What the view and another directory need not have alike. */
const ELSEWHERE: Aspect[] = ['ino', 'mtime', 'nlink']

/** Changes that make room, or need none, wherever what they change lies in the upper directory. */
const ALWAYS = ['removing a file of its own']

class FullUpper {
  readonly root = mkdtempSync(join(tmpdir(), 'svsfs-full-'))
  readonly disk = join(this.root, 'disk')
  readonly lower: RealPlace
  view!: RealPlace
  plain!: RealPlace
  #served: Served | null = null

  constructor(type: DiskType, scarce: Scarce, size?: number) {
    for (const name of ['lower', 'mnt']) mkdirSync(join(this.root, name))
    mountSmallDisk(type, this.disk, scarce, size)
    for (const name of ['up', 'work', 'plain']) mkdirSync(join(this.disk, name))
    for (const start of STARTS) {
      drawAt(join(this.root, 'lower'), start, TREE)
      drawAt(join(this.disk, 'up'), start, { dir: dir(), ...OWN })
      drawAt(join(this.disk, 'plain'), start, { ...TREE, ...OWN })
    }
    this.lower = new RealPlace(join(this.root, 'lower'))
  }

  async mount(): Promise<void> {
    const at = (name: string) => join(this.disk, name)
    const options = `lowerdir=${this.root}/lower,upperdir=${at('up')},workdir=${at('work')}`
    const words = ['overlay', 'full', `${this.root}/mnt`, '-f', '-o', options]
    this.#served = await Served.start(words, join(this.root, 'mnt'))
    this.view = new RealPlace(join(this.root, 'mnt'))
    this.plain = new RealPlace(at('plain'))
  }

  get leftovers(): string[] {
    return readdirSync(join(this.disk, 'work')).filter((name) => name !== 'svsfs.numbers')
  }

  get said(): string {
    return this.#served?.said ?? ''
  }

  async close(): Promise<void> {
    for (const place of [this.view, this.plain, this.lower]) place?.close()
    await this.#served?.end()
    unmountSmallDisk(this.disk)
    rmSync(this.root, { recursive: true })
  }
}

const DISKS: [DiskType, Scarce][] = [
  ['tmpfs', 'blocks'],
  ['tmpfs', 'inodes'],
  ['ext4', 'blocks'],
  ['ext4', 'inodes'],
]

for (const [type, scarce] of DISKS) {
  t.test(`an upper directory on ${type} without ${scarce}`, async (t) => {
    t.setTimeout(120_000)
    const ground = new FullUpper(type, scarce)
    t.teardown(() => ground.close())
    await ground.mount()
    const lower = seeTree(ground.lower)
    const filling = fill(ground.disk, scarce)
    const again: [string, string][] = []
    for (const [i, [title, change]] of Object.entries(CHANGES).entries()) {
      const s = STARTS[i]!
      filling.again()
      const before = seeTree(ground.view, s)
      const got = errnoOfCall(() => change(ground.view, s))
      const after = seeTree(ground.view, s)
      filling.again()
      const expected = errnoOfCall(() => change(ground.plain, s))
      const refused = got === 'ENOSPC' && (expected === null || expected === got)
      t.ok(refused || got === expected, `${title}: ${got}, plain ${expected}`)
      if (ALWAYS.includes(title)) t.equal(got, null, title)
      t.same(ground.leftovers, [], `${title} leaves nothing in work/`)
      if (got === null) t.same(compareTrees(seeTree(ground.plain, s), after, ELSEWHERE), [], title)
      else {
        const changed = compareTrees(before, after, ['mtime'])
        t.same(
          changed.filter((line) => !line.startsWith(PARTS[title] ?? ' ')),
          [],
          title,
        )
        again.push([s, title])
      }
    }
    t.same(compareTrees(lower, seeTree(ground.lower)), [], 'no lower file changed')
    filling.remove()
    for (const [s, title] of again) {
      if (CHANGES[title] === undefined) continue
      const got = errnoOfCall(() => CHANGES[title]!(ground.view, s))
      t.ok(got === null || got === 'EEXIST', `${title} goes with room: ${got}`)
    }
    t.equal(ground.said, '', 'nothing was logged')
  })
}

t.test('pages that the disk does not take are reported, and forgotten', async (t) => {
  t.setTimeout(60_000)
  const ground = new FullUpper('ext4', 'blocks', 64 * 1024 * 1024)
  t.teardown(() => ground.close())
  await ground.mount()
  const { view, plain } = ground
  const file = view.open('c0/own', O.RDWR)
  file.pwrite('x', 0)
  file.sync()
  const size = view.stat('c0/own').size
  const other = view.open('c1/own', O.WRONLY)
  const filling = fill(ground.disk, 'blocks')
  await t.test('close gets the errno where nobody asked before', async (t) => {
    t.equal(other.pwrite(pattern(100_000), size), 100_000, 'the cache takes them')
    t.equal(
      errnoOfCall(() => other.close()),
      'ENOSPC',
    )
  })
  await t.test('fsync gets the errno, and so does the next write', async (t) => {
    t.equal(file.pwrite(pattern(100_000), size), 100_000, 'the cache takes them')
    t.equal(
      errnoOfCall(() => file.sync()),
      'ENOSPC',
    )
    t.equal(await refusedWithin(() => file.pwrite(pattern(8192), size), 900), 'ENOSPC')
    t.equal(file.stat().ino, view.stat('c0/own').ino, 'it can be looked at all the while')
    t.equal(
      errnoOfCall(() => file.pread(10, 0)),
      null,
    )
  })
  await t.test('after the last close the file is what the disk holds', async (t) => {
    errnoOfCall(() => file.close())
    const onDisk = new RealPlace(join(ground.disk, 'up'))
    const truth = onDisk.stat('c0/own').size
    t.ok(truth < size + 100_000)
    await within(2000, () => view.stat('c0/own').size === truth)
    t.equal(view.stat('c0/own').size, truth)
    t.equal(text(view, 'c0/own'), text(onDisk, 'c0/own'))
    onDisk.close()
  })
  await t.test('a file that is opened on a full disk gets it at write', async (t) => {
    filling.again()
    const [got, expected] = [view, plain].map((place) => {
      const f = place.open('c2/new', O.WRONLY | O.CREAT)
      try {
        return errnoOfCall(() => f.write(pattern(4096)))
      } finally {
        f.close()
      }
    })
    t.equal(got, 'ENOSPC')
    t.equal(got, expected)
    filling.remove()
    await sleep(150)
    using(view.open('c2/new', O.RDWR), (f) => writeAll(f, 'room again', 0))
    t.equal(text(view, 'c2/new'), 'room again')
  })
})

async function within(patience: number, is: () => boolean): Promise<void> {
  for (const until = Date.now() + patience; Date.now() < until && !is(); ) await sleep(20)
}

/** What a call is refused with, once the daemon's word has reached the kernel. */
async function refusedWithin(call: () => unknown, patience: number): Promise<string | null> {
  let got: string | null = null
  await within(patience, () => {
    got = errnoOfCall(call)
    return got !== null
  })
  return got
}
