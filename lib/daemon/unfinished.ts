// Layers that are being made or removed: a file `unfinished` beside their sublayers.
//
//   make     mark ─▶ directories ─▶ import ─▶ record ─▶ mark away
//   remove   record away ─▶ mark ─▶ directories away, the mark last
//
// Rule: only what has the mark and no record is cleared away after a crash, so that a catalogue
// that was lost never takes layers with it.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { type LayerPlaces, layerPlaces, type StorePlaces } from './store-path.ts'

const MARK = 'unfinished'

/** A layer begins, or ends. */
export function markUnfinished(at: LayerPlaces): void {
  mkdirSync(at.root, { recursive: true, mode: 0o700 })
  writeFileSync(join(at.root, MARK), '')
}

export const isUnfinished = (at: LayerPlaces): boolean => existsSync(join(at.root, MARK))

/** A record names the layer. */
export function markFinished(at: LayerPlaces): void {
  rmSync(join(at.root, MARK), { force: true })
}

/** Removes the directories of a layer that no record names. */
export function removeLayer(at: LayerPlaces): void {
  markUnfinished(at)
  for (const name of readdirSync(at.root))
    if (name !== MARK) removeTree(AT_FDCWD, bytesOf(join(at.root, name)))
  removeTree(AT_FDCWD, bytesOf(at.root))
}

/** Finishes what a crash interrupted, one way or the other; `known` are the ids that have records. */
export function settleUnfinished(places: StorePlaces, known: ReadonlySet<string>): void {
  for (const id of readdirSync(places.layers)) {
    const at = layerPlaces(places, id)
    if (!isUnfinished(at)) continue
    if (known.has(id)) markFinished(at)
    else removeLayer(at)
  }
}
