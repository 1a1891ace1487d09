// A start directory seen whole, a line of text for each name: what it is, to whom it belongs,
// its content, link target and extended attributes, and which names are one file.
//
// Rule: goes down by descriptors where paths become long, and reads a file's data only, not its
// holes, so that 5 GiB of nothing cost nothing.

import { createHash } from 'node:crypto'
import { Errno } from '../../lib/base/errno.ts'
import { O } from '../../lib/host/sys.ts'
import type { Facts, OpenFile, Place } from '../behaviour/place.ts'
import { answerOf, sayFacts, showPath } from './answer.ts'

export interface SeenName {
  /** Everything that both sides must show alike. */
  readonly line: string
  readonly ino: number
  readonly mtime: bigint
  readonly blocks: number
  readonly kind: string
}

export interface SeeOptions {
  /** False where a place tells names of one file late, and numbers are no longer than a mount. */
  readonly links: boolean
}

const LONG_PATH = 2000
const PAGE = 4096
const CHUNK = 1 << 20
/** Marks of the union, which the plain disk shows, and what a security module adds. */
const NOT_SEEN = /^((trusted|user)\.(overlay|svsfs)\.|security\.selinux)/

export function seeWhole(place: Place, options: SeeOptions = { links: true }) {
  const seen = new Map<string, SeenName>()
  const firstNames = new Map<number, string>()
  seeInto(place, '', '', { seen, firstNames, options })
  return seen
}

interface Walk {
  readonly seen: Map<string, SeenName>
  readonly firstNames: Map<number, string>
  readonly options: SeeOptions
}

function seeInto(place: Place, top: string, dir: string, walk: Walk): void {
  if (dir.length > LONG_PATH) {
    const inside = place.inside(dir)
    try {
      seeInto(inside, join(top, dir), '', walk)
    } finally {
      inside.close()
    }
    return
  }
  let listed: ReturnType<Place['list']>
  try {
    listed = place.list(dir)
  } catch (err) {
    if (!(err instanceof Errno)) throw err
    walk.seen.set(`${join(top, dir)}/*`, lineOnly(err.code))
    return
  }
  for (const { name, kind } of listed) {
    const path = join(dir, name)
    const seen = seeName(place, path, join(top, path), walk)
    walk.seen.set(join(top, path), seen)
    if (kind !== 'unknown' && seen.kind !== '' && kind !== seen.kind)
      walk.seen.set(`${join(top, path)}: listed`, lineOnly(`as ${kind}, is ${seen.kind}`))
    if (seen.kind === 'directory') seeInto(place, top, path, walk)
  }
}

const lineOnly = (line: string): SeenName => ({ line, ino: 0, mtime: 0n, blocks: 0, kind: '' })

const join = (a: string, b: string): string => (a === '' ? b : b === '' ? a : `${a}/${b}`)

function seeName(place: Place, path: string, name: string, walk: Walk): SeenName {
  let facts: Facts
  try {
    facts = place.lstat(path)
  } catch (err) {
    if (err instanceof Errno) return lineOnly(err.code)
    throw err
  }
  const { kind, ino, mtime, blocks } = facts
  const words = [sayFacts(facts)]
  if (kind === 'file') words.push(answerOf(() => contentOf(place, path, facts.size)))
  if (kind === 'symlink') words.push(answerOf(() => place.readlink(path)))
  else words.push(answerOf(() => xattrsOf(place, path)))
  if (kind !== 'directory' && walk.options.links) {
    const first = walk.firstNames.get(ino) ?? name
    walk.firstNames.set(ino, first)
    if (first !== name) words.push(`same as ${showPath(first)}`)
  }
  return { line: words.join(' '), ino, mtime, blocks, kind }
}

function xattrsOf(place: Place, path: string): string[] {
  const names = place.listxattr(path).filter((name) => !NOT_SEEN.test(name))
  return names.map((name) => `${name}=${place.getxattr(path, name)?.toString('latin1')}`)
}

function contentOf(place: Place, path: string, size: number): string {
  // Noticed by nobody, where the caller may ask for that.
  const flags = O.RDONLY | O.NONBLOCK | O.NOFOLLOW
  const file = openQuietly(place, path, flags)
  try {
    return digestOf(file, size)
  } finally {
    file.close()
  }
}

function openQuietly(place: Place, path: string, flags: number): OpenFile {
  try {
    return place.open(path, flags | O.NOATIME)
  } catch (err) {
    if (err instanceof Errno && err.code === 'EPERM') return place.open(path, flags)
    throw err
  }
}

/** A digest of a file's bytes; pages of zeros count like holes. */
export function digestOf(file: OpenFile, size: number): string {
  const hash = createHash('sha1')
  // One byte more than there should be, so that a file that is too long shows.
  for (let at = 0; at <= size; ) {
    if (size > CHUNK && at < size) {
      const data = nextData(file, at)
      if (data === null || data >= size) at = size
      else at = Math.max(at, data - (data % PAGE))
    }
    const part = file.pread(Math.min(CHUNK, size + 1 - at), at)
    if (part.length === 0) break
    hashPages(hash, part, at)
    at += part.length
  }
  return hash.digest('hex').slice(0, 16)
}

const NOTHING = Buffer.alloc(PAGE)

function hashPages(hash: ReturnType<typeof createHash>, part: Buffer, start: number): void {
  for (let at = 0; at < part.length; at += PAGE) {
    const page = part.subarray(at, at + PAGE)
    if (page.equals(NOTHING.subarray(0, page.length))) continue
    hash.update(String(start + at)).update(page)
  }
}

function nextData(file: OpenFile, at: number): number | null {
  try {
    return file.seek(at, 3)
  } catch (err) {
    if (!(err instanceof Errno)) throw err
    if (err.code === 'ENXIO') return null
    return at
  }
}

/** Blocks that a place may take beyond what the plain directory takes: its own granularity. */
const MORE_BLOCKS = 256

/** One line for each difference between what two sides show. */
export function compareSeen(plain: Map<string, SeenName>, tried: Map<string, SeenName>): string[] {
  const lines: string[] = []
  for (const [path, was] of plain) {
    const is = tried.get(path)
    if (is === undefined) lines.push(`${showPath(path)}: is missing, was ${was.line}`)
    else if (is.line !== was.line)
      lines.push(`${showPath(path)}:`, `    plain ${was.line}`, `    tried ${is.line}`)
    else if (was.kind === 'file' && is.blocks > was.blocks + MORE_BLOCKS)
      lines.push(`${showPath(path)}: takes ${is.blocks} blocks, not ${was.blocks}`)
  }
  for (const [path, is] of tried)
    if (!plain.has(path)) lines.push(`${showPath(path)}: should not be there: ${is.line}`)
  return lines
}

/** What one side must keep over a remount: the same, with inode numbers and exact times. */
export function compareKept(
  was: Map<string, SeenName>,
  is: Map<string, SeenName>,
  options: SeeOptions = { links: true },
): string[] {
  const lines = compareSeen(was, is)
  for (const [path, { ino, mtime }] of was) {
    const now = is.get(path)
    if (options.links && now !== undefined && now.ino !== ino)
      lines.push(`${showPath(path)}: inode number ${now.ino}, not ${ino}`)
    if (now !== undefined && now.mtime !== mtime)
      lines.push(`${showPath(path)}: mtime ${now.mtime}, not ${mtime}`)
  }
  return lines
}
