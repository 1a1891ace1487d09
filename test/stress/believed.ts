// What a worker believes its own tree to be: names, bytes, modes, link counts, inode numbers.
//
//   act ─▶ mount       the call
//       ─▶ Believed    what it must have done          differences(place, believed): []
//
// Rule: nobody else changes the tree, so every difference is the mount's fault.

import type { Facts, Place } from '../behaviour/place.ts'

interface Thing {
  /** As first seen, from when on it must stay; null until then. */
  ino: number | null
  /** Permission bits. */
  mode: number
}

export interface BelievedFile extends Thing {
  readonly kind: 'file'
  bytes: Buffer
  /** How many names it has. */
  names: number
  /** Value of user.stress; null where it is not set. */
  mark: string | null
}

export interface BelievedDirectory extends Thing {
  readonly kind: 'directory'
  readonly children: Map<string, Believed>
}

export interface BelievedLink extends Thing {
  readonly kind: 'symlink'
  readonly target: string
}

export type Believed = BelievedFile | BelievedDirectory | BelievedLink

/** A name in the tree. */
export interface Spot<T extends Believed = Believed> {
  readonly parent: BelievedDirectory
  readonly name: string
  readonly path: string
  readonly thing: T
}

export const MARK = 'user.stress'

export const aFile = (bytes: Buffer, mode: number): BelievedFile => ({
  kind: 'file',
  bytes,
  mode,
  names: 1,
  mark: null,
  ino: null,
})

export const aDirectory = (mode = 0o755): BelievedDirectory => ({
  kind: 'directory',
  children: new Map(),
  mode,
  ino: null,
})

export const aLink = (target: string): BelievedLink => ({
  kind: 'symlink',
  target,
  mode: 0o777,
  ino: null,
})

export const inside = (path: string, name: string): string =>
  path === '' ? name : `${path}/${name}`

/** All names below a directory, parents before what is in them. */
export function spots(dir: BelievedDirectory, path = ''): Spot[] {
  const all: Spot[] = []
  for (const [name, thing] of dir.children) {
    const spot = { parent: dir, name, path: inside(path, name), thing }
    all.push(spot)
    if (thing.kind === 'directory') all.push(...spots(thing, spot.path))
  }
  return all
}

/** What a place shows otherwise than believed, a line each. */
export function differences(place: Place, dir: BelievedDirectory, path = ''): string[] {
  const found: string[] = []
  const listed = place.list(path)
  const names = new Set(listed.map(({ name }) => name))
  for (const name of dir.children.keys()) {
    if (!names.has(name)) found.push(`${inside(path, name)} is not listed`)
  }
  for (const { name, kind, ino } of listed) {
    const at = inside(path, name)
    const thing = dir.children.get(name)
    if (thing === undefined) {
      found.push(`${at} is listed, and was removed or never made`)
      continue
    }
    if (kind !== thing.kind) found.push(`${at} is listed as ${kind}, not ${thing.kind}`)
    const facts = place.lstat(at)
    if (ino !== facts.ino) found.push(`${at} is listed as inode ${ino}, and is ${facts.ino}`)
    found.push(...factsDiffer(at, facts, thing), ...contentDiffers(place, at, thing))
    if (thing.kind === 'directory') found.push(...differences(place, thing, at))
  }
  return found
}

/** What stat(2) of one name shows otherwise than believed. */
export function factsDiffer(path: string, facts: Facts, thing: Believed): string[] {
  const found: string[] = []
  const check = (what: string, got: number | string, wanted: number | string): void => {
    if (got !== wanted) found.push(`${path}: ${what} ${got}, not ${wanted}`)
  }
  check('kind', facts.kind, thing.kind)
  check('mode', facts.mode.toString(8), thing.mode.toString(8))
  thing.ino ??= facts.ino
  check('inode', facts.ino, thing.ino)
  if (thing.kind !== 'file') return found
  check('size', facts.size, thing.bytes.length)
  check('link count', facts.nlink, thing.names)
  return found
}

function contentDiffers(place: Place, path: string, thing: Believed): string[] {
  if (thing.kind === 'directory') return []
  if (thing.kind === 'symlink') {
    const target = place.readlink(path)
    return target === thing.target ? [] : [`${path} leads to ${target}, not ${thing.target}`]
  }
  const mark = place.getxattr(path, MARK)?.toString('latin1') ?? null
  const found = mark === thing.mark ? [] : [`${path}: ${MARK} ${mark}, not ${thing.mark}`]
  const file = place.open(path)
  try {
    return [...found, ...bytesDiffer(path, file.pread(thing.bytes.length + 1, 0), thing.bytes)]
  } finally {
    file.close()
  }
}

/** Where bytes first differ, with some of them. */
export function bytesDiffer(path: string, got: Buffer, wanted: Buffer): string[] {
  if (got.equals(wanted)) return []
  let at = 0
  while (at < got.length && at < wanted.length && got[at] === wanted[at]) at += 1
  const some = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1', at, at + 24))
  return [
    `${path}: from byte ${at} of ${wanted.length} (${got.length} read) ${some(got)}, not ${some(wanted)}`,
  ]
}
