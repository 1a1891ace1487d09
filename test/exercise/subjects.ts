// What is exercised, by name, and what each of them cannot do.

import type { Tree } from '../behaviour/draw.ts'
import { drawAt, makeGround, removeGround } from '../behaviour/ground.ts'
import { nativeTree } from '../behaviour/native-tree.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { drawOneLayer, drawThreeLayers } from '../behaviour/stacks.ts'
import { dropIn, store } from '../behaviour/subject-mount.ts'
import { overlayfsOf } from '../behaviour/subject-overlayfs.ts'
import { plain } from '../behaviour/subject-plain.ts'
import { union } from '../behaviour/subject-union.ts'
import type { Subject } from '../behaviour/suite.ts'
import type { Trait } from './act.ts'
import { FAR } from './start-tree.ts'

export interface ExerciseSubject {
  readonly name: string
  readonly needsRoot: boolean
  readonly traits: ReadonlySet<Trait>
  /** What of a tree it can show. */
  readonly shows: (tree: Tree) => Tree
  subject(tree: Tree): Subject
}

const ALL: readonly Trait[] = [
  'kernel',
  'holes',
  'exchange',
  'nameless',
  'links',
  'bytes',
  'times',
  'callers',
  'open-unlinked',
]
const without = (...traits: Trait[]): ReadonlySet<Trait> =>
  new Set(ALL.filter((one) => !traits.includes(one)))

/** The package speaks UTF-8 and milliseconds, knows files by path, and not who asks. */
const NATIVE = without(
  'bytes',
  'times',
  'holes',
  'exchange',
  'nameless',
  'links',
  'callers',
  'open-unlinked',
)
/** No kernel in between: no permissions, no page cache, no times that the kernel keeps. */
const IN_PROCESS = without('kernel', 'callers', 'times')

const all = (tree: Tree): Tree => tree
const filtered = (tree: Tree, keep: (path: string, thing: Tree[string]) => boolean): Tree =>
  Object.fromEntries(Object.entries(tree).filter(([path, thing]) => keep(path, thing)))
/** Without files of several names, and those that are nothing but holes: it would have to read them. */
const native = (tree: Tree): Tree =>
  filtered(
    nativeTree(tree),
    (_, thing) => thing.kind !== 'same' && (thing.kind !== 'file' || thing.size < FAR),
  )
/** Opening these is the kernel's own. */
const inProcess = (tree: Tree): Tree =>
  filtered(tree, (_, { kind }) => kind !== 'fifo' && kind !== 'character')

export const SUBJECTS = {
  plain: {
    name: 'plain directory',
    needsRoot: false,
    traits: without(),
    shows: all,
    subject: (tree) => ({
      ...plain,
      async make(starts) {
        const root = makeGround()
        for (const start of starts) drawAt(root, start, tree)
        return {
          place: (start) => new RealPlace(`${root}/${start}`),
          remount: null,
          lowers: [],
          close: async () => removeGround(root),
        }
      },
    }),
  },
  'one-layer': {
    name: 'mount of one layer',
    needsRoot: false,
    traits: without(),
    shows: all,
    subject: (tree) => dropIn({ name: 'one layer', tree }),
  },
  passthrough: {
    name: 'mount with passthrough',
    needsRoot: true,
    traits: without(),
    shows: all,
    subject: (tree) => dropIn({ name: 'passthrough', tree, dataPath: 'passthrough' }),
  },
  'three-layers': {
    name: 'mount of three layers over a base',
    needsRoot: false,
    traits: without(),
    shows: all,
    subject: (tree) => store({ name: 'three layers', tree }),
  },
  forgetful: {
    name: 'mount whose kernel is asked to forget all it does not use',
    needsRoot: false,
    traits: without(),
    shows: all,
    subject: (tree) => store({ name: 'forgetful', tree, env: { SVSFS_MOST_NODES: '2' } }),
  },
  'base-writable': {
    name: 'mount over a writable base',
    needsRoot: false,
    traits: without(),
    shows: all,
    subject: (tree) => store({ name: 'writable base', tree, baseWritable: true }),
  },
  'fuse-native': {
    name: 'mount through fuse-native',
    needsRoot: false,
    traits: NATIVE,
    shows: native,
    subject: (tree) => dropIn({ name: 'fuse-native', tree, transport: 'fuse-native' }),
  },
  overlayfs: {
    name: 'overlayfs of the kernel',
    needsRoot: true,
    traits: without(),
    shows: all,
    subject: (tree) => overlayfsOf(tree),
  },
  'union-one-layer': {
    name: 'union of one layer',
    needsRoot: true,
    traits: IN_PROCESS,
    shows: inProcess,
    subject: (tree) => union({ name: 'union', forgetful: false, draw: drawOneLayer, tree }),
  },
  'union-three-layers': {
    name: 'union of three layers over a base',
    needsRoot: true,
    traits: IN_PROCESS,
    shows: inProcess,
    subject: (tree) => union({ name: 'union', forgetful: true, draw: drawThreeLayers, tree }),
  },
} as const satisfies Record<string, ExerciseSubject>
