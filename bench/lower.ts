// The directories below all mounts on one disk: a stack of layers for the unions, and for each
// mirror a directory of its own, because it changes what it shows.
//
//   l0/<row>/warm|timed/d<i>/f<j>     all that rows look at: the lowest layer
//   l1 … l9/<row>/warm|timed/d<i>/…   the same directories, each with a file of its own
//
// Rule: prepared once, and flushed, before the first mount.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeGround } from './ground.ts'
import { run } from './processes.ts'
import type { Amounts, Row } from './rows/row.ts'
import type { Templates } from './rows/templates.ts'
import type { Subject } from './subjects.ts'

export interface Lower {
  readonly home: string
  readonly amounts: { readonly warm: Amounts; readonly timed: Amounts }
  /** The layers of a subject, top first. */
  of(subject: Subject, layers: number): readonly string[]
}

/** The name of a row's directory. */
export const directoryOf = (row: string): string => row.replaceAll(/[^\w]+/g, '-')

export interface LowerPlan {
  readonly rows: Readonly<Record<string, Row>>
  readonly subjects: readonly Subject[]
  readonly amounts: Lower['amounts']
  /** The largest number of layers. */
  readonly deepest: number
  readonly templates: Templates
}

/** Makes what lies below all mounts on one disk, in a new directory of `parent`. */
export async function makeLower(
  parent: string,
  { rows, subjects, amounts, deepest, templates }: LowerPlan,
): Promise<Lower> {
  const home = makeGround(parent)
  const mirrors = subjects.filter(({ kind }) => kind === 'mirror')
  for (const mirror of mirrors)
    await prepare(
      join(home, directoryOf(mirror.name)),
      Object.fromEntries(Object.entries(rows).filter(([, row]) => !row.changesLower)),
      amounts,
      templates,
    )
  await prepare(join(home, 'l0'), rows, amounts, templates)
  for (let layer = 1; layer < deepest; layer++) makeAbove(home, layer, rows)
  await run(['sync', '-f', home])
  return {
    home,
    amounts,
    of: ({ kind, name }, layers) =>
      kind === 'mirror'
        ? [join(home, directoryOf(name))]
        : Array.from({ length: layers }, (_, layer) => join(home, `l${layer}`)).toReversed(),
  }
}

async function prepare(
  root: string,
  rows: Readonly<Record<string, Row>>,
  amounts: Lower['amounts'],
  templates: Templates,
): Promise<void> {
  for (const [name, row] of Object.entries(rows))
    for (const part of ['warm', 'timed'] as const) {
      const dir = join(root, directoryOf(name), part)
      mkdirSync(dir, { recursive: true })
      if (part === 'timed' || row.warm) await row.prepare?.(dir, amounts[part], templates)
    }
}

function makeAbove(home: string, layer: number, rows: Readonly<Record<string, Row>>): void {
  for (const [name, row] of Object.entries(rows))
    for (const part of row.depth ? ['warm', 'timed'] : []) {
      const dir = join(directoryOf(name), part)
      for (const folder of readdirSync(join(home, 'l0', dir))) {
        mkdirSync(join(home, `l${layer}`, dir, folder), { recursive: true })
        writeFileSync(join(home, `l${layer}`, dir, folder, `own-${layer}`), '')
      }
    }
}
