// Layers of two stores for the tests of archives, each with its catalogue, over the same read-only part.

import { join } from 'node:path'
import { Archive } from '../../lib/archive/archive.ts'
import { type Exported, type ExportOptions, exportArchive } from '../../lib/archive/export.ts'
import { type ImportedState, type ImportOptions, importStates } from '../../lib/archive/import.ts'
import type { SnapshotRecord } from '../../lib/snapshot/records.ts'
import type { Lab } from '../snapshot/fixture.ts'

let files = 0

/** Writes states of a lab to a file of its own. */
export function exportFrom(
  lab: Lab,
  states: readonly SnapshotRecord[],
  more: Partial<ExportOptions> = {},
): Promise<Exported> {
  return exportArchive({
    catalogue: lab.catalogue,
    layer: lab.layer,
    kind: 'patch',
    states,
    from: null,
    ro: lab.layer.ro,
    trees: lab.dirs.ro,
    base: null,
    manifest: {},
    key: null,
    made: { by: 'svsfs test', host: 'here' },
    path: join(lab.dir, `${++files}.vpa`),
    replace: false,
    ...more,
  })
}

export async function importInto(
  lab: Lab,
  path: string,
  more: Partial<ImportOptions> = {},
): Promise<ImportedState[]> {
  const archive = await Archive.open(path)
  try {
    return await importStates({
      catalogue: lab.catalogue,
      layer: lab.layer,
      parts: [{ archive, ro: lab.layer.ro, trees: lab.dirs.ro }],
      withLayer: false,
      temporary: lab.dirs.work,
      allowed: { devices: false, links: false },
      accounts: null,
      signal: null,
      onProgress: () => {},
      ...more,
    })
  } finally {
    await archive.close()
  }
}

/** Everything that the catalogue says of states, to see that nothing of it changed. */
export async function statesOf({ catalogue }: Lab): Promise<string> {
  const states = await catalogue.allSnapshots()
  const pieces = await Promise.all(states.map(({ id }) => catalogue.pieces(id)))
  const heads = await Promise.all((await catalogue.layers()).map(({ id }) => catalogue.head(id)))
  return JSON.stringify([states, pieces, heads])
}

/** All keys of the catalogue with their values' lengths: to see that it is exactly as before. */
export async function keysOf({ catalogue }: Lab): Promise<string[]> {
  const found: string[] = []
  for await (const at of catalogue.keys({ gte: '', lt: '\u{10ffff}' }))
    found.push(`${at} ${(await catalogue.value(at))?.length}`)
  return found
}
