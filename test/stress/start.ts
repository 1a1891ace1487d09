// What lies in the layers and the base before the workers begin.
//
//   layers   top   mid   low        base           always active: they hold the workers' trees
//   noise    n0 n1 n2, side         come and go: names beside, and directories above them
//
// Rule: in every layer a name has other bytes, so a wrong layer shows.

import { linkSync } from 'node:fs'
import { join } from 'node:path'
import { type Drawing, draw } from '../union/view-of.ts'
import { aDirectory, aFile, type BelievedDirectory, inside } from './believed.ts'

/** Top first. */
export const LAYERS = ['top', 'mid', 'low'] as const
export const NOISE = ['n0', 'n1', 'n2'] as const
export const SIDE = 'side'
const BRANCHES = [...LAYERS, 'base'] as const
type Branch = (typeof BRANCHES)[number]

const LARGE = 1_300_000

/** Name in a worker's tree: where it lies, and how long it is. */
const PLAN: readonly (readonly [path: string, length: number, ...branches: Branch[]])[] = [
  ['all/f', 900, 'top', 'mid', 'low', 'base'],
  ['all/top', 50, 'top'],
  ['all/mid', 6000, 'mid'],
  ['all/low', 0, 'low'],
  ['all/base', 20_000, 'base'],
  ['all/under/one', 10, 'mid', 'base'],
  ['all/under/two', 4096, 'low'],
  ['low/x', 5000, 'low'],
  ['low/deep/y', 100, 'low'],
  ['low/deep/z', 70_000, 'low'],
  ['base/x', 300, 'base'],
  ['base/deep/y', 9000, 'base'],
  ['two/a', 1, 'mid'],
  ['two/b', 8192, 'base'],
  ['two/c', 12_345, 'low', 'base'],
  ['big', LARGE, 'base'],
  ['large', LARGE, 'low'],
]

/** Two names of one file, in one layer. */
const PAIR = ['low/pair', 'low/deep/pair'] as const

export const workerTree = (worker: number): string => `work/w${worker}`

function textOf(branch: string, path: string, length: number): string {
  return `${branch} ${path} `
    .repeat(Math.ceil(length / (branch.length + path.length + 2)))
    .slice(0, length)
}

/** Draws one of the layers, or the base, for so many workers. */
export function drawBranch(dir: string, branch: Branch, workers: number): void {
  const drawing: Record<string, string | null> = { 'outside/who': branch }
  for (let worker = 0; worker < workers; worker++) {
    const tree = workerTree(worker)
    for (const [path, length, ...branches] of PLAN) {
      if (branches.includes(branch)) drawing[`${tree}/${path}`] = textOf(branch, path, length)
    }
    if (branch === 'top') drawing[`cuts/w${worker}`] = null
  }
  if (branch !== 'mid') drawing['shared/common'] = null
  if (branch !== 'top') drawing['shared/hot/n0'] = 'abc'
  if (branch === 'base') {
    for (const name of NOISE) {
      drawing[`outside/hole-${name}`] = 'hidden where the layer is active'
      drawing[`outside/closed-${name}/base`] = 'the same'
    }
  }
  if (branch === 'mid') drawing['shared/hot/d1/n3'] = 'def'
  draw(dir, drawing)
  if (branch !== 'low') return
  for (let worker = 0; worker < workers; worker++) {
    const [one, other] = PAIR.map((path) => join(dir, workerTree(worker), path))
    draw(dir, { [`${workerTree(worker)}/${PAIR[0]}`]: textOf('low', PAIR[0], 2000) })
    linkSync(one!, other!)
  }
}

/** Draws a layer that comes and goes; SIDE only is put back. */
export function drawNoise(dir: string, name: string): void {
  if (name === SIDE) {
    draw(dir, { 'side/file': 'as it came' })
    return
  }
  const drawing: Drawing = {
    'outside/who': name,
    [`outside/hole-${name}`]: name,
    [`outside/closed-${name}/own`]: name,
    [`outside/${name}/deep/file`]: name,
    [`work/beside-${name}`]: name,
    [`cuts/beside-${name}/f`]: name,
    [`shared/beside-${name}`]: null,
  }
  draw(dir, drawing)
}

/** What a worker's tree is in the beginning. */
export function believedAtFirst(): BelievedDirectory {
  const root = aDirectory()
  for (const [path, length, ...branches] of PLAN) {
    place(root, path, Buffer.from(textOf(branches[0]!, path, length), 'latin1'))
  }
  const pair = place(root, PAIR[0], Buffer.from(textOf('low', PAIR[0], 2000), 'latin1'))
  directoryAt(root, 'low/deep').children.set('pair', pair)
  pair.names = 2
  return root
}

function place(root: BelievedDirectory, path: string, bytes: Buffer) {
  const at = path.lastIndexOf('/')
  const file = aFile(bytes, 0o644)
  directoryAt(root, path.slice(0, Math.max(at, 0))).children.set(path.slice(at + 1), file)
  return file
}

function directoryAt(root: BelievedDirectory, path: string): BelievedDirectory {
  let dir = root
  let at = ''
  for (const name of path.split('/').filter((part) => part !== '')) {
    at = inside(at, name)
    const known = dir.children.get(name) ?? aDirectory()
    if (known.kind !== 'directory') throw new TypeError(`${at} is a file`)
    dir.children.set(name, known)
    dir = known
  }
  return dir
}
