// Paths that cannot be walked, in every call that takes one.

import { O, S } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { AT, at } from './at-calls.ts'
import type { Case } from './case.ts'
import { BESIDE, PATH_CALLS, type PathCall } from './path-calls.ts'
import type { Trial } from './trial.ts'

const LONGEST = 255
const TOO_LONG = 'n'.repeat(LONGEST + 1)
/** `é` is two bytes. */
const E_ACUTE = '\xc3\xa9'
const TOO_LONG_BYTES = E_ACUTE.repeat(128)
/** A path of exactly so many bytes to `name`. */
const longPath = (name: string, length: number): string => {
  const dots = './'.repeat((length - name.length) >> 1)
  return `${dots}${'/'.repeat(length - name.length - dots.length)}${name}`
}
const PATH_MAX = 4096

/** What walks of this case begin with. */
function prepare(place: RealPlace): void {
  put(place, BESIDE, 'beside')
  put(place, 'f', 'content')
  place.mkdir('d')
  place.mknod('fifo', S.IFIFO | 0o644)
  place.symlink('loop-b', 'loop-a')
  place.symlink('loop-a', 'loop-b')
  place.symlink('self', 'self')
  place.symlink('self/x', 'below-self')
  place.symlink('nowhere', 'dangling')
  place.symlink('f', 'to-file')
  place.symlink('d', 'to-directory')
  place.symlink('.', 'here')
}

interface Walk {
  readonly path: string
  /** For every call. */
  readonly wants?: string
  /** For those that go through a link at the end. */
  readonly followed?: string
}

const WALKS: readonly Walk[] = [
  { path: TOO_LONG, wants: 'ENAMETOOLONG' },
  { path: TOO_LONG_BYTES, wants: 'ENAMETOOLONG' },
  { path: `${TOO_LONG}/x`, wants: 'ENAMETOOLONG' },
  { path: `d/${TOO_LONG}`, wants: 'ENAMETOOLONG' },
  { path: `d/${TOO_LONG}/x`, wants: 'ENAMETOOLONG' },
  { path: `f/${TOO_LONG}`, wants: 'ENOTDIR' },
  { path: `none/${TOO_LONG}`, wants: 'ENOENT' },
  { path: longPath('d/x/y', PATH_MAX - 1), wants: 'ENOENT' },
  { path: longPath('f/x', PATH_MAX - 1), wants: 'ENOTDIR' },
  { path: longPath('f', PATH_MAX), wants: 'ENAMETOOLONG' },
  { path: longPath('none', PATH_MAX + 1), wants: 'ENAMETOOLONG' },
  { path: 'f/x', wants: 'ENOTDIR' },
  { path: 'f/x/y', wants: 'ENOTDIR' },
  { path: 'fifo/x', wants: 'ENOTDIR' },
  { path: 'to-file/x', wants: 'ENOTDIR' },
  { path: 'd/../f/..', wants: 'ENOTDIR' },
  { path: 'none/x', wants: 'ENOENT' },
  { path: 'd/none/x', wants: 'ENOENT' },
  { path: 'none/../f', wants: 'ENOENT' },
  { path: 'dangling/x', wants: 'ENOENT' },
  { path: 'to-directory/none/x', wants: 'ENOENT' },
  { path: 'loop-a/x', wants: 'ELOOP' },
  { path: 'self/x', wants: 'ELOOP' },
  { path: 'below-self/x', wants: 'ELOOP' },
  { path: 'd/../self/x', wants: 'ELOOP' },
  { path: 'self', followed: 'ELOOP' },
  { path: 'loop-a', followed: 'ELOOP' },
  { path: 'below-self', followed: 'ELOOP' },
  { path: `${'here/'.repeat(40)}none/x`, wants: 'ENOENT' },
  { path: `${'here/'.repeat(41)}none/x`, wants: 'ELOOP' },
]

// A refusal at the walk comes before anything that the call itself might say.
const shows = (path: string): string => (path.length > 40 ? `${path.slice(0, 36)}…` : path)

function tries(t: Trial, call: PathCall, { path, wants, followed }: Walk): void {
  // The xattr calls of a Place go through /proc where a kernel lacks getxattrat.
  const through =
    (call.name.endsWith('xattr') && path.startsWith('here/')) || path.length > LONGEST * 2
  const wanted = through ? null : (wants ?? (call.follows ? followed : undefined) ?? null)
  const words = `${call.name}(${shows(path)}, ${path.length})`
  t.says(words, () => void call.run(t.place, path, BESIDE), wanted)
}

const walks: readonly Case[] = PATH_CALLS.map((call) => ({
  title: `${call.name} along a path that cannot be walked`,
  needs: call.needs ?? [],
  given: prepare,
  trial(t) {
    for (const walk of WALKS) {
      // What has made or removed the other name would change the next answer.
      if (call.beside === 'made' && walk.wants === undefined) continue
      tries(t, call, walk)
    }
    t.says('names', () => t.place.list('').map((entry) => `${entry.kind} ${entry.name}`))
  },
}))

const chains: readonly Case[] = [
  {
    title: 'links are followed forty times and no more',
    given(place) {
      put(place, 'l0', 'content')
      for (let i = 1; i <= 42; i++) place.symlink(`l${i - 1}`, `l${i}`)
    },
    trial(t) {
      for (const [count, answer] of [
        [1, 'ok'],
        [39, 'ok'],
        [40, 'ok'],
        [41, 'ELOOP'],
        [42, 'ELOOP'],
      ] as const)
        for (const call of PATH_CALLS.filter((each) => each.follows && each.name !== 'truncate'))
          if (/^(open|open O_PATH|open O_CREAT|open O_WRONLY|stat|access|chmod)$/.test(call.name))
            t.says(`${call.name}(l${count})`, () => void call.run(t.place, `l${count}`, ''), answer)
    },
  },
]

/** An address where nothing is mapped, and one in the kernel's half. */
const NO_ADDRESS: readonly bigint[] = [1n, 0xffff800000000000n]

const badAddresses: Case = {
  title: 'a path at no address is EFAULT',
  given: (place) => put(place, 'f', ''),
  trial(t) {
    const p = t.place
    const tries: Record<string, (bad: bigint) => unknown> = {
      open: (bad) => at.open(p, bad),
      create: (bad) => at.open(p, bad, O.CREAT | O.WRONLY),
      access: (bad) => at.access(p, bad, 0),
      mkdir: (bad) => at.mkdir(p, bad),
      mkfifo: (bad) => at.mknod(p, bad, S.IFIFO | 0o644),
      unlink: (bad) => at.unlink(p, bad),
      rmdir: (bad) => at.unlink(p, bad, AT.REMOVEDIR),
      'symlink to': (bad) => at.symlink(p, bad, 'n'),
      'symlink at': (bad) => at.symlink(p, 'n', bad),
      readlink: (bad) => at.readlink(p, bad, 9),
      'link from': (bad) => at.link(p, bad, 'n'),
      'link to': (bad) => at.link(p, 'f', bad),
      'rename from': (bad) => at.rename(p, bad, 'n'),
      'rename to': (bad) => at.rename(p, 'f', bad),
      chmod: (bad) => at.chmod(p, bad, 0o644),
      chown: (bad) => at.chown(p, bad),
      lchown: (bad) => at.chown(p, bad, AT.NOFOLLOW),
      stat: (bad) => at.stat(p, bad),
      truncate: (bad) => at.truncate(bad, 0),
      chdir: (bad) => at.inside(p, () => at.chdir(bad)),
    }
    for (const [name, run] of Object.entries(tries))
      for (const bad of NO_ADDRESS) t.says(`${name}(${bad})`, () => void run(bad), 'EFAULT')
    t.calls.list('')
  },
}

const empty: Case = {
  title: 'an empty path is ENOENT',
  given: (place) => put(place, 'f', ''),
  trial(t) {
    const p = t.place
    const tries: Record<string, () => unknown> = {
      open: () => at.open(p, ''),
      create: () => at.open(p, '', O.CREAT | O.WRONLY),
      access: () => at.access(p, '', 0),
      mkdir: () => at.mkdir(p, ''),
      mkfifo: () => at.mknod(p, '', S.IFIFO | 0o644),
      unlink: () => at.unlink(p, ''),
      rmdir: () => at.unlink(p, '', AT.REMOVEDIR),
      'symlink to': () => at.symlink(p, '', 'n'),
      'symlink at': () => at.symlink(p, 'n', ''),
      'link from': () => at.link(p, '', 'n'),
      'link to': () => at.link(p, 'f', ''),
      'rename from': () => at.rename(p, '', 'n'),
      'rename to': () => at.rename(p, 'f', ''),
      chmod: () => at.chmod(p, '', 0o644),
      chown: () => at.chown(p, ''),
      stat: () => at.stat(p, ''),
      chdir: () => at.inside(p, () => at.chdir('')),
    }
    for (const [name, run] of Object.entries(tries))
      t.says(`${name}("")`, () => void run(), 'ENOENT')
  },
}

export const paths: readonly Case[] = [...walks, ...chains, badAddresses, empty]
