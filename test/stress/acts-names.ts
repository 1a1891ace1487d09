// Acts on the names of a worker's own tree, and refusals that it must meet.

import assert from 'node:assert/strict'
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../lib/host/sys.ts'
import { put, refuses, using } from '../behaviour/act.ts'
import { errnoOfCall } from '../behaviour/place.ts'
import {
  aDirectory,
  aFile,
  aLink,
  type Believed,
  differences,
  factsDiffer,
  type Spot,
  spots,
} from './believed.ts'
import { type Hand, holds, isDirectory, isFile } from './hand.ts'

const isPlaced = (spot: Spot): boolean => spot.parent.children.get(spot.name) === spot.thing

function gone(spot: Spot): void {
  spot.parent.children.delete(spot.name)
  if (spot.thing.kind === 'file') spot.thing.names -= 1
}

function create(hand: Hand): void {
  const { parent, name, path } = hand.free()
  const data = hand.bytes(20_000)
  hand.says(`create ${path}`)
  put(hand.place, path, data.toString('latin1'), 0o644)
  parent.children.set(name, aFile(data, 0o644))
}

function createUnnamed(hand: Hand): void {
  const { parent, name, path, dir } = hand.free()
  const data = hand.bytes(5000)
  hand.says(`name an unnamed file ${path}`)
  using(hand.place.tmpfile(dir === '' ? '.' : dir, O.RDWR, 0o640), (file) => {
    assert.equal(file.write(data), data.length)
    file.linkTo(path)
  })
  parent.children.set(name, aFile(data, 0o640))
}

function mkdir(hand: Hand): void {
  const { parent, name, path } = hand.free()
  hand.says(`mkdir ${path}`)
  hand.place.mkdir(path, 0o755)
  parent.children.set(name, aDirectory())
}

function symlink(hand: Hand): void {
  const { parent, name, path } = hand.free()
  hand.says(`symlink ${path}`)
  hand.place.symlink(`to-${name}`, path)
  parent.children.set(name, aLink(`to-${name}`))
}

function link(hand: Hand): void {
  const spot = hand.file()
  if (spot === undefined) return
  const { parent, name, path } = hand.free()
  hand.says(`link ${spot.path} ${path}`)
  hand.place.link(spot.path, path)
  parent.children.set(name, spot.thing)
  spot.thing.names += 1
}

function unlink(hand: Hand): void {
  const spot = hand.pick(hand.all().filter((one) => !isDirectory(one)))
  if (spot === undefined) return
  hand.says(`unlink ${spot.path}`)
  hand.place.unlink(spot.path)
  gone(spot)
}

/** Removes a directory with all it holds. */
function removeAll(hand: Hand): void {
  const spot = hand.pick(hand.all().filter(isDirectory))
  if (spot === undefined) return
  hand.says(`remove ${spot.path} with all it holds`)
  for (const one of spots(spot.thing, spot.path).reverse()) {
    if (isDirectory(one)) hand.place.rmdir(one.path)
    else hand.place.unlink(one.path)
    gone(one)
  }
  hand.place.rmdir(spot.path)
  gone(spot)
}

function moveTo(spot: Spot, parent: Spot['parent'], name: string): void {
  spot.parent.children.delete(spot.name)
  parent.children.set(name, spot.thing)
}

function rename(hand: Hand): void {
  const spot = hand.pick(hand.all())
  if (spot === undefined) return
  const { parent, name, path } = hand.free()
  hand.says(`rename ${spot.path} ${path}`)
  if (holds(spot.thing, parent)) {
    refuses('EINVAL', () => hand.place.rename(spot.path, path))
    return
  }
  const flags = hand.random(4) === 0 ? RENAME_NOREPLACE : 0
  hand.place.rename(spot.path, path, flags)
  moveTo(spot, parent, name)
}

function replace(hand: Hand): void {
  const [from, to] = [hand.pick(hand.all()), hand.pick(hand.all())]
  if (from === undefined || to === undefined || from.thing === to.thing) return
  hand.says(`rename ${from.path} over ${to.path}`)
  const refused = errnoOfCall(() => hand.place.rename(from.path, to.path))
  const wanted = whyNotReplace(from, to)
  assert.ok(wanted.includes(refused), `${refused}, not ${wanted.join(' or ')}`)
  if (refused !== null) return
  gone(to)
  moveTo(from, to.parent, to.name)
}

function whyNotReplace(from: Spot, to: Spot): (string | null)[] {
  if (holds(from.thing, to.parent)) return ['EINVAL']
  if (holds(to.thing, from.parent)) return ['ENOTEMPTY', 'EEXIST']
  if (isDirectory(from) && !isDirectory(to)) return ['ENOTDIR']
  if (!isDirectory(from) && isDirectory(to)) return ['EISDIR']
  return isDirectory(to) && to.thing.children.size > 0 ? ['ENOTEMPTY', 'EEXIST'] : [null]
}

function exchange(hand: Hand): void {
  const [one, other] = [hand.pick(hand.all()), hand.pick(hand.all())]
  if (one === undefined || other === undefined || one.thing === other.thing) return
  if (holds(one.thing, other.parent) || holds(other.thing, one.parent)) return
  hand.says(`exchange ${one.path} ${other.path}`)
  hand.place.rename(one.path, other.path, RENAME_EXCHANGE)
  one.parent.children.set(one.name, other.thing)
  other.parent.children.set(other.name, one.thing)
}

function refused(hand: Hand): void {
  const spot = hand.pick(hand.all())
  if (spot === undefined || !isPlaced(spot)) return
  const { place } = hand
  hand.says(`what ${spot.path} refuses`)
  refuses('EEXIST', () => place.mkdir(spot.path))
  refuses('EEXIST', () => place.open(spot.path, O.WRONLY | O.CREAT | O.EXCL))
  refuses('EEXIST', () => place.symlink('x', spot.path))
  const absent = hand.free().path
  refuses('ENOENT', () => place.lstat(absent))
  refuses('ENOENT', () => place.rename(absent, spot.path))
  refuses('EEXIST', () => place.rename(spot.path, hand.all()[0]!.path, RENAME_NOREPLACE))
  if (isFile(spot)) refuses('ENOTDIR', () => place.list(`${spot.path}/x`))
  if (!isDirectory(spot)) refuses('ENOTDIR', () => place.rmdir(spot.path))
  else {
    refuses('EISDIR', () => place.unlink(spot.path))
    if (spot.thing.children.size > 0) refuses('ENOTEMPTY', () => place.rmdir(spot.path))
  }
}

function look(hand: Hand): void {
  const spot = hand.pick(hand.all())
  if (spot === undefined) return
  hand.says(`look at ${spot.path}`)
  assert.deepEqual(factsDiffer(spot.path, hand.place.lstat(spot.path), spot.thing), [])
}

function lookInside(hand: Hand): void {
  const spot = hand.pick(hand.directories())!
  hand.says(`look at all in ${spot.path}`)
  assert.deepEqual(
    differences(hand.place, spot.thing as Believed & { kind: 'directory' }, spot.path),
    [],
  )
}

export const ACTS_THAT_MAKE = [create, create, createUnnamed, mkdir, symlink, link]
export const ACTS_THAT_REMOVE = [unlink, unlink, removeAll]
export const ACTS_ON_NAMES = [
  ...ACTS_THAT_MAKE,
  ...ACTS_THAT_REMOVE,
  rename,
  rename,
  replace,
  exchange,
  refused,
  look,
  look,
  lookInside,
]
