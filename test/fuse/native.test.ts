// The same filesystem through fuse-native, on a real mount.
// Needs root: the filesystem that is mounted belongs to root.

import { spawnSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { Failure } from '../../lib/base/failure.ts'
import { loadFuseNative } from '../../lib/fuse/native-load.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { served } from './served.ts'

const missing = await loadFuseNative().then(
  () => null,
  (err: unknown) => err,
)
if (missing !== null) {
  t.ok(missing instanceof Failure, 'what is missing is a Failure')
  t.match(missing, { code: 'SVS_FUSE_NATIVE_MISSING' })
  t.comment(`not run: ${(missing as Error).message}`)
  process.exit()
}

t.test('files are made, changed and removed through the mount', async (t) => {
  const server = await served(t, {}, undefined, 'serve-native')
  const at = (name: string) => `${server.mountPoint}/${name}`
  t.match(mountAt(server.mountPoint), { type: 'fuse.svsfs', source: 'a,b' })
  t.equal(readFileSync(at('hello'), 'utf8'), 'hello\n')
  const large = Buffer.alloc(300_000, 'abc')
  writeFileSync(at('ä'), large)
  t.ok(readFileSync(at('ä')).equals(large))
  mkdirSync(at('d'), 0o750)
  t.equal(statSync(at('d')).mode & 0o7777, 0o750)
  renameSync(at('ä'), at('d/y'))
  symlinkSync('d/y', at('l'))
  t.equal(readlinkSync(at('l')), 'd/y')
  linkSync(at('d/y'), at('h'))
  truncateSync(at('h'), 3)
  t.same(readdirSync(server.mountPoint).sort(), ['d', 'h', 'hello', 'l'])
  for (const name of ['h', 'l', 'd/y']) unlinkSync(at(name))
  rmdirSync(at('d'))
  t.throws(() => statSync(at('d')), { code: 'ENOENT' })
  t.throws(() => statSync(at('n'.repeat(256))), { code: 'ENAMETOOLONG' })
  t.equal(statfsSync(server.mountPoint).blocks, 1000)
})

t.test('attributes: a buffer that is too small is ERANGE', async (t) => {
  const server = await served(t, {}, undefined, 'serve-native')
  const file = `${server.mountPoint}/hello`
  const set = spawnSync('setfattr', ['-n', 'user.a', '-v', 'value', file])
  t.equal(set.status, 0)
  const got = spawnSync('getfattr', ['--only-values', '-n', 'user.a', file], { encoding: 'utf8' })
  t.equal(got.stdout, 'value')
  const small = spawnSync('python3', [
    '-c',
    `import ctypes as c; l=c.CDLL(None,use_errno=True); b=c.create_string_buffer(64)
n=l.getxattr(b"${file}",b"user.a",b,2); print(n,c.get_errno(),b.raw[:8])`,
  ])
  if (small.error === undefined) t.match(small.stdout.toString(), /^-1 34 b'(\\x00){8}'/)
})

t.test('a parked request runs again, and every lookup is forgotten', async (t) => {
  const server = await served(t, {}, undefined, 'serve-native')
  server.command('open')
  t.equal(readFileSync(`${server.mountPoint}/hello`, 'utf8'), 'hello\n')
  t.throws(() => writeFileSync(`${server.mountPoint}/hello/no`, ''), { code: 'ENOTDIR' })
  server.child.kill('SIGTERM')
  t.equal(await server.line('known'), '1', 'the root alone')
  await server.line('ended')
  t.equal(await server.exit(), 0)
  t.equal(mountAt(server.mountPoint), null)
})
