// Every call that takes a path, in one form: what walking, rights and odd endings are tried with.
//
//   for (const call of PATH_CALLS) t.says(`${call.name}(n/)`, () => call.run(t.place, 'n/'))
//
// Rule: a call needs nothing but the path, except those with `beside`: they use or make the
// name BESIDE in the directory that the path is relative to.

import { O, S } from '../../lib/host/sys.ts'
import type { Need } from '../behaviour/place.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { at } from './at-calls.ts'

export interface PathCall {
  readonly name: string
  readonly needs?: readonly Need[]
  /** A link at the path's end is gone through. */
  readonly follows?: boolean
  /** The path's last name need not be there. */
  readonly makes?: boolean
  /** Uses the file BESIDE as its other name, or makes it. */
  readonly beside?: 'used' | 'made'
  readonly run: (place: RealPlace, path: string, beside: string) => unknown
}

export const BESIDE = 'beside'

const open = (name: string, flags: number, more: Partial<PathCall> = {}): PathCall => ({
  name,
  follows: true,
  ...more,
  run: (place, path) => at.open(place, path, flags | O.NONBLOCK),
})

const reading = (
  name: string,
  run: (place: RealPlace, path: string) => unknown,
  more: Partial<PathCall> = {},
): PathCall => ({ name, ...more, run: (place, path) => void run(place, path) })

/** Those that change nothing. */
const LOOKING: readonly PathCall[] = [
  open('open', O.RDONLY),
  open('open O_WRONLY', O.WRONLY),
  open('open O_DIRECTORY', O.DIRECTORY),
  open('open O_NOFOLLOW', O.NOFOLLOW, { follows: false }),
  open('open O_DIRECTORY|O_NOFOLLOW', O.DIRECTORY | O.NOFOLLOW, { follows: false }),
  open('open O_PATH', O.PATH),
  open('open O_PATH|O_NOFOLLOW', O.PATH | O.NOFOLLOW, { follows: false }),
  open('open O_TMPFILE', O.TMPFILE | O.RDWR),
  reading('stat', (p, path) => at.stat(p, path), { follows: true }),
  reading('lstat', (p, path) => p.lstat(path)),
  reading('access', (p, path) => p.access(path, 0), { follows: true }),
  reading('readlink', (p, path) => p.readlink(path)),
  reading('statfs', (p, path) => p.statfs(path), { follows: true }),
  reading('chdir', (p, path) => at.inside(p, () => at.chdir(path)), { follows: true }),
  reading('getxattr', (p, path) => p.getxattr(path, 'user.a')),
  reading('listxattr', (p, path) => p.listxattr(path)),
]

/** Those that make a name. */
const MAKING: readonly PathCall[] = [
  open('open O_CREAT', O.CREAT | O.WRONLY, { makes: true }),
  open('open O_CREAT|O_EXCL', O.CREAT | O.EXCL | O.WRONLY, { makes: true, follows: false }),
  { name: 'mkdir', makes: true, run: (p, path) => p.mkdir(path) },
  { name: 'mknod file', makes: true, run: (p, path) => p.mknod(path, S.IFREG | 0o644) },
  { name: 'mknod fifo', makes: true, run: (p, path) => p.mknod(path, S.IFIFO | 0o644) },
  {
    name: 'mknod device',
    makes: true,
    needs: ['root'],
    run: (p, path) => p.mknod(path, S.IFCHR | 0o644, 0x103),
  },
  { name: 'symlink', makes: true, run: (p, path) => p.symlink('target', path) },
  { name: 'link to', makes: true, beside: 'used', run: (p, path, other) => p.link(other, path) },
  {
    name: 'rename to',
    makes: true,
    beside: 'used',
    run: (p, path, other) => p.rename(other, path),
  },
]

/** Those that change what a name is, or remove it. */
const CHANGING: readonly PathCall[] = [
  open('open O_TRUNC', O.WRONLY | O.TRUNC),
  { name: 'link from', beside: 'made', run: (p, path, other) => p.link(path, other) },
  { name: 'rename from', beside: 'made', run: (p, path, other) => p.rename(path, other) },
  { name: 'unlink', run: (p, path) => p.unlink(path) },
  { name: 'rmdir', run: (p, path) => p.rmdir(path) },
  {
    name: 'truncate',
    follows: true,
    run: (p, path) => at.inside(p, () => at.truncate(path, 3)),
  },
  { name: 'chmod', follows: true, run: (p, path) => p.chmod(path, 0o751) },
  { name: 'chown', follows: true, run: (p, path) => p.chown(path, -1, -1) },
  { name: 'lchown', run: (p, path) => p.lchown(path, -1, -1) },
  { name: 'utimens', follows: true, run: (p, path) => p.utimens(path, 5n, 7n) },
  { name: 'lutimens', run: (p, path) => p.lutimens(path, 5n, 7n) },
  { name: 'setxattr', run: (p, path) => p.setxattr(path, 'user.a', 'b') },
  { name: 'removexattr', run: (p, path) => p.removexattr(path, 'user.a') },
]

export const PATH_CALLS: readonly PathCall[] = [...LOOKING, ...MAKING, ...CHANGING]
