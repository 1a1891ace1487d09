// The small tree that each run begins from, drawn into the layers before they are mounted: one
// of each kind, with decoys, whiteouts and opaque directories below (split.ts).
//
// Rule: names that split.ts knows (alone, solid, the hard links) are those of START.

import { type Drawn, dir, file, sparse, type Tree } from '../behaviour/draw.ts'
import { LONGEST, pattern, START } from '../behaviour/start.ts'

const taken = (...paths: string[]): Record<string, Drawn> =>
  Object.fromEntries(
    paths.flatMap((path) => (START[path] === undefined ? [] : [[path, START[path]]])),
  )

/** Beyond what 32 bits count. */
export const FAR = 2 ** 32
/** Copied up at once below, by an io thread above. */
const PARKED = 1 << 20
/** So deep that its last names end at 4,000 bytes of path. */
const DEEP_LEVELS = 15

const deepDirectories = Array.from({ length: DEEP_LEVELS }, (_, i) =>
  Array.from({ length: i + 1 }, () => LONGEST).join('/'),
)
export const DEEPEST = deepDirectories.at(-1)!

/** struct posix_acl_xattr_entry: tag, permissions, number. */
function acl(...entries: (readonly [number, number, number])[]): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length)
  bytes.writeUInt32LE(2, 0)
  entries.forEach(([tag, permissions, id], i) => {
    bytes.writeUInt16LE(tag, 4 + 8 * i)
    bytes.writeUInt16LE(permissions, 6 + 8 * i)
    bytes.writeUInt32LE(id >>> 0, 8 + 8 * i)
  })
  return bytes.toString('latin1')
}

const NOBODY = -1
/** user::rw- user:1234:rwx group::r-- mask::rw- other::--- */
export const ACL = acl(
  [1, 6, NOBODY],
  [2, 7, 1234],
  [4, 4, NOBODY],
  [16, 6, NOBODY],
  [32, 0, NOBODY],
)
/** user::rwx group::r-x group:2345:rwx mask::rwx other::r-x */
export const GROUP_ACL = acl(
  [1, 7, NOBODY],
  [4, 5, NOBODY],
  [8, 7, 2345],
  [16, 7, NOBODY],
  [32, 5, NOBODY],
)
/** What says no more than the mode does: user::rw- group::r-- other::r--. */
export const PLAIN_ACL = acl([1, 6, NOBODY], [4, 4, NOBODY], [32, 4, NOBODY])

/** cap_net_raw+ep as VFS_CAP_REVISION_2. */
export const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex').toString(
  'latin1',
)

const few = Object.fromEntries(
  Array.from({ length: 8 }, (_, i) => [`many/${String(i).padStart(3, '0')}`, file(`${i}\n`)]),
)

export const TREE: Tree = {
  ...taken('readme', 'empty', 'secret', 'sealed', 'raised', 'old', 'owned', 'tagged', 'one', 'two'),
  ...taken('links', 'links/three', 'link', 'link-dir', 'dangling', 'loop', 'fifo', 'null'),
  ...taken(
    'dir',
    'dir/a',
    'dir/b',
    'dir/c',
    'dir/deep',
    'dir/deep/x',
    'dir/deep/er',
    'dir/deep/er/y',
  ),
  ...taken('dir/deep/er/up', 'other', 'other/p', 'other/q', 'empty-dir', 'alone', 'alone/seen'),
  ...taken('alone/sub', 'alone/sub/s', 'solid', 'solid/inside', 'shared', 'sticky', 'sticky/mine'),
  big: file(pattern(70_001)),
  parked: sparse(PARKED + 4097, [
    { at: 0, bytes: pattern(9000) },
    { at: PARKED, bytes: pattern(4097) },
  ]),
  far: sparse(FAR + 20_000, [
    { at: 4096, bytes: pattern(5000) },
    { at: FAR - 10, bytes: pattern(3000) },
  ]),
  open: dir({ mode: 0o777 }),
  'open/f': file('for everybody\n', { mode: 0o666 }),
  listed: dir({ mode: 0o770, xattrs: { 'system.posix_acl_default': GROUP_ACL } }),
  'listed/f': file('with a list\n', { xattrs: { 'system.posix_acl_access': ACL }, mode: 0o660 }),
  many: dir(),
  ...few,
  odd: dir(),
  ...taken(
    'odd/caf\xc3\xa9',
    'odd/\xff\xfe\x80 bytes',
    'odd/new\nline',
    `odd/${LONGEST}`,
    'odd/.wh.name',
  ),
  ...Object.fromEntries(deepDirectories.map((path) => [path, dir()])),
  [`${DEEPEST}/f`]: file('deep down\n'),
}

/** What one file after the other is tried with: sizes around every bound there is. */
export const FILES: Tree = {
  ...taken('dir', 'dir/deep'),
  ...taken('alone', 'alone/seen', 'alone/sub', 'alone/sub/s', 'solid', 'solid/inside'),
  'size-0': file(''),
  'size-1': file('1'),
  'size-4095': file(pattern(4095)),
  'size-4097': file(pattern(4097)),
  'size-64k': file(pattern(65_536)),
  'size-257k': file(pattern(263_001)),
  'size-1m': file(pattern(PARKED)),
  'size-parked': file(pattern(PARKED + 1)),
  'size-8m': sparse(
    8 * PARKED,
    Array.from({ length: 8 }, (_, i) => ({ at: i * PARKED + i * 4096, bytes: pattern(30_000) })),
  ),
  'size-far': TREE.far!,
  second: file(pattern(50_000)),
}
