// Which layer receives a change. One answer for every kind of change:
//
//   1. the private mount's layer, where there is one
//   2. the layer that provides the thing
//   3. the layer that provides the nearest parent directory (the root is provided by all)
//   4. the mount's --write-to, else the topmost active layer, else a writable base
//   then raised to the topmost layer that records anything for that name, so that nothing is
//   written where it cannot be seen; and what its manifest excludes goes to its scratch area
//
// Rule: nobody else decides this. No writable sublayer: EROFS.

import { fail } from '../base/errno.ts'
import { joinPath } from '../base/path.ts'
import type { UnionLayer } from './layer.ts'
import type { Found } from './lookup.ts'
import { pathIn, type UnionNode, viewPath } from './node.ts'
import type { View } from './view.ts'

/** The layer that a change to an existing file or directory goes to. Throws EROFS. */
export function layerOf(view: View, node: UnionNode): UnionLayer {
  if (view.options.readOnly) fail('EROFS')
  const given = view.privateLayer
  if (given !== null) return given.forPath(viewPath(node))
  const own = node.top.layer
  const layer = own.rw !== null ? own : nearest(view, node.isDirectory ? node : node.parent)
  // A change below what provides it would not show.
  if (view.stack.rank(node.top) !== undefined && view.stack.isAbove(own, layer)) fail('EROFS')
  if (node.isDirectory) return layer.owner ?? layer
  return node.top.writable ? layer : layer.forPath(viewPath(node))
}

/** The layer in which a new name in a directory is made. `found` is what is there now. Throws EROFS. */
export function layerForName(view: View, dir: UnionNode, name: string, found: Found): UnionLayer {
  if (view.options.readOnly) fail('EROFS')
  const layer = view.privateLayer ?? nearest(view, dir)
  const hides = found.at === 'whiteout' ? found.layer : null
  const raised = hides !== null && view.stack.isAbove(hides, layer) ? hides : layer
  return raised.forPath(joinPath(dir.path, name))
}

/**
 * The layer that must hold `layer`'s thing for it to show under a name of `dir`: itself, or
 * the topmost one above it that has an entry there or closes the directory.
 */
export function raise(view: View, layer: UnionLayer, dir: UnionNode, name: string): UnionLayer {
  const above = (other: UnionLayer) => other !== layer && view.stack.isAbove(other, layer)
  for (const place of dir.places) {
    const other = place.branch.layer
    if (!above(other)) break
    if (other.owner !== layer && place.branch.peek(pathIn(dir, place), name, view.below)) {
      return other.owner ?? other
    }
  }
  const last = dir.places.at(-1)!.branch.layer
  return dir.closed && above(last) ? (last.owner ?? last) : layer
}

function nearest(view: View, from: UnionNode | null): UnionLayer {
  for (let dir = from; dir !== null && dir.parent !== null; dir = dir.parent) {
    const layer = dir.places[0]?.branch.layer
    if (layer === undefined) break
    if (layer.rw !== null) return layer.owner ?? layer
  }
  return view.writeTo ?? fail('EROFS')
}
