// How "deleted", "hidden" and "lies elsewhere" look on disk: the format of the kernel's own
// overlayfs, so that `mount -t overlay` reads a writable sublayer over its read-only one.
//
//   whiteout    character device 0/0              the name is deleted
//   opaque      overlay.opaque = y                nothing below merges into this directory
//   redirect    overlay.redirect = /old/path      the directory (or the data of a metacopy)
//                                                 lies there in the own read-only sublayer
//   metacopy    overlay.metacopy (empty)          attributes only; the data lies below
//   veil        svsfs.opaque = y                  hides other layers' directories of this name,
//                                                 while the own redirect is followed
//   base        svsfs.base = /old/path            the base's part of a renamed directory
//   origin      svsfs.origin = /key/names         which hard-linked file of the base this is a
//                                                 copy of (lib/union/link-index.ts)
//   blocks      svsfs.blocks = N size s.ns        of a metacopy: where it has data, that counts;
//                                                 its holes up to byte N are the lower file's
//                                                 bytes, which has that size and mtime
//
// Prefix `trusted.` in root's stores, `user.` in an ordinary user's.
//
// Rule: nobody else knows these names; programs neither see nor set them through a mount.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { type RelPath, relPath } from '../base/path.ts'
import { asOwner } from '../host/own-rights.ts'
import type { Stat } from '../host/stat.ts'
import { S } from '../host/sys.ts'
import { getXattr, listXattr, removeXattr, setXattr } from '../host/xattr.ts'

export type MarkPrefix = 'trusted' | 'user'

export interface Marks {
  opaque: boolean
  redirect: RelPath | null
  /** A redirect as the kernel writes it for a rename within one directory: the old name. */
  renamed: string | null
  metacopy: boolean
  veil: boolean
  base: RelPath | null
  origin: RelPath | null
}

const NAMES = {
  opaque: 'overlay.opaque',
  redirect: 'overlay.redirect',
  metacopy: 'overlay.metacopy',
  veil: 'svsfs.opaque',
  base: 'svsfs.base',
  origin: 'svsfs.origin',
} as const

export type MarkName = keyof typeof NAMES

/** Put together once: every lookup may ask for it. */
const METACOPY: Readonly<Record<MarkPrefix, string>> = {
  trusted: `trusted.${NAMES.metacopy}`,
  user: `user.${NAMES.metacopy}`,
}

const BLOCKS = 'svsfs.blocks'

/** Up to this size a file is filled whole, and at once: larger ones may be metacopies for long. */
export const LARGEST_WHOLE = 1024 * 1024

/** What the blocks mark says. */
export interface BlocksMark {
  /** Up to here a hole means the lower file's bytes; above it zeros. */
  readonly valid: number
  /** By which the lower file is known to be the one whose bytes are meant. */
  readonly size: number
  readonly mtime: number
  readonly mtimeNsec: number
}

/** The prefix that this process can write: root's, or an ordinary user's. */
export const ownPrefix = (): MarkPrefix => (process.geteuid?.() === 0 ? 'trusted' : 'user')

/** True for an attribute name that is a mark (or the kernel's own bookkeeping), in either prefix. */
export const isMarkName = (attribute: string): boolean =>
  /^(trusted|user)\.(overlay|svsfs)\./.test(attribute)

/** True for the device that stands for a deleted name. */
export const isWhiteout = (stat: Stat): boolean =>
  (stat.mode & S.IFMT) === S.IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0

function isOpaque(dir: number, name: string, prefix: MarkPrefix): boolean {
  const mark = `${prefix}.${NAMES.opaque}`
  return asOwner(dir, name, () => getXattr(dir, name, mark)).toString() === 'y'
}

/**
 * False where a file is none whatever its mark says: its bytes were written, all of them. One block may
 * be counted for its attributes; a large file that is nearly settled may have as many for the map of
 * its own.
 */
export const canBeMetacopy = ({
  mode,
  size,
  blocks,
}: Pick<Stat, 'mode' | 'size' | 'blocks'>): boolean =>
  (mode & S.IFMT) === S.IFREG &&
  size > 0 &&
  (blocks <= 8 || blocks * 512 < size || size > LARGEST_WHOLE)

/** True for a file whose bytes lie below. One call, for the path of a lookup. */
export function isMetacopy(dir: number, name: string, prefix: MarkPrefix): boolean {
  const mark = METACOPY[prefix]
  const found = getXattr(dir, name, mark)
  // Names are listed without the right to read.
  if (found === -ERRNO.EACCES) return listXattr(dir, name).includes(mark)
  return typeof found !== 'number'
}

/** True where the read-only part of what has these marks lies under another name. */
export const isRedirect = (marks: Marks): boolean =>
  marks.redirect !== null || marks.renamed !== null

/** All marks of a file or directory; null for the common case that it has none. */
export function readMarks(dir: number, name: string, prefix: MarkPrefix): Marks | null {
  const found = listXattr(dir, name).filter((attribute) => isMarkName(attribute))
  if (found.length === 0) return null
  const has = (mark: MarkName) => found.includes(`${prefix}.${NAMES[mark]}`)
  const text = (mark: MarkName) => (has(mark) ? readText(dir, name, mark, prefix) : null)
  const redirect = text('redirect')
  return {
    opaque: has('opaque') && isOpaque(dir, name, prefix),
    redirect: pathOf(redirect),
    renamed: nameOf(redirect),
    metacopy: has('metacopy'),
    veil: has('veil'),
    base: pathOf(text('base')),
    origin: pathOf(text('origin')),
  }
}

/** The marks among attributes that were read before; null for none. */
export function marksAmong(found: ReadonlyMap<string, Buffer>, prefix: MarkPrefix): Marks | null {
  if (![...found.keys()].some(isMarkName)) return null
  const value = (mark: MarkName) => found.get(`${prefix}.${NAMES[mark]}`)
  const text = (mark: MarkName) => value(mark)?.latin1Slice() ?? null
  return {
    opaque: value('opaque')?.latin1Slice() === 'y',
    redirect: pathOf(text('redirect')),
    renamed: nameOf(text('redirect')),
    metacopy: value('metacopy') !== undefined,
    veil: value('veil') !== undefined,
    base: pathOf(text('base')),
    origin: pathOf(text('origin')),
  }
}

/** The attributes by which the disk holds these marks. */
export function markAttributes(
  marks: { readonly [Mark in MarkName]?: boolean | RelPath | null | undefined },
  prefix: MarkPrefix,
): Map<string, Buffer> {
  const attributes = new Map<string, Buffer>()
  for (const [mark, name] of Object.entries(NAMES)) {
    const set = marks[mark as MarkName]
    if (set === undefined || set === null || set === false) continue
    const text = set === true ? (mark === 'metacopy' ? '' : 'y') : `/${set}`
    attributes.set(`${prefix}.${name}`, Buffer.from(text, 'latin1'))
  }
  return attributes
}

/** Sets a mark: text for redirect, base and origin (a path), ignored for the others. Throws Errno. */
export function setMark(
  dir: number,
  name: string,
  mark: MarkName,
  prefix: MarkPrefix,
  path: RelPath | null = null,
): void {
  const value = path !== null ? `/${path}` : mark === 'metacopy' ? '' : 'y'
  const bytes = Buffer.from(value, 'latin1')
  const set = () => setXattr(dir, name, `${prefix}.${NAMES[mark]}`, bytes)
  const done = asOwner(dir, name, set)
  if (done < 0) throw new Errno(-done, `mark ${mark}`)
}

/** Removes a mark; one that is not set is no failure. Throws Errno. */
export function clearMark(dir: number, name: string, mark: MarkName, prefix: MarkPrefix): void {
  const remove = () => removeXattr(dir, name, `${prefix}.${NAMES[mark]}`)
  const done = asOwner(dir, name, remove)
  if (done < 0 && done !== -ERRNO.ENODATA) throw new Errno(-done, `mark ${mark}`)
}

/** The blocks mark of a file; null where it has none. EIO for one that says nothing. */
export function readBlocks(dir: number, name: string, prefix: MarkPrefix): BlocksMark | null {
  const value = asOwner(dir, name, () => getXattr(dir, name, `${prefix}.${BLOCKS}`))
  return typeof value === 'number' ? null : blocksOf(value)
}

/** The blocks mark among attributes that were read before; null for none. */
export function blocksAmong(
  found: ReadonlyMap<string, Buffer>,
  prefix: MarkPrefix,
): BlocksMark | null {
  const value = found.get(`${prefix}.${BLOCKS}`)
  return value === undefined ? null : blocksOf(value)
}

function blocksOf(value: Buffer): BlocksMark {
  const found = /^(\d{1,16}) (\d{1,16}) (-?\d{1,16})\.(\d{1,9})$/.exec(value.latin1Slice())
  if (found === null) fail('EIO', 'blocks mark')
  const [valid, size, mtime, mtimeNsec] = found!.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return { valid, size, mtime, mtimeNsec }
}

/** Sets the blocks mark of an open file. Throws Errno. */
export function setBlocks(fd: number, mark: BlocksMark, prefix: MarkPrefix): void {
  const text = `${mark.valid} ${mark.size} ${mark.mtime}.${mark.mtimeNsec}`
  const done = setXattr(fd, '', `${prefix}.${BLOCKS}`, Buffer.from(text, 'latin1'))
  if (done < 0) throw new Errno(-done, 'blocks mark')
}

/** Removes the blocks mark; one that is not set is no failure. Throws Errno. */
export function clearBlocks(dir: number, name: string, prefix: MarkPrefix): void {
  const done = asOwner(dir, name, () => removeXattr(dir, name, `${prefix}.${BLOCKS}`))
  if (done < 0 && done !== -ERRNO.ENODATA) throw new Errno(-done, 'blocks mark')
}

function readText(dir: number, name: string, mark: MarkName, prefix: MarkPrefix): string | null {
  const get = () => getXattr(dir, name, `${prefix}.${NAMES[mark]}`)
  const value = asOwner(dir, name, get)
  return typeof value === 'number' ? null : value.latin1Slice()
}

// Others may have written the sublayer: what would lead out of it is damage, and answered as such.
function pathOf(text: string | null): RelPath | null {
  if (!text?.startsWith('/')) return null
  if (text.includes('\0') || text.split('/').includes('..')) fail('EIO', 'mark')
  return relPath(text)
}

function nameOf(text: string | null): string | null {
  if (text === null || text.includes('/')) return null
  if (text === '' || text === '.' || text === '..' || text.includes('\0')) fail('EIO', 'mark')
  return text
}
