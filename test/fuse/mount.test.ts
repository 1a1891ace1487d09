// The transport on real mounts, as root and as another user.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { idleTimeOf } from '../../bench/footprint.ts'
import { processorTimeOf } from '../../bench/processes.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { served } from './served.ts'

if (process.geteuid?.() !== 0) {
  t.plan(0, 'mounting by mount(2) needs root')
  process.exit(0)
}

t.test('files are made, read, renamed and removed through the mount', async (t) => {
  const { mountPoint } = await served(t)
  t.equal(readFileSync(`${mountPoint}/hello`, 'utf8'), 'hello\n')
  mkdirSync(`${mountPoint}/dir`)
  const large = Buffer.alloc(5_000_000, 'abc')
  writeFileSync(`${mountPoint}/dir/large`, large)
  t.ok(readFileSync(`${mountPoint}/dir/large`).equals(large))
  renameSync(`${mountPoint}/dir/large`, `${mountPoint}/moved`)
  t.same(readdirSync(mountPoint).sort(), ['dir', 'hello', 'moved'])
  t.equal(statSync(`${mountPoint}/moved`).size, large.length)
  unlinkSync(`${mountPoint}/moved`)
  rmdirSync(`${mountPoint}/dir`)
  t.same(readdirSync(mountPoint), ['hello'])
  t.equal(statfsSync(mountPoint).blocks, 1000)
  t.throws(() => statSync(`${mountPoint}/${'n'.repeat(256)}`), { code: 'ENAMETOOLONG' })
})

t.test(
  'sources with commas and spaces, read-only, other users: as the mount table shows',
  async (t) => {
    const { mountPoint } = await served(t, { source: 'a,b c\\d', readOnly: true, allowOther: true })
    const entry = mountAt(mountPoint)!
    t.match(entry, { type: 'fuse.svsfs', source: 'a,b c\\d' })
    t.match(entry.options, /\bro\b.*allow_other/)
    t.notMatch(entry.options, /nosuid|nodev/)
    t.throws(() => writeFileSync(`${mountPoint}/new`, ''), { code: 'EROFS' })
    const read = (from: string) =>
      spawnSync('cat', [`${from}/hello`], { uid: 65534, gid: 65534, encoding: 'utf8' })
    t.equal(read(mountPoint).stdout, 'hello\n')
    const closed = await served(t)
    t.match(read(closed.mountPoint).stderr, /denied/, 'without allow_other nobody else enters')
  },
)

t.test('unmounting ends the session and the program', async (t) => {
  const server = await served(t)
  const held = openSync(`${server.mountPoint}/hello`, 'r')
  server.command('umount')
  t.match(await server.line('unmounted'), /is in use/)
  closeSync(held)
  t.equal(spawnSync('umount', [server.mountPoint]).status, 0)
  t.equal(await server.line('ended'), 'unmounted')
  t.equal(await server.exit(), 0)
  t.equal(mountAt(server.mountPoint), null)
})

t.test('idle, it uses no CPU', async (t) => {
  const server = await served(t)
  readFileSync(`${server.mountPoint}/hello`)
  // What is left of the start takes some seconds on a busy machine: the first idle one counts.
  const idle = await idleTimeOf(() => processorTimeOf(server.child.pid!), 1)
  t.ok(idle < 10_000, `${idle.toFixed(0)} µs of processor time in an idle second`)
})

t.test('what changes behind the kernel is announced', async (t) => {
  const server = await served(t)
  const { mountPoint } = server
  t.equal(readFileSync(`${mountPoint}/hello`, 'utf8'), 'hello\n')
  server.command('replace HELLO\n')
  await server.line('announced')
  t.equal(readFileSync(`${mountPoint}/hello`, 'utf8'), 'HELLO\n')

  t.notOk(existsSync(`${mountPoint}/late`))
  server.command('appear late')
  await server.line('announced')
  t.ok(existsSync(`${mountPoint}/late`), 'an absence is remembered only until it is over')

  const held = openSync(`${mountPoint}/hello`, 'r')
  server.command('exchange another node')
  await server.line('announced')
  t.equal(readFileSync(`${mountPoint}/hello`, 'utf8'), 'another node')
  t.equal(readSync(held, Buffer.alloc(10)), 6, 'what was open stays what it was')
  t.not(fstatSync(held).ino, statSync(`${mountPoint}/hello`).ino)
  closeSync(held)

  server.command('unknown')
  t.equal(await server.line('announced'), '{"value":1}', 'an unknown name is no failure')
})

t.test(
  'what is gone the kernel takes down with nobody asking for it, and only where told so',
  async (t) => {
    const server = await served(t)
    const { mountPoint } = server
    for (const name of ['large', 'small']) {
      mkdirSync(`${mountPoint}/${name}`)
      writeFileSync(`${mountPoint}/${name}/below`, '')
    }
    const calls = async () => {
      server.command('calls')
      return JSON.parse(await server.line('calls')) as string[]
    }
    await calls()
    server.command('vanish small quietly')
    await server.line('announced')
    server.command('vanish large')
    await server.line('announced')
    const seen: string[] = []
    const isDone = () => seen.filter((call) => call.startsWith('forget')).length >= 2
    for (let tries = 0; tries < 100 && !isDone(); tries++) {
      seen.push(...(await calls()))
      await pause(20)
    }
    t.ok(seen.includes('lookup large'), 'asked for')
    t.ok(isDone(), 'the directory and the name in it are forgotten')
    t.notOk(seen.includes('lookup small'))
    t.throws(() => statSync(`${mountPoint}/large`), { code: 'ENOENT' })
  },
)

t.test('the kernel forgets the nodes it is asked to, but for those in use', async (t) => {
  const server = await served(t)
  const { mountPoint } = server
  for (const name of ['open', 'idle']) writeFileSync(`${mountPoint}/${name}`, name)
  mkdirSync(`${mountPoint}/watched`)
  const held = openSync(`${mountPoint}/open`, 'r')
  const watcher = watch(`${mountPoint}/watched`)
  t.teardown(() => watcher.close())
  const inode = statSync(`${mountPoint}/open`).ino
  if (!server.agreed!.prunes) {
    t.comment('this kernel cannot be asked')
    return
  }
  server.command('prune')
  t.equal(await server.line('announced'), '{"value":1}')
  // FORGET comes when nobody waits for anything else.
  await pause(200)
  server.command('calls')
  t.equal((await server.line('calls')).match(/forget \d+/g)?.length, 1, 'what is idle alone')
  t.equal(readSync(held, Buffer.alloc(10)), 4)
  t.equal(statSync(`${mountPoint}/open`).ino, inode)
  t.equal(readFileSync(`${mountPoint}/idle`, 'utf8'), 'idle', 'it is looked up again')
  closeSync(held)
})

t.test('a touch reaches watchers and changes nothing', async (t) => {
  const server = await served(t)
  const { mountPoint } = server
  mkdirSync(`${mountPoint}/watched`)
  const before = statSync(`${mountPoint}/watched`).mtimeMs
  const events: string[] = []
  const watcher = watch(`${mountPoint}/watched`, (event) => events.push(event))
  t.teardown(() => watcher.close())
  await pause(50)
  server.command('calls')
  await server.line('calls')
  server.command('touch watched')
  t.equal(await server.line('announced'), '{"value":1}')
  await pause(200)
  t.ok(events.length > 0, 'an event')
  t.equal(statSync(`${mountPoint}/watched`).mtimeMs, before)
  server.command('calls')
  t.notMatch(await server.line('calls'), /setattr \d+/)
  server.command('touch no/such/directory')
  t.equal(await server.line('announced'), '{"value":1}')
})

t.test('syncfs waits until all dirty pages were written to us', async (t) => {
  const server = await served(t)
  const fd = openSync(`${server.mountPoint}/dirty`, 'w')
  t.teardown(() => closeSync(fd))
  for (let i = 0; i < 2000; i++) writeSync(fd, Buffer.alloc(4096, i))
  server.command('sync')
  t.equal(await server.line('synced'), '{"value":0} 8192000')
})

t.test(
  'a request is parked for the io thread, and an unexpected failure is EIO alone',
  async (t) => {
    const server = await served(t, { valid: 0 })
    server.command('park open')
    t.equal(readFileSync(`${server.mountPoint}/hello`, 'utf8'), 'hello\n')
    server.command('fail mkdir')
    t.throws(() => mkdirSync(`${server.mountPoint}/d`), { code: 'EIO' })
    t.equal(readFileSync(`${server.mountPoint}/hello`, 'utf8'), 'hello\n')
    await pause(100)
    t.match(server.stderr, /MKDIR of node 1 name "d"/)
  },
)

t.test('a kernel capped to 6.1 is served the same', async (t) => {
  const server = await served(t, { cap: '6.1' })
  const { mountPoint } = server
  writeFileSync(`${mountPoint}/f`, 'text')
  t.equal(readFileSync(`${mountPoint}/f`, 'utf8'), 'text')
  const ran = spawnSync('stat', ['-c', '%W %s', `${mountPoint}/f`], { encoding: 'utf8' })
  t.equal(ran.stdout, '0 4\n', 'no time of birth, and no error')
})

t.test('--trace tells every request', async (t) => {
  const server = await served(t, { trace: true })
  statSync(`${server.mountPoint}/hello`)
  const line = await server.line('> 4')
  t.match(line, /^(GETATTR|LOOKUP) node 1 .*uid 0 pid \d+$/)
})

t.test('an aborted connection ends the session', async (t) => {
  const server = await served(t)
  const held = openSync(`${server.mountPoint}/hello`, 'r')
  t.not(spawnSync('umount', ['-f', server.mountPoint]).status, 0, 'busy, and aborted')
  await server.line('ended')
  t.equal(await server.exit(), 0)
  t.throws(() => readSync(held, Buffer.alloc(1)))
  closeSync(held)
})
