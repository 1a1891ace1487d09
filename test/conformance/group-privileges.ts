// What a change of content takes from a file: setuid, setgid, capabilities.

import { O, sys } from '../../lib/host/sys.ts'
import { put, using } from '../behaviour/act.ts'
import { call, MAP, Mapping, PROT } from './calls.ts'
import type { Case } from './case.ts'
import type { Trial } from './trial.ts'

const MODES = [0o4777, 0o2777, 0o6777, 0o2767, 0o6766, 0o6666, 0o4711, 0o1777]
const CONTENT = 'x'.repeat(8192)
const WHO: readonly (readonly [number, number, readonly number[]])[] = [
  [0, 0, []],
  [1000, 1000, []],
  [1000, 1000, [2000]],
  [1001, 2000, []],
  [1001, 1001, []],
]
/** cap_net_raw+ep, as setcap(8) writes it: revision 2, effective. */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex')

const open = (t: Trial, flags: number, work: (fd: number) => void) =>
  using(t.place.open('f', flags), (file) => work((file as unknown as { fd: number }).fd))

const CHANGES: Readonly<Record<string, (t: Trial) => void>> = {
  write: (t) => void t.calls.open('f', O.WRONLY)?.write('1'),
  'write of nothing': (t) => void t.calls.open('f', O.WRONLY)?.write(''),
  append: (t) => void t.calls.open('f', O.WRONLY | O.APPEND)?.write('1'),
  pwrite: (t) => void t.calls.open('f', O.RDWR)?.pwrite('2', 9000),
  truncate: (t) => void t.calls.truncate('f', 10),
  'truncate to its size': (t) => void t.calls.truncate('f', 8192),
  ftruncate: (t) => t.calls.open('f', O.WRONLY)?.truncate(20_000),
  O_TRUNC: (t) => void t.calls.open('f', O.WRONLY | O.TRUNC),
  'open for writing': (t) => void t.calls.open('f', O.RDWR),
  fallocate: (t) => t.calls.open('f', O.RDWR)?.allocate(0, 0, 30_000),
  'fallocate that keeps the size': (t) => t.calls.open('f', O.RDWR)?.allocate(1, 0, 30_000),
  'punching a hole': (t) => t.calls.open('f', O.RDWR)?.allocate(3, 0, 4096),
  'zeroing a range': (t) => t.calls.open('f', O.RDWR)?.allocate(16, 0, 4096),
  copy_file_range(t) {
    const from = t.place.open('other')
    t.says('copy', () => open(t, O.RDWR, (fd) => call.copyRange(from.fd, 0, fd, 0, 100)))
  },
  sendfile(t) {
    const from = t.place.open('other')
    t.says('sendfile', () => open(t, O.RDWR, (fd) => call.sendfile(fd, from.fd, 0, 100)))
  },
  splice(t) {
    const from = t.place.open('other')
    const [out, into] = call.pipe()
    call.splice(from.fd, 0, into, null, 100)
    t.says('splice', () => open(t, O.RDWR, (fd) => call.splice(out, null, fd, 0, 100)))
    sys.close(out)
    sys.close(into)
  },
  'writing a mapping'(t) {
    t.says('map', () =>
      open(t, O.RDWR, (fd) => {
        const mapping = new Mapping(fd, 4096, PROT.READ | PROT.WRITE, MAP.SHARED)
        mapping.bytes.write('mapped')
        mapping.sync()
        mapping.free()
      }),
    )
  },
  'setting a user attribute': (t) => void t.calls.setxattr('f', 'user.a', 'b'),
  'setting times': (t) => void t.calls.utimens('f', 'now', 'now'),
  'a further name'(t) {
    t.calls.link('f', 'linked')
    t.calls.unlink('linked')
  },
}

const modes: Case[] = Object.entries(CHANGES).map(([title, change]) => ({
  title: `setuid and setgid after ${title}`,
  needs: ['root'],
  given(place) {
    place.chmod('', 0o777)
    put(place, 'other', CONTENT, 0o644)
    put(place, 'f', CONTENT)
    place.chown('f', 1000, 2000)
  },
  trial(t) {
    for (const mode of MODES) {
      for (const [uid, gid, groups] of WHO) {
        t.place.truncate('f', 8192)
        t.place.chmod('f', mode)
        if (uid === 0) change(t)
        else t.as(uid, gid, () => change(t), groups)
        t.sees('f')
      }
    }
  },
}))

const capabilities: Case[] = Object.entries(CHANGES).map(([title, change]) => ({
  title: `capabilities after ${title}`,
  needs: ['root'],
  given(place) {
    place.chmod('', 0o777)
    put(place, 'other', CONTENT, 0o644)
    put(place, 'f', CONTENT)
    place.chmod('f', 0o777)
    place.setxattr('f', 'security.capability', CAPABILITY)
  },
  trial(t) {
    for (const uid of [0, 1000]) {
      t.calls.setxattr('f', 'security.capability', CAPABILITY)
      t.calls.getxattr('f', 'security.capability')
      if (uid === 0) change(t)
      else t.as(uid, uid, () => change(t))
      t.calls.getxattr('f', 'security.capability')
    }
  },
}))

const byOwner: Case = {
  title: 'capabilities after chown, chmod, rename and copy-up',
  needs: ['root'],
  given(place) {
    for (const name of ['a', 'b', 'c', 'd']) {
      put(place, name, CONTENT, 0o755)
      place.setxattr(name, 'security.capability', CAPABILITY)
    }
  },
  trial(t) {
    t.calls.chmod('a', 0o711)
    t.calls.chown('b', 5, 6)
    t.calls.chown('c', -1, -1)
    t.calls.rename('d', 'e')
    for (const name of ['a', 'b', 'c', 'e']) t.calls.getxattr(name, 'security.capability')
    t.calls.removexattr('a', 'security.capability')
    t.calls.getxattr('a', 'security.capability')
    t.calls.removexattr('a', 'security.capability')
    t.calls.listxattr('e')
  },
}

const byUser: Case = {
  title: 'setuid and setgid of an own file after a write',
  given(place) {
    put(place, 'f', CONTENT)
    put(place, 'g', CONTENT)
  },
  trial(t) {
    for (const mode of MODES) {
      for (const change of [
        () => t.calls.open('f', O.WRONLY)?.write('1'),
        () => t.calls.truncate('f', 10),
        () => t.calls.open('f', O.WRONLY | O.TRUNC),
        () => t.calls.open('f', O.RDWR)?.allocate(0, 0, 30_000),
        () => t.calls.chown('f', -1, -1),
      ]) {
        t.calls.chmod('f', mode)
        change()
        t.sees('f')
      }
    }
  },
}

export const privileges: readonly Case[] = [...modes, ...capabilities, byOwner, byUser]
