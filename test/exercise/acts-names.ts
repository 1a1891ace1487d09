// Acts on names: making, removing, renaming, and what can be asked and changed by a name.

import fc from 'fast-check'
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE, S } from '../../lib/host/sys.ts'

import { errnoOfCall, type Place } from '../behaviour/place.ts'
import { type Act, bytesOf, onName, onNames } from './act.ts'
import { sayFacts, showPath } from './answer.ts'
import type { Names } from './names.ts'
import type { Weighed } from './vocabulary.ts'

export const MODES = [0o644, 0o600, 0o755, 0o666, 0o777, 0o400, 0o000, 0o2755, 0o4755, 0o1777]
export const SIZES = [0, 1, 5, 100, 4095, 4096, 4097, 10_000, 65_536, 100_000]

const TARGETS = ['readme', 'dir', '../readme', 'nowhere', 'n1', '/dev/null/x', 't'.repeat(4095), '']
const NODES: readonly (readonly [string, number])[] = [
  ['file', S.IFREG | 0o640],
  ['fifo', S.IFIFO | 0o622],
  ['socket', S.IFSOCK | 0o755],
  ['whiteout', S.IFCHR | 0o600],
]
const RENAMES: readonly (readonly [string, number])[] = [
  ['rename', 0],
  ['rename if absent', RENAME_NOREPLACE],
  ['exchange', RENAME_EXCHANGE],
  ['rename both ways', RENAME_EXCHANGE | RENAME_NOREPLACE],
]

export function actsOnNames(names: Names): Weighed[] {
  return [...making(names), ...removing(names), ...renaming(names), ...asking(names)]
}

const mode = fc.constantFrom(...MODES)
const seed = fc.nat(999)

function making({ any, two }: Names): Weighed[] {
  return [
    {
      weight: 4,
      arbitrary: fc
        .tuple(any, seed, fc.constantFrom(...SIZES))
        .map(([at, n, size]) =>
          onName(`put ${size}`, at, (place, path) => putBytes(place, path, bytesOf(n, size))),
        ),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(any, mode)
        .map(([at, bits]) =>
          onName(`mkdir ${bits.toString(8)}`, at, (place, path) => place.mkdir(path, bits)),
        ),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(any, fc.constantFrom(...TARGETS))
        .map(([at, to]) =>
          onName(`symlink to ${showPath(to)}:`, at, (place, path) => place.symlink(to, path)),
        ),
    },
    { weight: 2, arbitrary: fc.tuple(any, fc.constantFrom(...NODES)).map(mknod) },
    {
      weight: 4,
      arbitrary: two.map((both) =>
        onNames('link', both, (place, from, to) => place.link(from, to), {
          needs: both[0].folder === null ? ['links'] : ['links', 'kernel'],
        }),
      ),
    },
  ]
}

function mknod([at, [word, bits]]: readonly [
  Act['names'][number],
  readonly [string, number],
]): Act {
  // A place that uses device 0/0 as a mark refuses it; the plain directory is spared it.
  if (word === 'whiteout')
    return onName('look for a device 0/0', at, (place, path) => {
      const { kind, rdev } = place.lstat(path)
      return kind === 'character' && rdev === 0
    })
  return onName(`mknod ${word}`, at, (place, path) => place.mknod(path, bits), {
    needs: ['kernel'],
  })
}

function putBytes(place: Place, path: string, bytes: Buffer): void {
  // Never waits for the other end of a fifo.
  const file = place.open(path, O.WRONLY | O.CREAT | O.TRUNC | O.NONBLOCK, 0o666)
  try {
    file.write(bytes)
  } finally {
    file.close()
  }
}

function removing({ any, old, folder }: Names): Weighed[] {
  return [
    {
      weight: 6,
      arbitrary: any.map((at) =>
        onName('unlink', at, (place, path) => place.unlink(path), {
          needs: at.folder === null ? ['open-unlinked'] : ['open-unlinked', 'kernel'],
        }),
      ),
    },
    {
      weight: 4,
      arbitrary: any.map((at) => onName('rmdir', at, (place, path) => place.rmdir(path))),
    },
    {
      weight: 3,
      arbitrary: folder.map((at) =>
        onName('empty', at, (place, path) => empty(place, path), {
          needs: ['open-unlinked'],
          looseTimes: true,
        }),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(old, fc.constantFrom(...SIZES, 2 ** 32 + 5)).map(([at, size]) =>
        onName(`truncate ${size}`, at, (place, path) => {
          const facts = place.stat(path)
          // To the size that it has: the kernel of a mount leaves the mtime as it is.
          if (facts.kind === 'file' && facts.size !== size) place.truncate(path, size)
        }),
      ),
    },
  ]
}

/** Removes the files of a directory, and leaves what is not empty. */
function empty(place: Place, path: string): string[] {
  return place.list(path).map(({ name, kind }) => {
    const inside = `${path}/${name}`
    const done =
      kind === 'directory'
        ? errnoOfCall(() => place.rmdir(inside))
        : errnoOfCall(() => place.unlink(inside))
    return `${name} ${done ?? 'ok'}`
  })
}

function renaming({ two }: Names): Weighed[] {
  return [
    {
      weight: 14,
      arbitrary: fc.tuple(two, fc.constantFrom(0, 0, 0, 0, 1, 2, 2, 3)).map(([both, kind]) => {
        const [word, flags] = RENAMES[kind]!
        return onNames(word, both, (place, from, to) => place.rename(from, to, flags), {
          needs: [
            ...(flags === 0 ? [] : (['exchange'] as const)),
            ...(kind === 3 ? (['kernel'] as const) : []),
            ...(both[0].folder === null ? [] : (['kernel'] as const)),
            'open-unlinked',
          ],
        })
      }),
    },
  ]
}

function asking({ any, old, folder }: Names): Weighed[] {
  const asks: readonly [
    string,
    fc.Arbitrary<Act['names'][number]>,
    (p: Place, at: string) => unknown,
  ][] = [
    ['lstat', any, (place, path) => sayFacts(place.lstat(path))],
    ['stat', any, (place, path) => sayFacts(place.stat(path))],
    ['readlink', old, (place, path) => place.readlink(path)],
    ['list', folder, (place, path) => place.list(path).map(({ name }) => name)],
    ['longest name', folder, (place, path) => place.statfs(path).namelen],
    ['read', old, readWhole],
  ]
  const access = fc.tuple(any, fc.nat(7)).map(([at, mask]) =>
    onName(`access ${mask}`, at, (place, path) => place.access(path, mask), {
      needs: ['kernel'],
    }),
  )
  return [
    ...asks.map(([word, names, ask]) => ({
      weight: 2,
      arbitrary: names.map((at) => onName(word, at, ask)),
    })),
    { weight: 2, arbitrary: access },
  ]
}

function readWhole(place: Place, path: string): Buffer {
  const file = place.open(path, O.RDONLY | O.NONBLOCK)
  try {
    return Buffer.from(file.pread(200_000, 0))
  } finally {
    file.close()
  }
}
