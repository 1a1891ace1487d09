// The home of programs that `svsfs run` starts in a layer: a directory of the layer itself.
//
// Root's programs make theirs through the view. An ordinary user may not make one below the
// system's /home, so it is put into the writable sublayer from our side, as a restore puts files
// there: in one step, announced to whatever mount shows the layer.
//
// Rule: only directories that are absent are added; what lies in the way stays as it is.

import { lstatSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf, type RelPath, relPath, shown } from '../base/path.ts'
import { newId } from '../snapshot/catalogue.ts'
import type { LayerRecord, RedoPlan } from '../snapshot/records.ts'
import { stageName } from '../snapshot/redo.ts'
import { discardRestore } from '../snapshot/restore.ts'
import type { Control } from './control.ts'
import { applyNow } from './restoring.ts'
import { type LayerPlaces, layerPlaces } from './store-path.ts'
import { copyAttributes, redoDirs } from './sublayers.ts'

/** HOME in a layer: what its manifest says, or a place by its name. Absolute, inside the view. */
export function homeOf(layer: LayerRecord): string {
  const named = layer.manifest.home
  return `/${relPath(bytesOf(typeof named === 'string' ? named : `home/${layer.name}`))}`
}

/** Makes sure that an ordinary user's programs have that directory. Callers hold STACKS. */
export async function ensureHome(control: Control, layer: LayerRecord): Promise<void> {
  if (process.geteuid?.() === 0) return
  const places = layerPlaces(control.store.places, layer.id)
  const missing = missingDirectories(places, layer, relPath(homeOf(layer)))
  if (missing.length === 0) return
  const redo: RedoPlan = { id: newId(), layer: layer.id, state: '', rw: layer.rw, steps: [] }
  const stage = join(places.work, stageName(redo))
  mkdirSync(stage, { mode: 0o700 })
  for (const [index, path] of missing.entries()) {
    const made = join(stage, `s${index}`)
    mkdirSync(made, { mode: 0o755 })
    const ino = lstatSync(made).ino
    redo.steps.push({ op: 'place', path, staged: `s${index}`, ino, number: 0 })
    const below = join(places.ro(layer.ro.version), shown(path))
    if (kindOf(below) === 'directory') copyAttributes(below, made)
  }
  try {
    await applyNow(control, layer, redo)
  } finally {
    discardRestore(redoDirs(control.store.places, layer), redo)
  }
}

/** Directories on the way to the home that the writable sublayer lacks; none where something else is there. */
function missingDirectories(places: LayerPlaces, layer: LayerRecord, home: RelPath): RelPath[] {
  if (kindOf(join(places.ro(layer.ro.version), shown(home))) === 'directory') return []
  const parts = home.split('/')
  const ways = parts.map((_, index) => relPath(parts.slice(0, index + 1).join('/')))
  const kinds = ways.map((path) => kindOf(join(places.rw(layer.rw), shown(path))))
  return kinds.includes('other') ? [] : ways.filter((_, index) => kinds[index] === 'absent')
}

function kindOf(path: string): 'absent' | 'directory' | 'other' {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 'absent'
  return stat.isDirectory() ? 'directory' : 'other'
}
