// Several renames that are seen together or not at all, whatever fails or dies between them.
//
//   intent in work/ ─▶ move ─▶ move ─▶ …  ─▶ intent away       from here on it is done
//        a move fails: those before it are taken back at once
//        the process dies: the next opening of the layers takes them back (`settleWork`)
//
// An intent is text in symbolic links: they are metadata, which a journal writes in the order in
// which it was made, so the links reach the disk before the moves, and nothing has to be flushed.
//
//   intent-<id>-<n>   up to 4000 bytes of JSON: [{ from, to, ino, over }, …]
//   intent-<id>       how many of them; made last, removed first
//
// Rule: a move says by the inode that moves whether it was made, so taking back may be done any
// number of times. One move alone is one rename of the disk, and needs no intent.

import { ERRNO, Errno } from '../base/errno.ts'
import { joinPath, type RelPath, ROOT } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { moveAsOwner } from '../host/own-rights.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { must, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, S, sys } from '../host/sys.ts'
import { isWhiteout } from '../layer/marks.ts'
import { beforeChange } from './before-change.ts'
import { Branch, openRoot } from './branch.ts'
import { keepTimes } from './keep-times.ts'
import type { UnionLayer } from './layer.ts'
import type { LayerSpec } from './spec.ts'
import type { View } from './view.ts'

/** A name in a layer's writable sublayer, or (`work`) among its temporary names. */
export interface Spot {
  readonly layer: UnionLayer
  readonly work: boolean
  readonly dir: RelPath
  readonly name: string
}

export interface Move {
  readonly from: Spot
  /** Nothing is there, or a whiteout; of one move alone, also what it may replace. */
  readonly to: Spot
  /** A whiteout stays where it was. */
  readonly leaves: boolean
  /** The directories' times stay as they are: a copy came, the view is the same. */
  readonly unseen: boolean
  /** No directory moves or is replaced: descriptors of directories stay good. */
  readonly fileOnly?: true
}

/** A name in a tree on the disk. */
interface Name {
  readonly dir: number
  readonly name: string
}

/** What is told of a move before it is made. */
interface Before {
  readonly ino: number
  /** A whiteout is at the new name. */
  readonly over: boolean
}

/** Most that the text of a symbolic link may hold, less a little. */
const PIECE = 4000
const INTENT = /^intent-\d+-\d+$/
/** Names that a view makes in work/; all others there are not ours. */
const TEMPORARY = /^(?:t|intent-)\d+-\d+(?:-\d+)?$/

const stat = new Stat()

export const inRw = (layer: UnionLayer, dir: RelPath, name: string): Spot => ({
  layer,
  work: false,
  dir,
  name,
})
export const inWork = (layer: UnionLayer, name: string): Spot => ({
  layer,
  work: true,
  dir: ROOT,
  name,
})

/** Carries out all moves, or none. Throws Errno. */
export function carryOut(view: View, moves: readonly Move[]): void {
  for (const move of moves) preserve(move)
  if (moves.length === 1) make(moves[0]!, true)
  else if (moves.length > 1) carryOutTogether(view, moves)
}

function carryOutTogether(view: View, moves: readonly Move[]): void {
  const { work } = (moves.find(({ to }) => !to.layer.isBase) ?? moves[0]!).to.layer
  const planned = moves.map((move) => ({ move, before: look(move) }))
  const name = `intent-${view.tempName().slice(1)}`
  const text = JSON.stringify(planned.map(({ move, before }) => ({ ...written(move), ...before })))
  const pieces = Math.ceil(text.length / PIECE)
  const setTimesBack = timesOf(moves)
  let made = 0
  try {
    writeIntent(work, name, text, pieces)
    for (const { move } of planned) {
      made += 1
      make(move, false)
    }
    must(sys.unlinkat(work, name), 'intent')
  } catch (err) {
    for (const { move, before } of planned.slice(0, made).reverse()) takeBack(view, move, before)
    setTimesBack()
    forget(work, name)
    throw err
  } finally {
    for (let at = 0; at < pieces; at++) sys.unlinkat(work, `${name}-${at}`)
  }
}

function writeIntent(work: number, name: string, text: string, pieces: number): void {
  for (let at = 0; at < pieces; at++) {
    const piece = text.slice(at * PIECE, (at + 1) * PIECE)
    must(sys.symlinkat(piece, work, `${name}-${at}`), 'intent')
  }
  must(sys.symlinkat(String(pieces), work, name), 'intent')
}

// An intent whose moves were taken back must not be found by a later crash.
function forget(work: number, name: string): void {
  const done = sys.unlinkat(work, name)
  if (done >= 0 || done === -ERRNO.ENOENT) return
  sys.renameat(work, name, work, name.replace('intent-', 't'))
}

function preserve({ from, to, fileOnly }: Move): void {
  const rw = to.work ? null : to.layer.rw!
  const before = rw?.nameChanges ?? 0
  if (!from.work) beforeChange(from.layer.rw!, 'gone', nameOf(from).dir, from.name)
  if (rw === null) return
  const { dir, name } = nameOf(to)
  beforeChange(rw, 'gone', dir, name)
  beforeChange(rw, 'names', dir, name)
  if (fileOnly) rw.own?.adds(before, to.dir, name)
}

const nameOf = ({ layer, work, dir, name }: Spot): Name => ({
  dir: work ? layer.work : layer.rw!.dirFd(dir),
  name,
})

function look({ from, to }: Move): Before {
  const target = nameOf(to)
  const over = sys.stat(target.dir, target.name, stat) >= 0 && isWhiteout(stat)
  const source = nameOf(from)
  must(sys.stat(source.dir, source.name, stat), 'rename')
  return { ino: stat.ino, over }
}

/** `alone`: a whiteout that hides nothing may stay behind, where it cannot be removed. */
function make(move: Move, alone: boolean): void {
  const { from, to, leaves, unseen } = move
  const [a, b] = [nameOf(from), nameOf(to)]
  const keeping = (act: () => void) =>
    unseen && !to.work ? keepTimes(to.layer.rw!, b.dir, act) : act()
  keeping(() => {
    if (move.fileOnly || !mustExchange(a, b)) {
      const flags = leaves ? RENAME_WHITEOUT : 0
      must(moveAsOwner(a.dir, a.name, b.dir, b.name, flags), 'rename')
      return
    }
    must(moveAsOwner(a.dir, a.name, b.dir, b.name, RENAME_EXCHANGE), 'rename')
    if (leaves) return
    const done = sys.unlinkat(a.dir, a.name)
    if (!alone) must(done, 'rename')
  })
  moved(move)
}

// A directory cannot replace a whiteout, as a file can.
function mustExchange(from: Name, to: Name): boolean {
  if (sys.stat(to.dir, to.name, stat) < 0 || (stat.mode & S.IFMT) === S.IFDIR) return false
  return sys.stat(from.dir, from.name, stat) >= 0 && (stat.mode & S.IFMT) === S.IFDIR
}

function momentsOf(dir: number) {
  must(sys.stat(dir, '', stat), 'stat')
  return [stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec] as const
}

/** What sets the times of the directories that moves change back to those of now. */
function timesOf(moves: readonly Move[]): () => void {
  const spots = moves.flatMap(({ from, to }) => [from, to]).filter(({ work }) => !work)
  const kept = spots.map((spot) => ({ spot, moments: momentsOf(nameOf(spot).dir) }))
  return () => {
    for (const { spot, moments } of kept) sys.utimensat(nameOf(spot).dir, '', ...moments)
  }
}

function moved({ from, to, fileOnly }: Move): void {
  if (fileOnly) return
  for (const { layer, work, dir, name } of [from, to]) {
    if (!work) layer.rw!.moved(joinPath(dir, name))
  }
}

function takeBack(view: View, move: Move, before: Before): void {
  const { from, to } = move
  try {
    restore(nameOf(from), nameOf(to), before)
  } catch (err) {
    view.log.error(`a rename of ${from.name} failed half-way, and was not taken back`, err)
  }
  moved(move)
}

/** Puts one move back as it was before, however far it or an earlier `restore` came. */
function restore(from: Name, to: Name, { ino, over }: Before): void {
  const there = sys.stat(to.dir, to.name, stat) >= 0 && stat.ino === ino
  const left = sys.stat(from.dir, from.name, stat) >= 0
  if (!there && !(left && stat.ino === ino)) return
  if (there) {
    const flags = left ? RENAME_EXCHANGE : RENAME_NOREPLACE
    must(sys.renameat(to.dir, to.name, from.dir, from.name, flags), 'rename')
  }
  const now = sys.stat(to.dir, to.name, stat)
  if (now >= 0 && !over && isWhiteout(stat)) must(sys.unlinkat(to.dir, to.name), 'rename')
  if (now === -ERRNO.ENOENT && over) must(sys.mknodat(to.dir, to.name, S.IFCHR, 0), 'rename')
}

// --- On the disk

interface WrittenSpot {
  /** Id of the layer; of the base, its path. */
  readonly layer: string
  readonly part: 'rw' | 'scratch' | 'work' | 'base'
  readonly dir: string
  readonly name: string
}

interface WrittenMove extends Before {
  readonly from: WrittenSpot
  readonly to: WrittenSpot
}

const written = ({ from, to }: Move) => ({ from: writtenSpot(from), to: writtenSpot(to) })

function writtenSpot({ layer, work, dir, name }: Spot): WrittenSpot {
  const part = work ? 'work' : layer.isBase ? 'base' : layer.owner !== null ? 'scratch' : 'rw'
  return { layer: layer.isBase ? layer.rw!.path : layer.id, part, dir, name }
}

/**
 * Before layers are opened: takes back what a process left half done when it died, and removes
 * its temporary names. `layers` are all that may have been in one stack. Throws Errno.
 */
export function settleWork(layers: readonly Trees[]): void {
  inEach(layers, INTENT, (work, name) => {
    takeBackWritten(layers, readIntent(work, name))
    must(sys.unlinkat(work, name), 'intent')
  })
  inEach(layers, TEMPORARY, removeTree)
}

/** True where `settleWork` would take moves back: of names in this directory. */
export function hasIntent(work: string): boolean {
  const dir = openRoot(work)
  try {
    return listDirectory(dir).some(({ name }) => INTENT.test(name))
  } finally {
    sys.close(dir)
  }
}

type Trees = Pick<LayerSpec, 'id' | 'rw' | 'scratch' | 'work'>

function inEach(
  layers: readonly Trees[],
  wanted: RegExp,
  act: (work: number, name: string) => void,
): void {
  for (const { work } of layers) {
    if (work === null) continue
    const dir = openRoot(work)
    try {
      for (const { name } of listDirectory(dir)) if (wanted.test(name)) act(dir, name)
    } finally {
      sys.close(dir)
    }
  }
}

// One that is not whole was written to a disk without a journal, and says nothing.
function readIntent(work: number, name: string): WrittenMove[] {
  try {
    const pieces = Number(readLink(work, name))
    let text = ''
    for (let at = 0; at < pieces; at++) text += readLink(work, `${name}-${at}`)
    return JSON.parse(text) as WrittenMove[]
  } catch (err) {
    if (err instanceof SyntaxError || (err instanceof Errno && err.number === ERRNO.ENOENT))
      return []
    throw err
  }
}

function readLink(dir: number, name: string): string {
  const into = Buffer.alloc(4096)
  const length = must(sys.readlinkat(dir, name, into), 'intent')
  return into.latin1Slice(0, length)
}

function takeBackWritten(layers: readonly Trees[], moves: readonly WrittenMove[]): void {
  const trees = new Map<string, Branch>()
  const open = ({ layer, part, dir, name }: WrittenSpot): Name | null => {
    const spec = layers.find(({ id }) => id === layer)
    const path = part === 'base' ? layer : spec?.[part]
    if (path === undefined || path === null) return null
    try {
      const tree = trees.get(path) ?? openTree(path)
      trees.set(path, tree)
      return { dir: tree.dirFd(dir as RelPath), name }
    } catch (err) {
      if (err instanceof Errno && err.number === ERRNO.ENOENT) return null
      throw err
    }
  }
  try {
    for (const { from, to, ...before } of [...moves].reverse()) {
      const [a, b] = [open(from), open(to)]
      // A layer that was deleted, say: there is nothing of it to put back.
      if (a !== null && b !== null) restore(a, b, before)
    }
  } finally {
    for (const tree of trees.values()) tree.close()
  }
}

const openTree = (path: string): Branch =>
  new Branch({
    path,
    root: openRoot(path),
    writable: true,
    foreign: false,
    prefix: null,
    index: null,
  })
