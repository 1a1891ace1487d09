// inotify(7) through the mount: which events a watcher gets for what is done.

import { execFileSync } from 'node:child_process'
import { O, sys } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call } from './calls.ts'
import type { Case } from './case.ts'
import type { Trial } from './trial.ts'

const EVENTS: Readonly<Record<number, string>> = {
  1: 'access',
  2: 'modify',
  4: 'attrib',
  8: 'close-write',
  16: 'close',
  32: 'open',
  64: 'moved-from',
  128: 'moved-to',
  256: 'create',
  512: 'delete',
  1024: 'delete-self',
  2048: 'move-self',
  32768: 'ignored',
}
const ALL = 0xfff
const IS_DIRECTORY = 0x40000000

/** Watches names while `work` goes on; writes down what was told, in order. */
function watches(t: Trial, paths: readonly string[], words: string, work: () => void): void {
  const fd = call.inotifyInit(O.NONBLOCK | O.CLOEXEC)
  const names = new Map(
    paths.map((path) => [call.watch(fd, `${t.place.path(path)}`, ALL), path || '.']),
  )
  work()
  const block = Buffer.alloc(65_536)
  const length = sys.read(fd, block, block.length)
  const told: string[] = []
  // struct inotify_event: watch s32, mask, cookie, length u32, name
  for (let at = 0; at < length; at += 16 + block.readUInt32LE(at + 12)) {
    const mask = block.readUInt32LE(at + 4)
    // What has no name yet is told under one that filesystems make up.
    const name = block.latin1Slice(at + 16, block.indexOf(0, at + 16)).replace(/^(#\d+|\/)$/, '?')
    const named = block.readUInt32LE(at + 12) === 0 ? '' : `/${name}`
    const kind = mask & IS_DIRECTORY ? ' directory' : ''
    told.push(`${names.get(block.readInt32LE(at))}${named} ${EVENTS[mask & 0xffff]}${kind}`)
  }
  sys.close(fd)
  for (const event of told) t.says(`${words}: event`, () => event)
}

const given: Case['given'] = (place) => {
  place.mkdir('d')
  put(place, 'd/f', 'content')
  put(place, 'd/g', 'content')
  place.mkdir('d/e')
  place.symlink('f', 'd/l')
}

const ACTS: Readonly<Record<string, (t: Trial) => void>> = {
  reading: (t) => void t.calls.open('d/f')?.read(3),
  'writing and closing'(t) {
    const file = t.calls.open('d/f', O.RDWR)
    file?.write('new')
    file?.pwrite('far', 9000)
    file?.sync()
    file?.close()
  },
  'cutting a file': (t) => void t.calls.truncate('d/f', 2),
  'opening with O_TRUNC': (t) => t.calls.open('d/f', O.WRONLY | O.TRUNC)?.close(),
  'making a file': (t) => t.calls.open('d/n', O.CREAT | O.EXCL | O.RDWR)?.close(),
  'making other things'(t) {
    t.calls.mkdir('d/n')
    t.calls.symlink('f', 'd/m')
    t.calls.mknod('d/p', 0o010_644)
    t.calls.link('d/f', 'd/o')
  },
  chmod: (t) => void t.calls.chmod('d/f', 0o600),
  'setting times': (t) => void t.calls.utimens('d/f', 1n, 2n),
  'setting an attribute'(t) {
    t.calls.setxattr('d/f', 'user.a', 'b')
    t.calls.removexattr('d/f', 'user.a')
  },
  'renaming inside': (t) => void t.calls.rename('d/f', 'd/n'),
  'renaming over another': (t) => void t.calls.rename('d/f', 'd/g'),
  'renaming out and in'(t) {
    t.calls.rename('d/f', 'f')
    t.calls.rename('f', 'd/e/f')
  },
  exchanging: (t) => void t.calls.rename('d/f', 'd/g', 2),
  'renaming a directory': (t) => void t.calls.rename('d/e', 'd/n'),
  removing: (t) => void t.calls.unlink('d/f'),
  'removing a directory': (t) => void t.calls.rmdir('d/e'),
  'removing an open file'(t) {
    const file = t.calls.open('d/f', O.RDWR)
    t.calls.unlink('d/f')
    file?.write('still')
    file?.close()
  },
  'an unnamed file that gets a name'(t) {
    const file = t.calls.tmpfile('d')
    file?.write('content')
    file?.linkTo('d/n')
    file?.close()
  },
  allocating: (t) => t.calls.open('d/f', O.RDWR)?.allocate(0, 0, 9000),
  listing: (t) => void t.calls.list('d'),
  'what a shell does'(t) {
    const command =
      'echo more >> d/f; cp d/f d/copy; mv d/copy d/moved; rm d/moved; sed -i s/c/k/ d/g'
    execFileSync('sh', ['-c', command], { cwd: t.place.path(), timeout: 60_000 })
  },
}

export const watch: readonly Case[] = Object.entries(ACTS).map(([words, act]) => ({
  title: `what a watcher is told of ${words}`,
  given,
  trial: (t) =>
    watches(t, words === 'what a shell does' ? ['d/f'] : ['d', 'd/f', 'd/e'], words, () => act(t)),
}))
