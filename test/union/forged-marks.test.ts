// A program inside a mount that wants to see or forge what svsfs (and the kernel's overlayfs)
// keeps about its files: attributes, devices 0/0, names of whiteouts, by every way that leads to a
// file. Held against the raw directories afterwards.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { O, S, sys } from '../../lib/host/sys.ts'
import { listXattr, setXattr } from '../../lib/host/xattr.ts'
import { isMarkName } from '../../lib/layer/marks.ts'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { errnoOfCall } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { Served } from '../behaviour/served.ts'
import { CALLER, viewOf } from './view-of.ts'

const root = process.geteuid?.() === 0
const own = root ? 'trusted' : 'user'
const MARKS = ['trusted', 'user'].flatMap((prefix) =>
  [
    'overlay.opaque',
    'overlay.redirect',
    'overlay.metacopy',
    'overlay.origin',
    'overlay.whiteout',
    'overlay.',
    'overlay.overlay.opaque',
    'svsfs.opaque',
    'svsfs.base',
    'svsfs.anything',
  ].map((name) => `${prefix}.${name}`),
)

class Mounted {
  readonly dir = makeGround()
  readonly lower = new RealPlace(this.#made('lower'))
  readonly upper = new RealPlace(this.#made('upper'))
  place!: RealPlace
  #served: Served | null = null

  #made(name: string): string {
    mkdirSync(join(this.dir, name))
    return join(this.dir, name)
  }

  async mount(): Promise<void> {
    const at = this.#made('mnt')
    const options = `lowerdir=${this.dir}/lower,upperdir=${this.dir}/upper,workdir=${this.#made('work')}`
    this.#served = await Served.start(['overlay', 'marks', at, '-f', '-o', options], at)
    this.place = new RealPlace(at)
  }

  async close(): Promise<void> {
    for (const place of [this.place, this.lower, this.upper]) place?.close()
    await this.#served?.end()
    removeGround(this.dir)
  }

  /** Every mark that lies in the writable directory: `path: name`. */
  get marks(): string[] {
    return everything(this.upper).flatMap((path) =>
      this.upper.listxattr(path).flatMap((name) => (isMarkName(name) ? [`${path}: ${name}`] : [])),
    )
  }

  /** Devices 0/0 in the writable directory. */
  get whiteouts(): string[] {
    return everything(this.upper).filter((path) => {
      const { kind, rdev } = this.upper.lstat(path)
      return kind === 'character' && rdev === 0
    })
  }
}

function everything(place: RealPlace, at = ''): string[] {
  return place.list(at).flatMap(({ name }) => {
    const path = at === '' ? name : `${at}/${name}`
    const { kind } = place.lstat(path)
    return [
      ...(kind === 'symlink' ? [] : [path]),
      ...(kind === 'directory' ? everything(place, path) : []),
    ]
  })
}

async function mounted(t: { teardown(act: () => Promise<void>): void }): Promise<Mounted> {
  const made = new Mounted()
  t.teardown(() => made.close())
  const { dir, lower } = made
  for (const name of ['dir', 'dir/sub', 'other']) lower.mkdir(name, 0o777)
  for (const name of ['file', 'dir/inner', 'dir/sub/deep', 'carrier', 'hidden'])
    writeFileSync(join(dir, 'lower', name), `${name}\n`)
  lower.symlink('file', 'link')
  lower.mknod('fifo', S.IFIFO | 0o666)
  for (const name of ['file', 'dir', 'dir/inner']) lower.chmod(name, name === 'dir' ? 0o777 : 0o666)
  lower.setxattr('carrier', 'user.plain', 'kept')
  for (const name of MARKS.filter((mark) => root || mark.startsWith('user.'))) {
    // Those that mean something are somebody else's kind here.
    if (!name.startsWith(`${own}.overlay.`) || /origin|anything/.test(name))
      lower.setxattr('carrier', name, 'y')
  }
  await made.mount()
  return made
}

// EACCES: the file is not this caller's to change.
const SET = ['EPERM', 'EOPNOTSUPP', 'EACCES']
const NONE = ['ENODATA', ...SET]

/** Tries all that sets, reads or removes a mark of one thing. Answers what should not have worked. */
function forge(place: RealPlace, path: string): string[] {
  const faults: string[] = []
  for (const mark of MARKS) {
    for (const flags of [0, 1, 2]) {
      const set = errnoOfCall(() => place.setxattr(path, mark, 'y', flags))
      if (set === null || !SET.includes(set)) faults.push(`set ${mark} of ${path}: ${set}`)
    }
    const removed = errnoOfCall(() => place.removexattr(path, mark))
    if (removed === null || !NONE.includes(removed)) faults.push(`remove ${mark}: ${removed}`)
    let seen: Buffer | null = null
    const read = errnoOfCall(() => {
      seen = place.getxattr(path, mark)
    })
    if (seen !== null || (read !== null && !NONE.includes(read))) faults.push(`${mark} is read`)
  }
  const listed = errnoOfCall(() => {
    for (const name of place.listxattr(path)) if (isMarkName(name)) faults.push(`${name} is listed`)
  })
  if (listed !== null && listed !== 'EOPNOTSUPP') faults.push(`list of ${path}: ${listed}`)
  return faults
}

t.test('no mark is set, removed, read or listed, of whatever kind of file', async (t) => {
  const made = await mounted(t)
  const { place } = made
  place.mkdir('new')
  place.open('new/file', O.RDWR | O.CREAT).close()
  const all = ['', 'file', 'dir', 'dir/inner', 'fifo', 'link', 'carrier', 'new', 'new/file']
  for (const path of all) t.same(forge(place, path), [], path)
  if (root)
    for (const path of all)
      t.same(
        place.as(1234, 1234, () => forge(place, path)),
        [],
        path,
      )
  t.same(made.marks, [])
})

t.test('nor by a descriptor: of any kind, nameless, or through /proc/self/fd', async (t) => {
  const made = await mounted(t)
  const { place } = made
  const mnt = sys.openat(-100, place.path(), O.PATH | O.DIRECTORY)
  const fds = {
    path: sys.openat(mnt, 'file', O.PATH),
    link: sys.openat(mnt, 'link', O.PATH | O.NOFOLLOW),
    written: sys.openat(mnt, 'dir/inner', O.RDWR),
    directory: sys.openat(mnt, 'dir', O.RDONLY | O.DIRECTORY),
    nameless: sys.openat(mnt, 'dir', O.RDWR | O.TMPFILE, 0o666),
    unlinked: sys.openat(mnt, 'gone', O.RDWR | O.CREAT, 0o666),
  }
  place.unlink('gone')
  for (const [kind, fd] of Object.entries(fds)) {
    t.ok(fd >= 0, kind)
    for (const mark of MARKS) {
      // By way of /proc/self/fd/N, which is what it is called with.
      t.ok([-1, -95].includes(setXattr(fd, '', mark, Buffer.from('y'))), `${mark} by ${kind}`)
    }
    t.notOk(listXattr(fd, '').some(isMarkName), `${kind} lists none`)
  }
  t.equal(sys.linkFd(fds.nameless, mnt, 'named'), 0)
  for (const fd of [...Object.values(fds), mnt]) sys.close(fd)
  t.same(made.marks, [])
})

t.test('no whiteout is made: as a device, by a rename, a link, or its name', async (t) => {
  const made = await mounted(t)
  const { place } = made
  for (const mode of [0o020000, 0o020666, 0o020777, 0o024000]) {
    t.equal(
      errnoOfCall(() => place.mknod('file2', mode, 0)),
      'EPERM',
    )
    t.equal(
      errnoOfCall(() => place.mknod('dir/inner2', mode, 0)),
      'EPERM',
    )
  }
  t.equal(
    errnoOfCall(() => place.rename('file', 'elsewhere', 4)),
    'EINVAL',
    'RENAME_WHITEOUT',
  )
  t.equal(
    errnoOfCall(() => place.rename('file', 'elsewhere', 5)),
    'EINVAL',
  )
  place.unlink('hidden')
  t.equal(
    errnoOfCall(() => place.lstat('hidden')),
    'ENOENT',
  )
  t.equal(
    errnoOfCall(() => place.rename('hidden', 'dir/inner')),
    'ENOENT',
  )
  t.equal(
    errnoOfCall(() => place.link('hidden', 'dir/inner2')),
    'ENOENT',
  )
  t.equal(
    errnoOfCall(() => place.open('hidden')),
    'ENOENT',
  )
  t.equal(
    errnoOfCall(() => place.chmod('hidden', 0o666)),
    'ENOENT',
  )
  t.notOk(place.list('').some(({ name }) => name === 'hidden'))
  t.same(made.whiteouts, ['hidden'])
  if (root) {
    place.mknod('null', S.IFCHR | 0o666, 0x103)
    place.mknod('half', S.IFCHR | 0o666, 0x100)
    place.mknod('other-half', S.IFCHR | 0o666, 0x001)
    place.mknod('block', S.IFBLK | 0o666, 0)
    place.rename('null', 'dir/null')
    place.link('half', 'dir/half')
    for (const name of ['dir/null', 'dir/half', 'half', 'other-half', 'block'])
      t.match(place.lstat(name).kind, /^(character|block)$/, name)
    t.same(made.whiteouts, ['hidden'])
  }
  for (const name of ['.wh.file', '.wh..wh..opq', 'dir/.wh.inner', 'dir/.wh..wh..opq']) {
    place.open(name, O.RDWR | O.CREAT).close()
    t.equal(place.lstat(name).kind, 'file', `${name} is a name like any other`)
  }
  const inside = place.list('dir').filter(({ name }) => name === 'inner' || name === 'sub')
  t.equal(inside.length, 2, 'and hides none')
  t.equal(place.lstat('file').kind, 'file')
  t.same(made.marks, [])
})

t.test('marks of others on a file below are hidden, and a copy of it has none', async (t) => {
  const made = await mounted(t)
  const { place, upper, lower } = made
  t.ok(lower.listxattr('carrier').filter(isMarkName).length >= 4)
  t.same(
    place.listxattr('carrier').filter((name) => !name.startsWith('security.')),
    ['user.plain'],
  )
  const file = place.open('carrier', O.RDWR)
  file.pwrite('changed', 0)
  file.sync()
  file.close()
  t.same(
    upper.listxattr('carrier').filter((name) => !name.startsWith('security.')),
    ['user.plain'],
  )
  t.equal(upper.getxattr('carrier', 'user.plain')?.toString(), 'kept')
  t.ok(lower.listxattr('carrier').filter(isMarkName).length >= 4, 'below they stay')
  t.equal(place.getxattr('carrier', `${own}.overlay.origin`), null)
})

t.test('a device 0/0 of the base is not copied up: it would delete its name', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { 'app/file': 'app' } }],
    base: { 'etc/file': 'base' },
  })
  const base = sys.openat(-100, join(layers.base!, 'etc'), O.PATH | O.DIRECTORY)
  if (sys.mknodat(base, 'zero', S.IFCHR | 0o666, 0) < 0) return t.pass('not permitted here')
  sys.close(base)
  const id = view.id('etc/zero')
  t.throws(() => view.chmod('etc/zero', 0o600), { code: 'EPERM' })
  t.throws(() => view.rename('etc/zero', 'app/file'), { code: 'EPERM' })
  const request = { node: id, name: 'linked' }
  t.throws(() => view.view.link(CALLER, view.id('app'), request), { code: 'EPERM' })
  t.equal(view.read('app/file'), 'app')
  t.equal(view.view.getattr(CALLER, id, null).attr.mode & S.IFMT, S.IFCHR)
  view.unlink('etc/zero')
  t.notOk(view.has('etc/zero'))
})
