// The entries of a state as lines of an archive: what a state's list has, without what is this store's
// own, so that two stores with the same state have the same lines.
//
//   number   in the store   tag * 2^40 + slot * 2^32 + sequence      (lib/union/numbers.ts)
//            in an archive  slot 0 for the state's read-only part, 255 for what was born in the
//                           writable one, and the sequence; 0 for any other
//
// Rule: lines are hostile until read: schema, no further fields, order, every name in a directory that is
// listed before it, every link to a file listed before it, and no target that leads out of the tree.

import { parentPath, type RelPath, shown } from '../base/path.ts'
import { isMarkName } from '../layer/marks.ts'
import { Damage } from '../snapshot/depot.ts'
import { type Entry, entry as entrySchema, type Kind } from '../snapshot/records.ts'
import { comparePaths } from '../snapshot/tree.ts'
import { BORN, publishedBase } from '../union/numbers.ts'
import { canonical } from './canonical.ts'

const SLOT = 2 ** 32
const TAG = 2 ** 40

/** Whose inode numbers they are: a layer's tag, and the version of its read-only part. */
export interface Numbering {
  readonly tag: number
  readonly version: number
}

export const lineOf = (entry: Entry, numbering: Numbering): string =>
  canonical({ ...entry, number: numberOut(entry.number, numbering) })

function numberOut(number: number, { tag, version }: Numbering): number {
  const own = number - tag * TAG
  if (own <= 0 || own >= TAG) return 0
  const base = publishedBase(tag, version) - tag * TAG
  if (own >= BORN * SLOT) return own
  return own > base && own < base + SLOT ? own - base : 0
}

function numberIn(number: number, { tag, version }: Numbering): number {
  if (number === 0) return 0
  return number < SLOT ? publishedBase(tag, version) + number : tag * TAG + number
}

const isNumber = (number: number): boolean =>
  number < SLOT || (number >= BORN * SLOT && number < (BORN + 1) * SLOT)

/** What an importer lets in beside ordinary files. */
export interface Allowed {
  readonly devices: boolean
  readonly links: boolean
}

const FIELDS: ReadonlySet<string> = new Set(Object.keys(entrySchema.shape))
const MARKS: ReadonlySet<string> = new Set([
  'opaque',
  'redirect',
  'metacopy',
  'veil',
  'base',
  'origin',
])
const LARGEST_ATTRIBUTE = 64 * 1024

/** Something in an archive that would lead, or reach, out of the tree. */
export class Escape extends Error {
  override name = 'Escape'
  readonly path: string
  readonly why: 'leads out' | 'device'

  constructor(path: string, why: Escape['why']) {
    super(path)
    this.path = path
    this.why = why
  }
}

/** Reads lines one after the other, in the order of a walk. */
export class EntryReader {
  readonly kinds = new Set<Kind>()
  readonly #numbering: Numbering
  readonly #allowed: Allowed
  /** Directories under way, the root first. */
  readonly #open: RelPath[] = []
  /** Files that have further names, with their lines' own facts. */
  readonly #linked = new Map<RelPath, Entry>()
  #last: RelPath | null = null

  constructor(numbering: Numbering, allowed: Allowed) {
    this.#numbering = numbering
    this.#allowed = allowed
  }

  /** The entry of a line. Throws Damage, Escape. */
  read(line: string): Entry {
    const found = parsed(line)
    this.#place(found)
    checkKind(found)
    this.#checkLinks(found)
    this.#checkAllowed(found)
    this.kinds.add(found.kind)
    return { ...found, number: numberIn(found.number, this.#numbering) }
  }

  #place({ path, kind }: Entry): void {
    if (this.#last === null && (path !== '' || kind !== 'dir'))
      throw new Damage('a list that does not begin with its root')
    if (this.#last !== null && comparePaths(this.#last, path) >= 0)
      throw new Damage(`entries out of order at ${shown(path)}`)
    this.#last = path
    while (path !== '' && this.#open.at(-1) !== parentPath(path)) {
      if (this.#open.pop() === undefined) throw new Damage(`${shown(path)} lies in no directory`)
    }
    if (kind === 'dir') this.#open.push(path)
  }

  #checkLinks(entry: Entry): void {
    if (entry.linked === true) this.#linked.set(entry.path, entry)
    if (entry.link === undefined) return
    const first = this.#linked.get(entry.link)
    if (first === undefined || first.kind !== entry.kind)
      throw new Damage(`${shown(entry.path)} is a link to nothing`)
    if (first.content !== entry.content || first.size !== entry.size)
      throw new Damage(`${shown(entry.path)} is not the file that it is a link to`)
  }

  #checkAllowed({ path, kind, target }: Entry): void {
    if ((kind === 'char' || kind === 'block') && !this.#allowed.devices)
      throw new Escape(path, 'device')
    if (target !== undefined && leadsOut(path, target) && !this.#allowed.links)
      throw new Escape(path, 'leads out')
  }
}

function parsed(line: string): Entry {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch (cause) {
    throw new Damage('a line that is not JSON', { cause })
  }
  const read = entrySchema.safeParse(raw)
  if (!read.success)
    throw new Damage(`an entry whose ${read.error.issues[0]?.path.join('.')} is wrong`)
  const fields = Object.keys(read.data)
  if (!fields.every((field) => FIELDS.has(field)))
    throw new Damage('an entry with a field that nobody knows')
  if (!Object.keys(read.data.marks ?? {}).every((mark) => MARKS.has(mark)))
    throw new Damage('an entry with a mark that nobody knows')
  if (line !== canonical(raw)) throw new Damage('a line that is not in its one form')
  return read.data
}

function checkKind(entry: Entry): void {
  const { path, kind, size, content, target, rdev, xattrs = {}, number } = entry
  const wrong = (why: string): never => {
    throw new Damage(`${shown(path)}: ${why}`)
  }
  if (path.split('/').some((name) => name.length > 255)) wrong('a name that is too long')
  if (!isNumber(number)) wrong('an inode number of no such size')
  if ((kind === 'symlink') !== (target !== undefined))
    wrong('a link without a target, or the reverse')
  if (target?.includes('\0') === true) wrong('a target that holds a NUL byte')
  if (kind !== 'file' && (size !== undefined || content !== undefined)) wrong('content of no file')
  if (kind === 'file' && size === undefined) wrong('a file without a size')
  const device = kind === 'char' || kind === 'block'
  if (device !== (rdev !== undefined)) wrong('a device without a number, or the reverse')
  if (kind === 'char' && rdev === 0) wrong('a device that is a mark of deletion')
  if (kind === 'dir' && entry.link !== undefined) wrong('a directory of several names')
  if (entry.link !== undefined && entry.linked !== undefined) wrong('a first and a further name')
  for (const [name, value] of Object.entries(xattrs)) {
    if (isMarkName(name)) wrong(`the attribute ${shown(name)} is a mark`)
    if (!/^(user|trusted|security|system)\.[^\0]{1,240}$/.test(name))
      wrong('an attribute of no such name')
    if (
      value.length > LARGEST_ATTRIBUTE * 2 ||
      Buffer.from(value, 'base64').toString('base64') !== value
    )
      wrong('an attribute of no such value')
  }
  const empty = kind === 'file' && size === 0
  const below = entry.marks?.metacopy === true
  if (kind === 'file' && !empty && !below && content === undefined) wrong('a file without content')
}

/** True for a relative target that climbs above the root of the tree. */
function leadsOut(path: string, target: string): boolean {
  if (target.startsWith('/')) return false
  let depth = path.split('/').length - 1
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1
    else if (part !== '' && part !== '.') depth += 1
    if (depth < 0) return true
  }
  return false
}
