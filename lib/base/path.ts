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
  if (!STRAY.test(text)) return utf8Bytes(text)
  const byte = (stray: string) => String.fromCharCode(stray.charCodeAt(0) & 0xff)
  return text
    .split(STRAY)
    .map((part, at) => (at % 2 === 1 ? byte(part) : utf8Bytes(part)))
    .join('')
}

/** Text of an internal name that `bytesOf` takes back: a byte that is no UTF-8 is U+DC80 to U+DCFF. */
export function textOf(name: string): string {
  return name.replace(UTF8_OR_BYTE, (bytes, whole: string | undefined) =>
    whole === undefined
      ? String.fromCharCode(0xdc00 | bytes.charCodeAt(0))
      : Buffer.from(whole, 'latin1').toString('utf8'),
  )
}

const utf8Bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

// The second half of a pair is none of them.
const STRAY = /((?<![\ud800-\udbff])[\udc80-\udcff])/
const UTF8_OR_BYTE =
  /((?:[\0-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+)|[\x80-\xff]/g

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
