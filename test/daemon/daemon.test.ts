// The daemon as a process: it starts by itself, ends with its last mount, and whatever ends it, the
// store and the mount points are usable again.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isAlive } from '../../lib/host/alive.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { ask, PROGRAM, svsfs } from '../cli/run-cli.ts'
import { directory, throwAway } from './place.ts'
import { toolsStore, until } from './tools-store.ts'

t.setTimeout(600_000)

t.test('a mount starts the daemon, which ends with its last mount', async (t) => {
  const { mountPoint, must, status, read, store, dir } = toolsStore(t)
  t.equal(status().daemon, null)
  must('mount', mountPoint)
  t.equal(mountAt(mountPoint)?.type, 'fuse.svsfs')
  t.equal(read('tool'), 'as imported')
  const pid = status().daemon?.pid ?? 0
  must('mount', directory(dir, 'second'))
  t.equal(status().daemon?.pid, pid)
  must('umount', mountPoint)
  t.ok(isAlive(pid))
  must('umount', join(dir, 'second'))
  await until(() => !isAlive(pid), 'the end of the daemon')
  t.equal(mountAt(mountPoint), null)
  t.match(readFileSync(join(store, 'run/daemon.log'), 'utf8'), /serves the store/)
})

t.test('a mount over its own base shows layers in place', async (t) => {
  const { dir, must, store } = toolsStore(t)
  const base = directory(dir, 'suite')
  writeFileSync(join(base, 'of-the-base'), 'x')
  must('mount', base, '--base', base)
  t.same(readdirSync(base).sort(), ['of-the-base', 'tool'])
  t.match(ask(store, 'mount', base), { error: { code: 'SVS_MOUNT_POINT_BUSY', exit: 5 } })
  must('umount', base)
  t.same(readdirSync(base), ['of-the-base'])
})

t.test(
  'a mount that fails is told to the command, and its daemon ends when asked to unmount all',
  async (t) => {
    const { run, must, status, dir } = toolsStore(t)
    const failed = run('mount', join(dir, 'absent'))
    t.equal(failed.status, 3)
    t.match(failed.err, /SVS_MOUNT_POINT_INVALID/)
    must('layer', 'list')
    const pid = status().daemon?.pid
    t.ok(pid, 'it waits for another try')
    must('umount', '--all')
    t.notOk(isAlive(pid ?? 0), 'and ends before its time where everything is to be unmounted')
  },
)

t.test('SIGTERM unmounts everything and gives the store back', async (t) => {
  const { mountPoint, must, status, write } = toolsStore(t)
  must('mount', mountPoint)
  write('note', 'kept')
  const pid = status().daemon?.pid ?? 0
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid), 'the end of the daemon')
  t.equal(mountAt(mountPoint), null)
  t.equal(status().daemon, null)
  must('mount', mountPoint)
  t.equal(readFileSync(join(mountPoint, 'note'), 'utf8'), 'kept')
})

t.test('after kill -9 the dead mount is replaced, and every change is there', async (t) => {
  const { mountPoint, must, status, write, read, run, store } = toolsStore(t)
  must('mount', mountPoint)
  write('note', 'kept')
  must('snapshot', 'tools', '--label', 'one')
  write('later', 'kept too')
  const pid = status().daemon?.pid ?? 0
  process.kill(pid, 'SIGKILL')
  await until(() => !isAlive(pid), 'the end of the daemon')
  t.throws(() => statSync(mountPoint), { code: 'ENOTCONN' })
  t.match(run('layer', 'list').out, /tools/)
  must('mount', mountPoint)
  t.equal(read('note'), 'kept')
  t.equal(read('later'), 'kept too')
  t.match(ask(store, 'snapshots', 'tools'), { data: [{ label: 'one' }] })
})

t.test('a dead mount is taken away by umount, with no daemon to ask', async (t) => {
  const { mountPoint, must, status } = toolsStore(t)
  must('mount', mountPoint)
  const pid = status().daemon?.pid ?? 0
  process.kill(pid, 'SIGKILL')
  await until(() => !isAlive(pid), 'the end of the daemon')
  must('umount', mountPoint)
  t.equal(mountAt(mountPoint), null)
})

t.test('a mount that somebody else takes away is noticed', async (t) => {
  const { mountPoint, must, status, store } = toolsStore(t)
  must('mount', mountPoint)
  const pid = status().daemon?.pid ?? 0
  // A store that was never made: this command knows nothing of the daemon.
  t.equal(svsfs(join(store, '../other'), 'umount', mountPoint).status, 0)
  await until(() => !isAlive(pid), 'the end of the daemon')
  t.match(ask(store, 'events'), { ok: true })
  t.match(readFileSync(join(store, 'run/events.log'), 'utf8'), /"kind":"unmounted"/)
})

t.test(
  'what is taken away is served to who still uses it, and the daemon ends after that',
  async (t) => {
    const { mountPoint, must, run, status, store } = toolsStore(t)
    must('mount', mountPoint)
    const pid = status().daemon?.pid ?? 0
    const fd = openSync(join(mountPoint, 'tool'), 'r')
    t.equal(run('umount', mountPoint).status, 5)
    t.match(ask(store, 'umount', mountPoint, '--lazy'), {
      data: { mountPoints: [mountPoint], left: 0, used: [mountPoint], ends: false },
    })
    t.equal(mountAt(mountPoint), null)
    // The kernel has no answer of its own to this.
    t.ok(statfsSync(`/proc/self/fd/${fd}`).blocks > 0)
    t.equal(readFileSync(fd, 'utf8'), 'as imported')
    t.match(ask(store, 'layer', 'delete', 'tools', '--yes'), { error: { code: 'SVS_LAYER_BUSY' } })
    must('mount', mountPoint)
    t.equal(status().daemon?.pid, pid, 'the same daemon')
    must('umount', mountPoint)
    t.ok(isAlive(pid))
    closeSync(fd)
    await until(() => !isAlive(pid), 'the end of the daemon')
  },
)

t.test('a mount that another mount namespace has is taken away here', async (t) => {
  const { mountPoint, must, run, status } = toolsStore(t)
  const { SVSFS_UMOUNT_SECONDS: usual } = process.env
  process.env.SVSFS_UMOUNT_SECONDS = '1'
  must('mount', mountPoint)
  if (usual === undefined) delete process.env.SVSFS_UMOUNT_SECONDS
  else process.env.SVSFS_UMOUNT_SECONDS = usual
  const pid = status().daemon?.pid ?? 0
  const own = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const other = spawn('unshare', [...own, '--mount', 'sh', '-c', 'echo; read line'])
  await once(other.stdout, 'data')
  const done = run('umount', '--all')
  t.equal(done.status, 0)
  t.match(done.err, /still used, by a program or in another mount namespace/)
  t.equal(mountAt(mountPoint), null)
  other.stdin.end()
  await until(() => !isAlive(pid), 'the end of the daemon')
})

t.test('in the foreground it serves until it is interrupted', async (t) => {
  const { mountPoint, store } = toolsStore(t)
  const env = { ...process.env, SVSFS_STORE: store }
  const words = [PROGRAM, 'mount', mountPoint, '--foreground', '--trace']
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  await until(() => said.includes('Ctrl-C ends it'), 'the mount')
  t.same(readdirSync(mountPoint), ['tool'])
  child.kill('SIGINT')
  t.equal(await ended, 0)
  t.equal(mountAt(mountPoint), null)
  t.match(said, /READDIR/)
})

t.test('svsfs run answers with the status of the program, and leaves no view', async (t) => {
  const { must, run, store } = toolsStore(t)
  const ran = run('run', 'tools', '--', 'sh', '-c', 'cat /tool; echo kept > "$HOME/note"; exit 7')
  t.match(ran, { status: 7, out: 'as imported' })
  t.same(readdirSync(join(store, 'run/views')), [])
  t.equal(run('run', 'tools', 'sh', '-c', 'cat "$HOME/note"').out, 'kept\n')
  t.match(run('run', 'tools', 'no-such-program').err, /SVS_PROGRAM_NOT_FOUND/)
  t.match(run('run', 'tools').err, /SVS_USAGE/)
  must('umount', '--all')
})

t.test('the view of a run that is killed is taken away', async (t) => {
  const { store, must } = toolsStore(t)
  const env = { ...process.env, SVSFS_STORE: store }
  const child = spawn(process.execPath, [PROGRAM, 'run', 'tools', '--', 'sleep', '60'], {
    env,
    stdio: 'ignore',
  })
  const views = join(store, 'run/views')
  await until(() => existsSync(views) && readdirSync(views).length > 0, 'the view')
  await until(() => mountAt(join(views, '1')) !== null, 'the mount')
  child.kill('SIGKILL')
  await until(() => readdirSync(views).length === 0, 'the end of the view')
  must('umount', '--all')
})

t.test(
  'the drop-in mount serves directories without a store, and ends with its mount',
  async (t) => {
    const dir = throwAway(t)
    for (const name of ['a', 'b:c', 'u', 'w', 'm']) mkdirSync(join(dir, name))
    writeFileSync(join(dir, 'a/file'), 'a')
    writeFileSync(join(dir, 'b:c/file'), 'hidden')
    writeFileSync(join(dir, 'b:c/other'), 'b')
    const at = join(dir, 'm')
    const options = `rw,noatime,lowerdir=${dir}/a:${dir}/b\\:c,upperdir=${dir}/u,workdir=${dir}/w`
    const mounted = svsfs('/nowhere', 'overlay', 'some source', at, '-o', options)
    t.same(mounted, { status: 0, out: '', err: '' })
    t.match(mountAt(at), { type: 'fuse.svsfs', source: 'some source' })
    t.equal(readFileSync(join(at, 'file'), 'utf8'), 'a')
    writeFileSync(join(at, 'file'), 'changed')
    rmSync(join(at, 'other'))
    t.equal(readFileSync(join(dir, 'u/file'), 'utf8'), 'changed')
    t.ok(statSync(join(dir, 'u/other')).isCharacterDevice())
    t.equal(readFileSync(join(dir, 'a/file'), 'utf8'), 'a')
    t.equal(svsfs(join(dir, 'no-store'), 'umount', at).status, 0)
    t.equal(mountAt(at), null)
  },
)

t.test('the drop-in mount without an upper directory is read-only', async (t) => {
  const dir = throwAway(t)
  const [lower, at] = [directory(dir, 'a'), directory(dir, 'm')]
  t.equal(svsfs('/nowhere', 'overlay', at, '-o', `lowerdir=${lower}`).status, 0)
  t.teardown(() => svsfs(join(dir, 'no-store'), 'umount', at))
  t.throws(() => writeFileSync(join(at, 'file'), 'x'), { code: 'EROFS' })
})
