// Programs in the mount: running, setuid, being replaced; mount points; who owns what is made.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { call } from './calls.ts'
import type { Case } from './case.ts'
import type { Trial } from './trial.ts'

const BIND = 0x1000
const DETACH = 2

const copy = (place: RealPlace, program: string, name: string): void =>
  void execFileSync('cp', [program, place.path(name)])

function runs(t: Trial, path: string, ...words: string[]): void {
  t.says(`run ${path}`, () => {
    const { status, stdout, error } = spawnSync(t.place.path(path), words, {
      encoding: 'utf8',
      timeout: 60_000,
    })
    return error === undefined ? `${status}: ${stdout}` : (error as NodeJS.ErrnoException).code
  })
}

const running: Case = {
  title: 'programs and scripts run; what may not run is refused',
  given(place) {
    copy(place, '/bin/echo', 'echo')
    put(place, 'script', '#!/bin/sh\necho "$@"\n', 0o755)
    put(place, 'plain', 'echo plain\n', 0o644)
    put(place, 'noise', 'no program at all', 0o755)
    put(place, 'empty', '', 0o755)
    put(place, 'lost', '#!/no/such/program\n', 0o755)
    place.mkdir('d')
    place.symlink('echo', 'l')
    place.symlink('nowhere', 'dangling')
  },
  trial(t) {
    for (const path of ['echo', 'script', 'l']) runs(t, path, 'some', 'words')
    for (const path of ['plain', 'lost', 'd', 'dangling', 'n', 'script/n']) runs(t, path)
    t.calls.chmod('plain', 0o755)
    t.calls.open('plain', O.WRONLY)?.write('#!/bin/sh\necho made\n')
    runs(t, 'plain')
    t.calls.rename('echo', 'd/other')
    runs(t, 'd/other', 'moved')
    t.calls.chmod('d/other', 0o644)
    runs(t, 'd/other')
  },
}

const privileged: Case = {
  title: 'setuid and setgid programs run as their owner',
  needs: ['root'],
  given(place) {
    copy(place, '/usr/bin/id', 'id')
    place.chown('id', 1234, 2345)
    place.chmod('id', 0o6755)
  },
  trial(t) {
    runs(t, 'id', '-u')
    runs(t, 'id', '-g')
    t.calls.chmod('id', 0o4755)
    runs(t, 'id', '-g')
    t.calls.chown('id', 1235, -1)
    runs(t, 'id', '-u')
    t.calls.chmod('id', 0o4755)
    runs(t, 'id', '-u')
  },
}

const replaced: Case = {
  title: 'a program that runs cannot be written, but replaced and removed',
  given(place) {
    copy(place, '/bin/sleep', 'sleeper')
    copy(place, '/bin/sleep', 'other')
  },
  trial(t) {
    const child = spawn(t.place.path('sleeper'), ['30'], { stdio: 'ignore' })
    const exe = () => readlinkSync(`/proc/${child.pid}/exe`).replace(t.place.path(), '')
    try {
      t.wants('ETXTBSY').open('sleeper', O.WRONLY)
      t.wants('ETXTBSY').open('sleeper', O.RDWR | O.APPEND)
      t.wants('ok').chmod('sleeper', 0o700)
      t.says('exe', exe)
      t.wants('ok').rename('sleeper', 'renamed')
      t.says('exe', exe)
      t.wants('ETXTBSY').open('renamed', O.WRONLY)
      t.wants('ok').rename('other', 'renamed')
      t.says('exe', exe)
      t.wants('ok').open('renamed', O.WRONLY)
      t.wants('ok').unlink('renamed')
      t.says('runs still', () => child.exitCode === null)
    } finally {
      child.kill('SIGKILL')
    }
  },
}

const writtenTo: Case = {
  title: 'a program that is open for writing is ETXTBSY',
  given: (place) => copy(place, '/bin/echo', 'echo'),
  trial(t) {
    const writer = t.place.open('echo', O.RDWR)
    runs(t, 'echo', 'x')
    writer.close()
    runs(t, 'echo', 'x')
    const reader = t.place.open('echo')
    runs(t, 'echo', 'x')
    reader.close()
  },
}

/** Binds one name of the place over another for the length of some work. */
function bound(place: RealPlace, from: string, to: string, work: () => void): void {
  call.mount(place.path(from), place.path(to), 'none', BIND)
  try {
    work()
  } finally {
    call.umount(place.path(to), DETACH)
  }
}

const mountPoints: Case = {
  title: 'a mount point inside the view is busy',
  needs: ['root'],
  given(place) {
    for (const name of ['d', 'm', 'd/in', 'e']) place.mkdir(name)
    put(place, 'f', 'below')
    put(place, 'over', 'above')
    put(place, 'd/in/x', 'inside')
  },
  trial(t) {
    bound(t.place, 'd', 'm', () => {
      t.calls.list('m')
      t.wants('EBUSY').rmdir('m')
      t.wants('EBUSY').rename('m', 'n')
      t.wants('EBUSY').rename('e', 'm')
      t.wants('ok').mkdir('m/new')
      t.wants('EXDEV').rename('m/new', 'new')
      t.calls.open('m/in/x')?.read(20)
      t.calls.chmod('d/in/x', 0o600)
      t.sees('m/in/x', 'd/new')
    })
    bound(t.place, 'over', 'f', () => {
      t.wants('EBUSY').unlink('f')
      t.wants('EBUSY').rename('f', 'g')
      t.calls.open('f')?.read(20)
      t.wants('EBUSY').rename('over', 'f')
    })
    t.calls.open('f')?.read(20)
    t.wants('ok').rmdir('m')
    t.wants('ok').unlink('f')
    t.calls.list('')
  },
}

const owners: Case = {
  title: "what is made belongs to who makes it, or to its directory's group",
  needs: ['root'],
  given(place) {
    for (const [name, mode] of [
      ['plain', 0o777],
      ['group', 0o2777],
      ['sticky', 0o1777],
      ['both', 0o3775],
    ] as const) {
      place.mkdir(name)
      place.chown(name, 1000, 2000)
      place.chmod(name, mode)
    }
  },
  trial(t) {
    for (const dir of ['plain', 'group', 'sticky', 'both']) {
      let n = 0
      for (const [uid, gid, groups] of [
        [0, 0, []],
        [1001, 1001, []],
        [1001, 1001, [2000]],
        [1001, 2000, []],
        [1000, 3000, [4000]],
      ] as const) {
        t.as(
          uid,
          gid,
          () => {
            const at = `${dir}/${n++}`
            t.calls.open(`${at}f`, O.CREAT | O.WRONLY, 0o6777)?.close()
            t.calls.mkdir(`${at}d`, 0o2755)
            t.calls.mknod(`${at}n`, 0o102_755)
            t.calls.mknod(`${at}p`, 0o010_666)
            t.calls.symlink('x', `${at}l`)
            t.calls.tmpfile(dir, O.RDWR, 0o2711)?.linkTo(`${at}t`)
            t.sees(...['f', 'd', 'n', 'p', 'l', 't'].map((kind) => at + kind))
            t.calls.mkdir(`${at}d/deep`)
            t.sees(`${at}d/deep`)
          },
          groups,
        )
      }
    }
  },
}

export const programs: readonly Case[] = [
  running,
  privileged,
  replaced,
  writtenTo,
  mountPoints,
  owners,
]
