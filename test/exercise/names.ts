// The names that acts are made on: those of the start tree, a few new ones in every directory,
// and names that a filesystem must refuse or carry with care.

import fc from 'fast-check'
import { isText } from '../behaviour/native-tree.ts'
import { ABSENT, LONGEST } from '../behaviour/start.ts'
import type { At, Trait } from './act.ts'
import { FOLDER_SLOTS } from './side.ts'
import { DEEPEST, FILES, TREE } from './start-tree.ts'

const deep = (path: string): boolean => path.length > 1000

const OLD = Object.keys(TREE).filter((path) => !deep(path) && path !== '')
const FOLDERS = OLD.filter((path) => TREE[path]!.kind === 'directory')

/** Few, so that acts meet each other. */
const NEW = [
  'n1',
  'n2',
  'n3',
  ...ABSENT,
  'dir/n4',
  'dir/deep/n5',
  'other/n6',
  'n2/in',
  'n3/in',
  'gone-dir/in',
  'shared/n7',
  'sticky/n8',
  'open/n9',
  'listed/n10',
  'listed/n11',
  'alone/sub/n12',
  'solid/n13',
  'many/new',
]

const STRANGE = [
  'odd/\xfe\xff',
  `odd/${'m'.repeat(255)}`,
  `odd/${'m'.repeat(256)}`,
  `${LONGEST}x`,
  'readme/',
  'dir/',
  'readme/x',
  'dir/deep/er/up',
  'loop/x',
  'link-dir/x',
  'link-dir/',
  'dangling/x',
  'nowhere',
  'dir/.',
  'dir/..',
  'dir/../other/p',
  '.',
  '',
  'fifo/x',
  'many/.wh.x',
  DEEPEST,
  `${DEEPEST}/f`,
  `${DEEPEST}/${'z'.repeat(254)}`,
  `${DEEPEST}/${'z'.repeat(255)}`,
  `${DEEPEST}/${'z'.repeat(200)}/z`,
  `${'./'.repeat(2040)}dir/a`,
  `${'./'.repeat(2045)}dir/a`,
]

const only = (traits: ReadonlySet<Trait>, paths: readonly string[]): string[] =>
  paths.filter((path) => traits.has('bytes') || (isText(path) && !deep(path) && path !== ''))

export interface Names {
  /** Anything that may be named. */
  readonly any: fc.Arbitrary<At>
  /** What is probably there. */
  readonly old: fc.Arbitrary<At>
  /** What is probably a directory. */
  readonly folder: fc.Arbitrary<At>
  /** Two names of the same directory tree. */
  readonly two: fc.Arbitrary<readonly [At, At]>
}

export function treeNames(traits: ReadonlySet<Trait>): Names {
  const from = (paths: readonly string[]) => fc.constantFrom(...only(traits, paths))
  const relative = fc.constantFrom('', 'a', 'b', 'deep', 'deep/x', 'n4', 'n5', 'in', 'sub/s', 'f')
  const path = fc.oneof(
    { weight: 10, arbitrary: from(OLD) },
    { weight: 6, arbitrary: from(NEW) },
    // Without a kernel nobody looks at paths before names are looked up.
    ...(traits.has('kernel') ? [{ weight: 2, arbitrary: from(STRANGE) }] : []),
  )
  const named = (arbitrary: fc.Arbitrary<string>): fc.Arbitrary<At> =>
    arbitrary.map((one) => ({ folder: null, path: one }))
  const held = fc
    .tuple(fc.nat(FOLDER_SLOTS - 1), relative)
    .map(([folder, one]): At => ({ folder, path: one }))
  const withHeld = (arbitrary: fc.Arbitrary<At>): fc.Arbitrary<At> =>
    traits.has('kernel')
      ? fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: held })
      : arbitrary
  const any = withHeld(named(path))
  return {
    any,
    old: withHeld(named(from(OLD))),
    folder: named(
      fc.oneof({ weight: 5, arbitrary: from(FOLDERS) }, { weight: 1, arbitrary: path }),
    ),
    two: fc.oneof(
      { weight: 12, arbitrary: fc.tuple(named(path), named(path)) },
      ...(traits.has('kernel') ? [{ weight: 1, arbitrary: fc.tuple(held, held) }] : []),
    ),
  }
}

/** The names of the file exerciser: files of every size, and a few to rename and copy to. */
export function fileNames(): Names {
  const named = (...paths: string[]) =>
    fc.constantFrom(...paths).map((path): At => ({ folder: null, path }))
  const all = Object.keys(FILES).filter((path) => FILES[path]!.kind === 'file')
  const old = named(...all)
  const any = named(...all, 'new', 'gone')
  return { any, old, folder: named('solid', 'alone'), two: fc.tuple(any, any) }
}
