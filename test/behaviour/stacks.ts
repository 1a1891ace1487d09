// The two stacks that behaviours run on: one layer with several read-only trees (the drop-in
// mount), and three layers with sublayers of their own over a base.
//
//   one layer      up  l1  l2  l3
//   three layers   c/rw c/ro/1   b/rw b/ro/1   a/rw a/ro/1   base
//
// Rule: what a view needs beside the branches (work, numbers, indexes) is made here too.

import { mkdirSync } from 'node:fs'
import { publishIndex } from '../../lib/layer/index-file.ts'
import type { LayerSpec, StackSpec } from '../../lib/union/spec.ts'
import type { Tree } from './draw.ts'
import { drawLayered, image, type LayeredBranch, lower, upper } from './layered.ts'

export interface DrawnStack {
  readonly branches: readonly LayeredBranch[]
  readonly spec: StackSpec
}

const ONE = [upper('up'), image('l1'), image('l2'), lower('l3')]

/** START over one layer of three read-only trees, as `-o lowerdir=l1:l2:l3,upperdir=up` says it. */
export function drawOneLayer(root: string, starts: readonly string[], tree?: Tree): DrawnStack {
  drawLayered(root, ONE, starts, tree)
  mkdirSync(`${root}/work`)
  const layer: LayerSpec = {
    id: '',
    name: 'overlay',
    tag: 0,
    rw: `${root}/up`,
    numbers: `${root}/up.numbers`,
    work: `${root}/work`,
    ro: ONE.slice(1).map(({ name }) => ({ path: `${root}/${name}`, index: null, version: 1 })),
    scratch: null,
    excludes: [],
  }
  return { branches: ONE, spec: { layers: [layer], base: null } }
}

/** The three layers, top first. */
export const LAYER_NAMES = ['c', 'b', 'a']
const THREE = [
  ...LAYER_NAMES.flatMap((name) => [upper(`${name}/rw`), lower(`${name}/ro/1`)]),
  lower('base'),
]

/** START in the branches of three layers and a base. */
export function drawStoreBranches(root: string, starts: readonly string[], tree?: Tree): void {
  drawLayered(root, THREE, starts, tree)
}

/** The same, with what a view needs to show them. */
export async function drawThreeLayers(
  root: string,
  starts: readonly string[],
  tree?: Tree,
): Promise<DrawnStack> {
  drawStoreBranches(root, starts, tree)
  const layers: LayerSpec[] = []
  for (const [i, name] of LAYER_NAMES.entries())
    layers.push(await layerAt(`${root}/${name}`, name, 3 - i))
  const base = { path: `${root}/base`, writable: false, timeout: 1 }
  return { branches: THREE, spec: { layers, base } }
}

async function layerAt(at: string, name: string, tag: number): Promise<LayerSpec> {
  mkdirSync(`${at}/work`)
  await publishIndex(`${at}/ro/1`, `${at}/ro/1.index`)
  return {
    id: name,
    name,
    tag,
    rw: `${at}/rw`,
    numbers: `${at}/rw.numbers`,
    work: `${at}/work`,
    ro: [{ path: `${at}/ro/1`, index: `${at}/ro/1.index`, version: 1 }],
    scratch: null,
    excludes: [],
  }
}
