// svsfs mount DIR --state NAME@STATE: a state as a directory, beside the layer that goes on.

import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import type { Answer, MethodName, Params } from '../../lib/daemon/api.ts'
import { Client } from '../../lib/daemon/client.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import { listDirectory } from '../../lib/host/directory.ts'
import { mountAt as mountOf } from '../../lib/host/mount-table.ts'
import { Stat } from '../../lib/host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../../lib/host/sys.ts'
import { getXattr, listXattr, setXattr } from '../../lib/host/xattr.ts'
import { holesOf, readFull } from '../../lib/snapshot/file-data.ts'
import { isRoot, randomBytes, randomOf } from '../snapshot/fixture.ts'
import { type StorePlace, storeOf } from './store-of.ts'

const MIB = 1024 * 1024
const random = randomOf(11)

const sh = (cwd: string, script: string) => execFileSync('sh', ['-ec', script], { cwd })

/** All that a state shows of a tree, a line a name; numbers of files as the order they came in. */
function seenAt(root: string): string[] {
  const numbers = new Map<number, number>()
  const lines: string[] = []
  const visit = (dir: number, name: string, path: string) => {
    const fd = must(sys.openat(dir, name, O.PATH | O.NOFOLLOW), path)
    lines.push(describe(fd, path, numbers))
    const stat = statOf(fd)
    if ((stat.mode & S.IFMT) === S.IFDIR)
      for (const child of listDirectory(fd).sort((a, b) => (a.name < b.name ? -1 : 1)))
        visit(fd, child.name, `${path}/${child.name}`)
    sys.close(fd)
  }
  visit(AT_FDCWD, root, '')
  return lines
}

function statOf(fd: number): Stat {
  const stat = new Stat()
  must(sys.stat(fd, '', stat))
  return stat
}

function describe(fd: number, path: string, numbers: Map<number, number>): string {
  const { mode, uid, gid, mtime, mtimeNsec, rdev, size, nlink, ino } = statOf(fd)
  const type = mode & S.IFMT
  const fields: unknown[] = [path, mode, uid, gid, mtime, mtimeNsec, rdev]
  for (const name of listXattr(fd, '').sort())
    fields.push(name, (getXattr(fd, '', name) as Buffer).toString('hex'))
  if (type !== S.IFDIR) {
    if (!numbers.has(ino)) numbers.set(ino, numbers.size)
    fields.push(nlink, numbers.get(ino), size)
  }
  if (type === S.IFLNK) {
    const target = Buffer.alloc(4096)
    fields.push(target.latin1Slice(0, must(sys.readlinkat(fd, '', target))))
  }
  if (type === S.IFREG) {
    const file = must(sys.reopen(fd, O.RDONLY), path)
    const bytes = Buffer.alloc(size)
    readFull(file, bytes, 0)
    fields.push(holesOf(file, size), bytes.toString('base64'))
    sys.close(file)
  }
  return JSON.stringify(fields)
}

class Shown {
  readonly place: StorePlace
  /** Where states are shown. */
  readonly old: string
  #client: Client | null = null

  constructor(place: StorePlace) {
    this.place = place
    this.old = join(place.dir, 'old')
    mkdirSync(this.old)
  }

  /** Asks the daemon, which runs. */
  readonly ask = async <Name extends MethodName>(
    name: Name,
    params: Params<Name>,
  ): Promise<Answer<Name>> => {
    this.#client ??= await Client.connect(storePlaces(this.place.store))
    return this.#client!.call(name, params)
  }

  /** Nothing is asked of the daemon that runs any more. */
  leave(): void {
    this.#client?.close()
    this.#client = null
  }

  async snapshot(label: string): Promise<void> {
    await this.ask('snapshot', { layer: 'app', label })
  }

  async show(state: string, mountPoint = this.old): Promise<void> {
    await this.ask('mount.state', { layer: 'app', state, mountPoint })
  }

  async hide(lazy = false): Promise<void> {
    await this.ask('umount', { mountPoint: this.old, lazy })
  }
}

const lowerPart = (source: string) => {
  sh(
    source,
    `mkdir -p usr/lib etc/d opt; echo lib > usr/lib/a; ln usr/lib/a usr/lib/b; ln usr/lib/a usr/c
     echo conf > etc/conf; echo gone > etc/gone; ln -s ../etc/conf opt/link; echo deep > etc/d/deep
     ln etc/d/deep etc/deep2; head -c 3000 /dev/zero > opt/attr; mkfifo opt/pipe; chmod 4750 usr/lib/b`,
  )
  writeFileSync(join(source, 'big'), randomBytes(random, 24 * MIB))
  writeFileSync(Buffer.from(`${source}/n\xe9\xff\nx`, 'latin1'), 'name')
}

/** A file in memory now, with 100 changed pages: what is stored of it is small. */
function change(path: string): void {
  const fd = openSync(path, 'r+')
  for (let page = 0; page < 100; page++)
    writeSync(fd, randomBytes(random, 64), 0, 64, page * 230_017)
  closeSync(fd)
}

function changeAll(at: string): void {
  change(join(at, 'big'))
  sh(
    at,
    `rm etc/gone usr/c; echo changed > etc/conf; mkdir new; echo x > new/one; ln new/one new/two
     ln new/one etc/three; mv etc/d new/moved; chmod 600 opt/attr; touch -d @1000000000.123456789 new/one
     ln -s nowhere new/dangling; mkdir -p empty; chmod 1777 empty; mkfifo new/pipe
     dd if=/dev/urandom of=new/sparse bs=64k count=1 seek=40 2>&1; truncate -s 5M new/sparse`,
  )
  writeFileSync(Buffer.from(`${at}/new/\xff\x80`, 'latin1'), 'bytes')
  const one = must(sys.openat(AT_FDCWD, join(at, 'new/one'), O.PATH))
  setXattr(one, '', 'user.note', Buffer.from('\x00\xff'))
  // One more user may read: version, then tag, rights, id of each entry.
  const entries = [
    [1, 6, -1],
    [2, 4, 1234],
    [4, 4, -1],
    [16, 4, -1],
    [32, 0, -1],
  ]
  const acl = Buffer.alloc(4 + entries.length * 8)
  acl.writeUInt32LE(2)
  for (const [at, [tag, rights, id]] of entries.entries()) {
    acl.writeUInt16LE(tag!, 4 + at * 8)
    acl.writeUInt16LE(rights!, 6 + at * 8)
    acl.writeInt32LE(id!, 8 + at * 8)
  }
  setXattr(one, '', 'system.posix_acl_access', acl)
  sys.close(one)
  if (isRoot) sh(at, 'chown 3:4 etc/conf new/two; mknod new/device c 1 3')
}

t.test('a store whose states are shown', async (t) => {
  const place = await storeOf(t)
  const source = join(place.dir, 'source')
  mkdirSync(source)
  lowerPart(source)
  await place.ask('layer', 'create', 'app', '--from', source, '--activate')
  await place.mount()
  const shown = new Shown(place)
  t.teardown(() => shown.leave())

  await t.test('a state shows what its restore into a directory writes', (t) => same(t, shown))
  await t.test('a large file is read from the middle', (t) => middle(t, shown))
  await t.test('what cannot be shown is refused, and nothing is mounted', (t) => refused(t, shown))
  await t.test('a damaged file is EIO alone, and the events tell', (t) => damaged(t, shown))
  await t.test('a mount whose daemon was killed goes with the next', (t) => killed(t, shown))
})

async function same(t: Test, shown: Shown): Promise<void> {
  const { place, old } = shown
  changeAll(place.at)
  const { ino } = statSync(join(place.at, 'new/one'))
  await shown.snapshot('then')
  await differs(t, shown)
  await cats(t, shown)
  sh(place.at, 'rm -r new etc; echo later > big; mkdir etc')
  await shown.snapshot('later')

  // As people say it.
  const mounted = await place.ask('mount', old, '--state', 'app@then')
  t.match(mounted, { mountPoint: old, inactive: [] })
  const directory = join(place.dir, 'restored')
  await shown.ask('restore.to', { layer: 'app', state: 'then', directory })
  const seen = seenAt(old)
  t.same(seen, seenAt(directory))
  t.same(seen, seenAt(old), 'and again')
  t.equal(seen.length, isRoot ? 26 : 25)
  t.equal(statSync(join(old, 'new/one')).ino, ino, 'by the numbers that programs knew')
  t.equal(sh(old, 'ls -a new').toString().split('\n')[1], '..')

  const line = (await shown.ask('mounts', {})).find(({ mountPoint }) => mountPoint === old)
  t.match(line, { purpose: 'state', readOnly: true })
  t.match(line?.layers[0], /^app@[0-9a-f]{10}$/)
  for (const act of ['echo x > etc/conf', 'rm etc/conf', 'mkdir x', 'chmod 600 etc/conf'])
    t.throws(() => sh(old, `${act} 2>&1`), `${act} is refused`)
  t.same(seenAt(old), seen)

  // What is shown stays, whatever becomes of the state.
  await shown.ask('state.delete', { layer: 'app', state: 'then' })
  await shown.ask('gc', {})
  t.same(seenAt(old), seen)
  await shown.ask('deactivate', { layer: 'app' })
  await t.rejects(shown.ask('layer.delete', { layer: 'app', withStates: true }), {
    code: 'SVS_LAYER_BUSY',
  })
  await shown.ask('activate', { layer: 'app' })
  await shown.hide()
  t.equal(mountOf(old), null)
  await t.rejects(shown.show('then'), { code: 'SVS_STATE_NOT_FOUND' })
}

/** What was renamed is told by its number, also where it lies in the read-only part. */
async function differs(t: Test, { ask }: Shown): Promise<void> {
  const { differences, to } = await ask('diff', { layer: 'app', from: 'ro', to: 'then' })
  const told = differences.map(({ mark, path, from = '' }) => `${mark} ${path} ${from}`.trim())
  for (const line of ['R /new/moved /etc/d', 'D /etc/gone', 'M /etc/conf', 'attr /opt/attr'])
    t.ok(told.includes(line), line)
  t.same(
    told.filter((line) => line.endsWith('/deep')),
    [],
    'what lies in it is not named',
  )
  t.equal(to?.counts.renamed, 1)
  t.same((await ask('diff', { layer: 'app' })).differences, [])
  const paths = ['etc/conf']
  const some = await ask('diff', { layer: 'app', from: 'ro', paths, contents: true })
  t.match(some.differences, [{ mark: 'M', before: { bytes: /./ }, after: { size: 8 } }])
}

/** A file's bytes; of a large one as a command gets them. */
async function catOf(t: Test, { ask, place }: Shown, state: string, path: string): Promise<Buffer> {
  const { bytes, size } = await ask('cat', { layer: 'app', state, path })
  if (bytes !== null) return Buffer.from(bytes, 'base64')
  const into = `cat-${randomUUID()}`
  const name = join(storePlaces(place.store).run, into)
  const fd = openSync(name, 'wx+')
  try {
    t.equal((await ask('cat', { layer: 'app', state, path, into })).size, size)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
    t.notOk(existsSync(name), 'its name is gone')
  }
}

/** Unsettled, renamed, linked, sparse, from below: as programs read them. */
async function cats(t: Test, shown: Shown): Promise<void> {
  const { place } = shown
  const paths = ['big', 'etc/conf', 'etc/three', 'new/two', 'new/moved/deep', 'new/sparse']
  for (const path of [...paths, 'usr/lib/b', 'opt/attr']) {
    const bytes = readFileSync(join(place.at, path))
    for (const state of ['now', 'then'])
      t.ok((await catOf(t, shown, state, path)).equals(bytes), `${path} of ${state}`)
  }
  t.ok((await catOf(t, shown, 'now', join(place.at, 'etc/conf'))).equals(Buffer.from('changed\n')))
  t.ok((await catOf(t, shown, 'ro', 'etc/d/deep')).equals(Buffer.from('deep\n')), 'as installed')
  const big = readFileSync(join(place.dir, 'source/big'))
  t.ok((await catOf(t, shown, 'ro', 'big')).equals(big))
}

async function middle(t: Test, shown: Shown): Promise<void> {
  const { place, old } = shown
  const big = join(place.at, 'big')
  const bytes = randomBytes(random, 24 * MIB)
  writeFileSync(big, bytes)
  await shown.snapshot('large')
  for (let page = 0; page < 3; page++) bytes.writeUInt32LE(random(1e9), page * 9 * MIB + 12_345)
  writeFileSync(big, bytes)
  await shown.snapshot('larger')
  await shown.show('larger')
  const fd = openSync(join(old, 'big'), 'r')
  const into = Buffer.alloc(100_000)
  for (const at of [16 * MIB - 50_000, 23 * MIB, 0, 9 * MIB]) {
    readSync(fd, into, 0, into.length, at)
    t.ok(into.equals(bytes.subarray(at, at + into.length)), `from ${at} on`)
  }
  await t.rejects(shown.hide(), { code: 'SVS_MOUNT_BUSY' })
  // Who has it open reads on.
  await shown.hide(true)
  readSync(fd, into, 0, into.length, 5 * MIB)
  t.ok(into.equals(bytes.subarray(5 * MIB, 5 * MIB + into.length)))
  closeSync(fd)
}

async function refused(t: Test, shown: Shown): Promise<void> {
  const { place, old } = shown
  const layer = 'none'
  const mountPoint = join(place.dir, 'absent')
  await t.rejects(shown.ask('mount.state', { layer, state: 'latest', mountPoint }), {
    code: 'SVS_LAYER_NOT_FOUND',
  })
  await t.rejects(shown.show('latest', mountPoint), { code: 'SVS_MOUNT_POINT_INVALID' })
  await t.rejects(shown.show('latest', place.store), { code: 'SVS_MOUNT_POINT_INVALID' })
  t.equal((await shown.ask('mounts', {})).length, 1)

  // What the daemon would have to ask itself for.
  await shown.show('larger')
  const within = join(old, 'usr')
  await t.rejects(shown.show('latest', within), { code: 'SVS_TREE_INSIDE_MOUNT' })
  await t.rejects(
    shown.ask('layer.create', { layer: 'copy', source: { kind: 'from', paths: [within] } }),
    { code: 'SVS_TREE_INSIDE_MOUNT' },
  )
  await shown.hide()
}

async function damaged(t: Test, shown: Shown): Promise<void> {
  const { place, old } = shown
  writeFileSync(join(place.at, 'whole'), randomBytes(random, 20_000))
  writeFileSync(join(place.at, 'hurt'), randomBytes(random, 9 * MIB))
  await shown.snapshot('hurt')
  shown.leave()
  await place.ask('umount', '--all')
  const at = join(place.store, 'catalogue/values')
  const db = new Level<string, Buffer>(at, { valueEncoding: 'buffer' })
  await db.open()
  for await (const [key, value] of db.iterator())
    if (value.length > MIB / 2) await db.put(key, Buffer.from(value).fill(7, 1000, 1001))
  await db.close()
  await place.mount()

  await shown.show('hurt')
  t.throws(() => readFileSync(join(old, 'hurt')), { code: 'EIO' })
  t.ok(readFileSync(join(old, 'whole')).equals(readFileSync(join(place.at, 'whole'))))
  const events = await shown.ask('events', { last: 1 })
  await t.rejects(catOf(t, shown, 'hurt', 'hurt'), { code: 'SVS_CHUNK_DAMAGED' })
  t.match(events[0]?.text, /^\/hurt of state app@\w+ cannot be read: .*; svsfs verify/)
}

async function killed(t: Test, shown: Shown): Promise<void> {
  const { place, old } = shown
  shown.leave()
  const pid = await place.daemon()
  process.kill(pid, 'SIGKILL')
  await place.ended(pid)
  t.not(mountOf(old), null)
  await place.mount()
  t.equal(mountOf(old), null)
}
