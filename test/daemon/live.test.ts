// What running programs see when layers come, go and are put back, on a real mount.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { randomBytes, randomOf } from '../snapshot/fixture.ts'
import { storeOf } from './store-of.ts'

t.setTimeout(240_000)

t.test('an activated layer shows at once, also names that were asked for before', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'opt/app/run': 'program', 'etc/shared': 'app' })
  await place.layer('tool', { 'etc/shared': 'tool', 'etc/tool': 't' })
  await place.mount()
  await place.ask('activate', 'tool')
  t.equal(readFileSync(join(place.at, 'etc/shared'), 'utf8'), 'tool')
  t.notOk(existsSync(join(place.at, 'opt')))
  await place.ask('activate', 'app')
  t.equal(readFileSync(join(place.at, 'opt/app/run'), 'utf8'), 'program')
  await place.ask('priority', 'app', '5')
  t.equal(readFileSync(join(place.at, 'etc/shared'), 'utf8'), 'app')
  await place.ask('deactivate', 'app')
  t.same(readdirSync(place.at), ['etc'])
  t.equal(readFileSync(join(place.at, 'etc/shared'), 'utf8'), 'tool')
  t.throws(() => statSync(join(place.at, 'opt/app/run')), { code: 'ENOENT' })
})

t.test('a running program keeps its own name, its directory and its files', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'bin/data': 'x', 'work/here': 'y' })
  await place.layer('other', { 'bin/more': 'z' })
  await place.mount()
  await place.ask('activate', 'app')
  const program = join(place.at, 'bin/sleep')
  copyFileSync('/usr/bin/sleep', program)
  const { chmodSync } = await import('node:fs')
  chmodSync(program, 0o755)
  const child = spawn(program, ['60'], { cwd: join(place.at, 'work'), stdio: 'ignore' })
  await once(child, 'spawn')
  t.teardown(() => child.kill())
  await place.ask('activate', 'other')
  await place.ask('priority', 'other', '9')
  t.equal(readlinkSync(`/proc/${child.pid}/exe`), program)
  t.equal(readlinkSync(`/proc/${child.pid}/cwd`), join(place.at, 'work'))
  child.kill()
  await once(child, 'exit')
})

t.test('watchers of a directory hear of an activation', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'etc/app': 'x' })
  await place.layer('tool', { 'etc/tool': 'y' })
  await place.mount()
  await place.ask('activate', 'tool')
  readdirSync(join(place.at, 'etc'))
  const watcher = watch(join(place.at, 'etc'))
  t.teardown(() => watcher.close())
  const heard = once(watcher, 'change')
  statSync(join(place.at, 'etc/tool'))
  t.notOk(existsSync(join(place.at, 'etc/app')))
  const before = statSync(join(place.at, 'etc')).mtimeMs
  await place.ask('activate', 'app')
  await heard
  t.equal(statSync(join(place.at, 'etc')).mtimeMs, before, 'the touch changed nothing')
})

t.test('a restore shows at once; what is open keeps what it had', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'etc/conf': 'original' })
  await place.mount()
  await place.ask('activate', 'app')
  const conf = join(place.at, 'etc/conf')
  writeFileSync(conf, 'first')
  const { id } = (await place.ask('snapshot', 'app', '-m', 'first')) as { id: string }
  const { ino } = statSync(conf)
  writeFileSync(conf, 'second, longer')
  writeFileSync(join(place.at, 'etc/new'), 'n')
  const fd = openSync(conf, 'r')
  t.teardown(() => closeSync(fd))
  const named = new RegExp(`SVS_FILES_OPEN.*process ${process.pid}`)
  await t.rejects(place.ask('restore', 'app', id), named, 'who holds it is named first')
  t.equal(readFileSync(conf, 'utf8'), 'second, longer', 'and nothing is done')
  const plan = (await place.ask('restore', 'app', id, '--dry-run')) as {
    write: { path: string }[]
    remove: string[]
    lose: string[]
    open: { pid: number; files: string[] }[]
  }
  t.same(plan.write, [{ path: '/etc/conf', size: 5 }])
  t.same(plan.remove, ['/etc/new'])
  t.same(plan.lose, ['/etc/conf', '/etc/new'])
  t.match(plan.open, [{ pid: process.pid, files: [conf] }])
  t.equal(readFileSync(conf, 'utf8'), 'second, longer', 'a plan changes nothing')
  await place.ask('restore', 'app', id, '--force')
  t.equal(readFileSync(conf, 'utf8'), 'first')
  t.equal(statSync(conf).ino, ino)
  t.same(readdirSync(join(place.at, 'etc')), ['conf'])
  const held = Buffer.alloc(64)
  t.equal(held.toString('utf8', 0, readSync(fd, held, 0, 64, 0)), 'second, longer')
  await place.ask('reset', 'app', '--yes')
  t.equal(readFileSync(conf, 'utf8'), 'original')
})

t.test('a large file is put back in place, but for who has it open, or frozen', async (t) => {
  const place = await storeOf(t)
  const { at, dir, store } = place
  await place.ask('layer', 'create', 'app', '--empty', '--activate')
  await place.mount('--write-to', 'app')
  const big = join(at, 'big')
  const random = randomOf(7)
  writeFileSync(big, randomBytes(random, 9 * 1024 * 1024))
  const change = () => {
    const fd = openSync(big, 'r+')
    for (let page = 0; page < 4; page++)
      writeSync(fd, randomBytes(random, 6000), 0, 6000, random(9_000_000))
    closeSync(fd)
    return readFileSync(big)
  }
  const taken = async () => ((await place.ask('snapshot', 'app')) as { id: string }).id
  const back = (state: string) => place.ask('restore', 'app', state, '--force')
  await taken()
  const [one, first] = [change(), await taken()]
  const two = change()
  const [layer] = readdirSync(join(store, 'layers'))
  const own = join(store, 'layers', layer!, 'rw/1/big')
  const { ino } = statSync(own)
  const frozen = (await place.ask('freeze', 'app')) as { id: string }
  const shown = join(dir, 'frozen')
  mkdirSync(shown)
  await place.ask('mount', shown, '--frozen', frozen.id)

  const before = (await back(first)) as { before: { id: string } }
  t.equal(statSync(own).ino, ino, 'the file itself stays')
  t.ok(readFileSync(big).equals(one))
  t.ok(readFileSync(join(shown, 'big')).equals(two), 'an image of before keeps what it was')

  const fd = openSync(big, 'r')
  t.teardown(() => closeSync(fd))
  await back(before.before.id)
  t.not(statSync(own).ino, ino, 'who has it open keeps it')
  t.ok(readFileSync(big).equals(two))
  const held = Buffer.alloc(one.length)
  readSync(fd, held, 0, held.length, 0)
  t.ok(held.equals(one))
  t.match(await place.ask('verify'), { faults: [] })
})

t.test("two mounts of one store show each other's changes", async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'etc/conf': 'original' })
  await place.mount()
  await place.ask('activate', 'app')
  const second = join(place.dir, 'second')
  const { mkdirSync } = await import('node:fs')
  mkdirSync(second)
  await place.ask('mount', second)
  t.equal(readFileSync(join(second, 'etc/conf'), 'utf8'), 'original')
  t.notOk(existsSync(join(second, 'etc/new')))
  writeFileSync(join(place.at, 'etc/new'), 'n')
  t.equal(readFileSync(join(second, 'etc/new'), 'utf8'), 'n')
})
