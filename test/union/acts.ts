// Acts on a stack, each one request that changes something: what a crash in the middle of it must
// leave undone or done.
//
// The ground: three layers over a base, or the same trees as one drop-in layer. `merged` lies in
// all of them; `empty` shows nothing, but hides something.

import { O, RENAME_EXCHANGE, S } from '../../lib/host/sys.ts'
import { put, using } from '../behaviour/act.ts'
import type { Place } from '../behaviour/place.ts'
import { BLOCK_ACTS } from './acts-blocks.ts'
import type { Drawing } from './view-of.ts'

export interface Act {
  readonly title: string
  /** Done in another mount before. */
  readonly before?: (place: Place) => void
  readonly act: (place: Place) => void
  /** Known to the kernel, and open, when the act happens. */
  readonly open?: readonly string[]
  /** Layer whose private mount it happens in. */
  readonly privateTo?: string
  /** Where it needs layers of their own. */
  readonly layered?: true
}

const BIG = 'big '.repeat(300_000)

/** Read-only parts, top first; the last is the base. `=name` is a hard link of the same tree. */
export const TREES: readonly (readonly [string, Drawing])[] = [
  [
    'c',
    {
      'merged/from-c': 'c',
      'merged/all': 'of c',
      'only-c/file': 'c',
      'empty/c': 'c',
      'linked/one': 'linked text',
      'linked/two': '=linked/one',
      'linked/deep/three': '=linked/one',
    },
  ],
  [
    'b',
    {
      'merged/from-b': 'b',
      'merged/all': 'of b',
      'merged/sub/deep': 'b',
      'only-b/file': 'b',
      'only-b/sub/file': 'b',
      'file-b': 'b',
      'empty/b': 'b',
      'cache/kept': 'b',
      'nothing-b': null,
    },
  ],
  [
    'a',
    {
      'merged/from-a': 'a',
      'merged/all': 'of a',
      'merged/sub/a': 'a',
      'only-a/file': 'a',
      'file-a': 'a',
      big: BIG,
      'nothing-a': null,
    },
  ],
  [
    'base',
    { 'merged/from-base': 'base', 'only-base/file': 'base', 'file-base': 'base', other: null },
  ],
]

/** Patterns of what layer `b` excludes. */
export const EXCLUDES = { b: ['cache/**'] } as const

const hides = (place: Place): void => {
  place.unlink('empty/c')
  place.unlink('empty/b')
}
const rename =
  (from: string, to: string, flags = 0) =>
  (place: Place): void =>
    place.rename(from, to, flags)
const opens =
  (path: string, flags: number = O.RDWR) =>
  (place: Place): void =>
    using(place.open(path, flags), () => {})
const both =
  (...acts: ((place: Place) => void)[]) =>
  (place: Place): void => {
    for (const act of acts) act(place)
  }

const DIRECTORIES: readonly Act[] = [
  { title: 'a merged directory is renamed', act: rename('merged', 'moved') },
  { title: 'a merged directory goes into another', act: rename('merged', 'only-a/moved') },
  {
    title: 'a merged directory is renamed over a deleted name',
    before: (place) => place.unlink('file-b'),
    act: rename('merged', 'file-b'),
  },
  {
    title: 'a merged directory is renamed over an empty one',
    before: hides,
    act: rename('merged', 'empty'),
  },
  {
    title: 'an open merged directory is renamed over an empty one of another layer',
    act: rename('merged', 'nothing-a'),
    open: ['merged/all'],
  },
  {
    title: 'a directory that was renamed is renamed again',
    before: rename('merged', 'moved'),
    act: rename('moved', 'again'),
  },
  {
    title: 'a renamed directory gets its name back',
    before: rename('merged', 'moved'),
    act: rename('moved', 'merged'),
  },
  {
    title: 'a directory with changes in two layers is renamed',
    before: both(
      (place) => put(place, 'merged/new', 'new'),
      (place) => put(place, 'merged/sub/new', 'new'),
      (place) => place.chmod('merged/from-a', 0o600),
    ),
    act: rename('merged', 'moved'),
  },
  { title: 'a directory of one layer is renamed', act: rename('only-b', 'moved') },
  {
    title: 'a directory of one layer is renamed over an empty one above it',
    before: hides,
    act: rename('only-a', 'empty'),
  },
  {
    title: 'a directory of one layer is renamed over an empty one below it',
    act: rename('only-c', 'nothing-b'),
  },
  {
    title: 'a new directory is renamed over an empty new one',
    before: both(
      (place) => place.mkdir('new'),
      (place) => put(place, 'new/file', 'new'),
      (place) => place.mkdir('target'),
    ),
    act: rename('new', 'target'),
  },
  {
    title: 'a new directory is renamed over a deleted name, and leaves nothing',
    before: both(
      (place) => place.mkdir('new'),
      (place) => put(place, 'new/file', 'new'),
      (place) => place.unlink('file-b'),
    ),
    act: rename('new', 'file-b'),
  },
  { title: 'a directory of the base is renamed', act: rename('only-base', 'moved') },
  {
    title: 'a directory with hard links is renamed',
    act: rename('linked', 'moved'),
  },
  {
    title: 'a directory is renamed where what it replaces is hidden',
    before: both(
      (place) => place.unlink('only-b/file'),
      (place) => place.unlink('only-b/sub/file'),
      (place) => place.rmdir('only-b/sub'),
      (place) => place.rmdir('only-b'),
    ),
    act: rename('only-a', 'only-b'),
  },
  {
    title: 'a merged directory is renamed in a private mount',
    act: rename('merged', 'moved'),
    privateTo: 'c',
    layered: true,
  },
  {
    title: 'merged directories are exchanged',
    act: rename('merged', 'only-b', RENAME_EXCHANGE),
  },
  {
    title: 'a directory and a file are exchanged',
    act: rename('only-b', 'file-a', RENAME_EXCHANGE),
  },
  {
    title: 'an empty merged directory is removed',
    before: hides,
    act: (place) => place.rmdir('empty'),
  },
  {
    title: 'an empty directory from below is removed',
    act: (place) => place.rmdir('nothing-a'),
  },
  {
    title: 'a new empty directory is removed',
    before: (place) => place.mkdir('new'),
    act: (place) => place.rmdir('new'),
  },
  {
    title: 'a directory is made over a deleted one',
    before: both(hides, (place) => place.rmdir('empty')),
    act: (place) => place.mkdir('empty'),
  },
  { title: 'a directory is made', act: (place) => place.mkdir('merged/new') },
  {
    title: 'a directory is made in one that lies below',
    act: (place) => place.mkdir('only-a/new'),
  },
]

const FILES: readonly Act[] = [
  { title: 'a file is renamed', act: rename('file-b', 'moved') },
  { title: 'a file replaces one of a higher layer', act: rename('file-a', 'file-b') },
  { title: 'a file replaces one of a lower layer', act: rename('file-b', 'file-a') },
  { title: 'an open file replaces an open one', act: rename('file-a', 'file-b'), open: ['file-b'] },
  {
    title: 'a file is renamed over a deleted name',
    before: (place) => place.unlink('file-b'),
    act: rename('file-a', 'file-b'),
  },
  { title: 'a file is renamed into a lower directory', act: rename('merged/all', 'only-a/all') },
  { title: 'a file of the base is renamed', act: rename('file-base', 'only-b/moved') },
  {
    title: 'a file replaces one of several names',
    act: rename('file-b', 'linked/two'),
  },
  {
    title: 'a changed file replaces one of several names of a changed one',
    before: both(
      (place) => place.chmod('linked/one', 0o600),
      (place) => place.chmod('only-a/file', 0o600),
    ),
    act: rename('only-a/file', 'linked/two'),
  },
  { title: 'files are exchanged', act: rename('file-a', 'file-b', RENAME_EXCHANGE) },
  {
    title: 'a file that is excluded at its new name is renamed',
    act: rename('merged/from-b', 'cache/moved'),
  },
  {
    title: 'a file that is excluded at its old name is renamed',
    before: (place) => put(place, 'cache/kept', 'scratch'),
    act: rename('cache/kept', 'merged/kept'),
  },
  {
    title: 'a file replaces an excluded one',
    before: (place) => put(place, 'cache/kept', 'scratch'),
    act: rename('file-b', 'cache/kept'),
  },
  {
    title: 'an excluded file is removed',
    before: (place) => put(place, 'cache/kept', 'scratch'),
    act: (place) => place.unlink('cache/kept'),
  },
  {
    title: 'an excluded file over a changed one is removed',
    before: both(
      (place) => put(place, 'file-x', 'under'),
      rename('only-b', 'only-x'),
      (place) => put(place, 'cache/kept', 'scratch'),
      rename('cache', 'only-b'),
    ),
    act: (place) => place.unlink('only-b/kept'),
  },
  { title: 'a file from below is removed', act: (place) => place.unlink('merged/all') },
  {
    title: 'a changed file is removed',
    before: (place) => put(place, 'merged/all', 'new'),
    act: (place) => place.unlink('merged/all'),
  },
  {
    title: 'a new file is removed',
    before: (place) => put(place, 'new', 'new'),
    act: (place) => place.unlink('new'),
  },
  { title: 'an open file is removed', act: (place) => place.unlink('file-a'), open: ['file-a'] },
  { title: 'one of several names is removed', act: (place) => place.unlink('linked/one') },
  { title: 'a file is made', act: opens('merged/new', O.RDWR | O.CREAT | O.EXCL) },
  {
    title: 'a file is made over a deleted name',
    before: (place) => place.unlink('file-b'),
    act: opens('file-b', O.RDWR | O.CREAT | O.EXCL),
  },
  { title: 'a symbolic link is made', act: (place) => place.symlink('to', 'only-a/link') },
  { title: 'a fifo is made', act: (place) => place.mknod('merged/fifo', S.IFIFO | 0o644) },
  {
    title: 'a fifo is made over a deleted name',
    before: (place) => place.unlink('merged/all'),
    act: (place) => place.mknod('merged/all', S.IFIFO | 0o644),
  },
]

const CONTENT: readonly Act[] = [
  { title: 'a small file is opened for writing', act: opens('merged/all') },
  { title: 'a large file is opened for writing', act: opens('big') },
  { title: 'an open file is opened for writing', act: opens('file-a'), open: ['file-a'] },
  { title: 'a file is cut to nothing', act: (place) => place.truncate('file-a', 0) },
  { title: 'a large file is cut', act: (place) => place.truncate('big', 1000) },
  { title: 'the mode of a file is changed', act: (place) => place.chmod('file-b', 0o600) },
  { title: 'the mode of a directory is changed', act: (place) => place.chmod('merged/sub', 0o700) },
  {
    title: 'an attribute is set',
    act: (place) => place.setxattr('merged/from-a', 'user.x', 'value'),
  },
  {
    title: 'a file with changed attributes is opened for writing',
    before: (place) => place.chmod('big', 0o600),
    act: opens('big'),
  },
  {
    title: 'a file with several names is opened for writing',
    act: opens('linked/two'),
  },
  {
    title: 'the mode of a file with several names is changed',
    act: (place) => place.chmod('linked/deep/three', 0o600),
  },
  {
    title: 'a linked file with changed attributes is opened for writing',
    before: both(
      (place) => place.chmod('big', 0o600),
      (place) => place.link('big', 'only-a/second'),
    ),
    act: opens('only-a/second'),
  },
  { title: 'a file is linked', act: (place) => place.link('file-b', 'merged/second') },
  {
    title: 'a file is linked over a deleted name',
    before: (place) => place.unlink('merged/all'),
    act: (place) => place.link('file-a', 'merged/all'),
  },
  {
    title: 'a file with changed attributes is linked',
    before: (place) => place.chmod('file-b', 0o600),
    act: (place) => place.link('file-b', 'only-b/second'),
  },
]

export const ACTS: readonly Act[] = [...DIRECTORIES, ...FILES, ...CONTENT, ...BLOCK_ACTS]
