// The tree that every behaviour begins from. Drawn once; a plain directory holds it as it
// is, layers hold it in pieces (split.ts) that show the same view.
//
// Rule: a behaviour that counts on a name finds it here; names of `ABSENT` are not there,
// but lie deleted in lower layers wherever the place has layers.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Drawn,
  device,
  dir,
  fifo,
  file,
  LONG_AGO,
  link,
  same,
  sparse,
  type Tree,
} from './draw.ts'

/** A recognisable text of `length` bytes: another one at every offset. */
export function pattern(length: number): string {
  let text = ''
  for (let at = 0; text.length < length; at += 16) text += `${at.toString(16).padStart(15, '.')}\n`
  return text.slice(0, length)
}

export const BIG = 300_000
export const SPARSE = 1 << 20
export const LONGEST = 'n'.repeat(255)
export const MANY = 30

/** Names that are hard to carry: spaces, line ends, bytes that are no UTF-8, shell characters. */
export const ODD_NAMES = [
  ' ',
  'two words',
  'new\nline',
  'tab\tand\x01control',
  'caf\xc3\xa9',
  '\xff\xfe\x80 bytes',
  'quote"\'\\',
  '-rf',
  '*?[a]',
  '..dots',
  '.hidden',
  '.wh.name',
  '.fuse_hidden0001',
  LONGEST,
]

const many = Object.fromEntries(
  Array.from({ length: MANY }, (_, i) => [`many/${String(i).padStart(3, '0')}`, file(`${i}\n`)]),
)
const odd = Object.fromEntries(ODD_NAMES.map((name) => [`odd/${name}`, file('odd\n')]))

const devices: Record<string, Drawn> =
  process.geteuid?.() === 0 ? { null: device(1, 3) } : { null: fifo({ mode: 0o660 }) }

/** `base.db`: 300 rows, as sqlite3 makes them; nothing where it is not installed. */
function database(): Record<string, Drawn> {
  const folder = mkdtempSync(join(tmpdir(), 'svsfs-start-'))
  try {
    const rows = 'with recursive r(n) as (select 0 union all select n + 1 from r where n < 299)'
    const input = `create table t(n, s); ${rows} insert into t select n, 'row ' || n from r;`
    const made = spawnSync('sqlite3', [join(folder, 'base.db')], { input })
    if (made.status !== 0) return {}
    return { 'base.db': file(readFileSync(join(folder, 'base.db'), 'latin1')) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export const START: Tree = {
  ...database(),
  readme: file('read me\n'),
  empty: file(''),
  'run.sh': file('#!/bin/sh\necho ran "$@"\n', { mode: 0o755 }),
  secret: file('secret\n', { mode: 0o600 }),
  sealed: file('sealed\n', { mode: 0o444 }),
  raised: file('raised\n', { mode: 0o6755 }),
  old: file('older than time\n', { mtime: -123_456_789_987_654_321n }),
  owned: file('owned\n', { owner: [1234, 2345], mode: 0o664 }),
  tagged: file('tagged\n', {
    xattrs: { 'user.colour': 'blue', 'user.empty': '', 'user.\xff': '\0\x01\xff' },
  }),
  big: file(pattern(BIG)),
  sparse: sparse(SPARSE, [
    { at: 0, bytes: pattern(4096) },
    { at: 512 * 1024, bytes: pattern(4096) },
  ]),
  one: file('one file, three names\n'),
  two: same('one'),
  links: dir(),
  'links/three': same('one'),
  link: link('readme'),
  'link-dir': link('dir/deep'),
  dangling: link('nowhere'),
  loop: link('loop'),
  fifo: fifo(),
  ...devices,
  dir: dir(),
  'dir/a': file('a\n'),
  'dir/b': file('b\n'),
  'dir/c': file('c\n'),
  'dir/deep': dir({ mode: 0o750, xattrs: { 'user.on': 'directory' } }),
  'dir/deep/x': file('x\n'),
  'dir/deep/er': dir(),
  'dir/deep/er/y': file('y\n'),
  'dir/deep/er/up': link('../x'),
  other: dir({ mtime: LONG_AGO + 5_000_000_005n }),
  'other/p': file('p\n'),
  'other/q': file('q\n'),
  'empty-dir': dir(),
  alone: dir({ mode: 0o711 }),
  'alone/seen': file('seen\n'),
  'alone/sub': dir(),
  'alone/sub/s': file('s\n'),
  solid: dir(),
  'solid/inside': file('inside\n'),
  shared: dir({ mode: 0o2775, owner: [0, 2345] }),
  sticky: dir({ mode: 0o1777 }),
  'sticky/mine': file('mine\n', { owner: [1234, 1234] }),
  many: dir(),
  ...many,
  odd: dir(),
  ...odd,
  below: dir(),
  'below/one': file('one file, also below\n'),
  'below/two': same('below/one'),
  'below/deep': dir(),
  'below/deep/three': same('below/one'),
}

/** Not there: in places with layers these were deleted above what lies below. */
export const ABSENT = ['gone', 'gone-dir', 'gone-link', 'dir/gone', 'dir/deep/gone', 'alone/unseen']
