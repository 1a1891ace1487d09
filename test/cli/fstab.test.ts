// Drop-in mounts out of a table of filesystems, by mount(8) itself.
// Needs root: mount(8), and a mount namespace in which the helper stands in /sbin.

import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { throwAway } from '../daemon/place.ts'
import { LET_GO } from '../runner/mounts.ts'
import { PROGRAM } from './run-cli.ts'

t.test(
  'mount(8) mounts what stands in fstab, with the options that stand there for others',
  async (t) => {
    const dir = throwAway(t)
    for (const name of ['low', 'up', 'work', 'm', 'ro']) mkdirSync(join(dir, name))
    writeFileSync(join(dir, 'low/f'), 'low\n')
    symlinkSync(PROGRAM, join(dir, 'mount.fuse.svsfs'))
    const lines = [
      `app ${dir}/m fuse.svsfs lowerdir=${dir}/low,upperdir=${dir}/up,workdir=${dir}/work,_netdev,x-systemd.requires=/srv,x-systemd.mount-timeout=9,nofail,defaults,user,noauto 0 0`,
      `app ${dir}/ro fuse.svsfs lowerdir=${dir}/low,ro,nofail,x-gvfs-hide 0 0`,
    ]
    writeFileSync(join(dir, 'fstab'), `${lines.join('\n')}\n`)
    const script = `
    set -e
    ${LET_GO}
    mount -t tmpfs helpers /sbin/
    printf '#!/bin/sh\\nexec "${process.execPath}" "${dir}/mount.fuse.svsfs" "$@"\\n' >/sbin/mount.fuse.svsfs
    chmod 755 /sbin/mount.fuse.svsfs
    cd /
    mount -f -T '${dir}/fstab' '${dir}/m'
    ! mountpoint -q '${dir}/m'
    mount -T '${dir}/fstab' '${dir}/m'
    cat '${dir}/m/f'
    echo new >'${dir}/m/g'
    grep -o ' ${dir}/m fuse.svsfs rw,nosuid,nodev,noexec' /proc/self/mounts
    umount '${dir}/m'
    cat '${dir}/up/g'
    mount -a -T '${dir}/fstab'
    ! mountpoint -q '${dir}/m'
    ! touch '${dir}/ro/x' 2>/dev/null
    umount '${dir}/ro'
  `
    const ran = spawnSync('unshare', ['--mount', 'sh', '-c', script], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    t.equal(ran.stderr, '')
    t.equal(ran.status, 0)
    t.same(ran.stdout.split('\n'), [
      'low',
      ` ${dir}/m fuse.svsfs rw,nosuid,nodev,noexec`,
      'new',
      '',
    ])
  },
)
