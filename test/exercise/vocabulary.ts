// What an exercise is made of: acts, each as often as it is weighed, with the caller and the
// umask under which it is made.

import fc from 'fast-check'
import type { Act, Trait } from './act.ts'
import { actsOnAttributes } from './acts-attributes.ts'
import { actsOnFolders } from './acts-folders.ts'
import { actsOnMappings } from './acts-mapped.ts'
import { actsOnNames } from './acts-names.ts'
import { actsOnOpenFiles } from './acts-open.ts'
import { fileNames, treeNames } from './names.ts'

export interface Weighed {
  readonly weight: number
  readonly arbitrary: fc.Arbitrary<Act>
}

export interface Caller {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

/** An act and who makes it. */
export interface Made {
  readonly act: Act
  /** null for whoever runs the exercise. */
  readonly caller: Caller | null
  readonly umask: number
}

const CALLERS: readonly Caller[] = [
  { uid: 1234, gid: 1234, groups: [] },
  { uid: 1234, gid: 1234, groups: [2345, 60] },
  { uid: 4321, gid: 2345, groups: [] },
]

export type Vocabulary = (traits: ReadonlySet<Trait>) => fc.Arbitrary<Made>

/** Everything, on a tree of all kinds. */
export const treeActs: Vocabulary = (traits) => {
  const names = treeNames(traits)
  return made(
    [
      ...actsOnNames(names),
      ...actsOnAttributes(names),
      ...actsOnOpenFiles(names),
      ...actsOnFolders(names),
      ...actsOnMappings(),
    ],
    traits,
  )
}

/** Bytes above all: few files, several descriptors and mappings of each. */
export const fileActs: Vocabulary = (traits) => {
  const names = fileNames()
  const bytes = [...actsOnOpenFiles(names), ...actsOnMappings()]
  const heavier = bytes.map((one) => ({ ...one, weight: one.weight * 6 }))
  return made(
    [...heavier, ...actsOnNames(names)],
    new Set([...traits].filter((t) => t !== 'callers')),
  )
}

function made(all: readonly Weighed[], traits: ReadonlySet<Trait>): fc.Arbitrary<Made> {
  const root = process.geteuid?.() === 0
  const none = fc.constant(null)
  const caller =
    traits.has('callers') && root
      ? fc.oneof(
          { weight: 5, arbitrary: none },
          { weight: 2, arbitrary: fc.constantFrom(...CALLERS) },
        )
      : none
  const umask = traits.has('callers') ? fc.constantFrom(0o022, 0o022, 0, 0o077) : fc.constant(0o022)
  return fc
    .tuple(fc.oneof(...all), caller, umask)
    .map(([act, who, mask]) => ({ act, caller: who, umask: mask }))
}
