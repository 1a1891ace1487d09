// Names and paths. A file name is bytes; inside svsfs those bytes travel as latin1 text,
// one character a byte, so that any name a disk can hold survives the trip. Only what is
// shown to people is UTF-8.
//
// Rule: text from people enters through `bytesOf`, leaves through `shown`; a path of a
// layer is made by `relPath` alone, so `..` and absolute paths stop there.

declare const brand: unique symbol
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** Path inside a tree: relative, normalised, no `..`, '' is the root. Bytes as latin1 text. */
export type RelPath = Brand<string, 'RelPath'>

export const ROOT = '' as RelPath

/** Longest file name, in bytes: NAME_MAX of linux/limits.h. */
export const NAME_MAX = 255

/** The path with empty and `.` parts removed. Throws TypeError for `..` and NUL. */
export function relPath(text: string): RelPath {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw new TypeError(`path leaves its root: ${shown(text)}`)
  if (text.includes('\0')) throw new TypeError('path holds a NUL byte')
  return parts.join('/') as RelPath
}

/** `dir` and one more name, which must be a single component. */
export function joinPath(dir: RelPath, name: string): RelPath {
  return (dir === '' ? name : `${dir}/${name}`) as RelPath
}

export function parentPath(path: RelPath): RelPath {
  const slash = path.lastIndexOf('/')
  return (slash === -1 ? '' : path.slice(0, slash)) as RelPath
}

export function baseName(path: RelPath): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** True where `path` is `dir` or lies below it. */
export function isWithin(path: string, dir: string): boolean {
  return dir === '' || path === dir || path.startsWith(`${dir}/`)
}

/** Internal (latin1) form of text that a person typed. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** What a person sees of an internal name: UTF-8 where it is, `\xNN` for each byte that is not. */
export function shown(name: string): string {
  const bytes = Buffer.from(name, 'latin1')
  const text = bytes.toString('utf8')
  const safe = Buffer.from(text, 'utf8').equals(bytes) ? text : escapeHigh(name)
  return safe.replace(/[\0-\x1f\x7f]/g, escapeByte)
}

const escapeHigh = (name: string): string => name.replace(/[\x80-\xff]/g, escapeByte)

const escapeByte = (char: string): string =>
  `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
