// Mounting as an ordinary user: started as root, under a second uid. Failures are acted by a
// program of the same name that stands first in PATH.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fusermount, fuserumount } from '../../lib/host/fusermount.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { served } from '../fuse/served.ts'

const user = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined
const request = { mountPoint: '/tmp', source: 'x', readOnly: false, allowOther: true }

t.test('a user mounts and unmounts through fusermount3', async (t) => {
  if ((statSync('/dev/fuse').mode & 0o006) !== 0o006) {
    return t.comment('/dev/fuse is closed to users on this machine: not run')
  }
  const server = await served(t, { source: 'a,b\\c d' }, user)
  const entry = mountAt(server.mountPoint)!
  t.match(entry, { type: 'fuse.svsfs', source: 'a,b\\c d' })
  t.match(entry.options, /nosuid.*nodev/)
  const read = spawnSync('cat', [`${server.mountPoint}/hello`], { ...user, encoding: 'utf8' })
  t.equal(read.stdout, 'hello\n')
  // The command reaches the server through the mount, so the first attempt may find it in use.
  const command = ['-n', 'user.command', '-v', 'umount', server.mountPoint]
  for (let said = ''; said !== 'ok'; said = await server.line('unmounted', 3000)) {
    spawnSync('setfattr', command, { ...user })
  }
  await server.line('ended')
  t.equal(await server.exit(), 0)
  t.equal(mountAt(server.mountPoint), null)
})

/** A fusermount3 that runs this shell script instead. */
function acted(t: Test, script: string): void {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-acted-'))
  writeFileSync(join(dir, 'fusermount3'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(dir, 'fusermount3'), 0o755)
  const { PATH } = process.env
  process.env.PATH = `${dir}:${PATH}`
  t.teardown(() => {
    process.env.PATH = PATH
    rmSync(dir, { recursive: true })
  })
}

const CASES = [
  [
    'no access to the device',
    'echo "cannot open /dev/fuse: denied" >&2; exit 1',
    'SVS_FUSE_UNAVAILABLE',
  ],
  [
    'fuse.conf forbids others',
    'echo "option allow_other only allowed if" >&2; exit 1',
    'SVS_ALLOW_OTHER_REFUSED',
  ],
  ['anything else', 'echo "bad mount point" >&2; exit 1', 'SVS_MOUNT_POINT_INVALID'],
  ['silence', 'exit 3', 'SVS_MOUNT_POINT_INVALID'],
  ['success without a descriptor', 'exit 0', 'SVS_FUSE_UNAVAILABLE'],
  ['bytes without a descriptor', 'echo x >&3; exit 0', 'SVS_FUSE_UNAVAILABLE'],
] as const

for (const [what, script, code] of CASES) {
  t.test(`${what} is ${code}`, async (t) => {
    acted(t, script)
    t.throws(() => fusermount(request), { code })
  })
}

t.test('unmounting: busy is a failure, not mounted is none', async (t) => {
  acted(t, 'echo "failed to unmount: Device or resource busy" >&2; exit 1')
  t.throws(() => fuserumount('/tmp/x', false), { code: 'SVS_MOUNT_BUSY' })
  acted(t, 'echo "entry for /tmp/x not found in /etc/mtab" >&2; exit 1')
  fuserumount('/tmp/x', false)
})

t.test('without the program it is SVS_FUSERMOUNT_MISSING', async (t) => {
  const { PATH } = process.env
  process.env.PATH = '/nowhere'
  t.teardown(() => {
    process.env.PATH = PATH
  })
  t.throws(() => fusermount(request), { code: 'SVS_FUSERMOUNT_MISSING' })
})
