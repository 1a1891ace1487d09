// Names and words of systemd units.
//
//   /mnt/my app  ─▶ mnt-my\x20app            systemd-escape --path
//   a "b" $c %d  ─▶ "a \"b\" $$c %%d"        one word of ExecStart=
//
// Rule: what systemd reads back is the path that was given, whatever bytes it has.

import { Failure } from '../base/failure.ts'

/** UNIT_NAME_MAX of systemd is 256 with the zero at its end. */
const LONGEST = 255

/** A path as it stands in the name of a unit. */
export function escapedPath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length === 0) return '-'
  const bytes = Buffer.from(parts.join('/'))
  return [...bytes].map((byte, at) => (byte === SLASH ? '-' : escapedByte(byte, at === 0))).join('')
}

const SLASH = 0x2f

function escapedByte(byte: number, first: boolean): string {
  const letter = String.fromCharCode(byte)
  const plain = /[a-zA-Z0-9:_.]/.test(letter) && !(first && letter === '.')
  return plain ? letter : `\\x${byte.toString(16).padStart(2, '0')}`
}

/** Throws SVS_MOUNT_POINT_INVALID where systemd would not take it. */
export function unitName(before: string, path: string): string {
  const name = `${before}${escapedPath(path)}.service`
  if (Buffer.byteLength(name) > LONGEST)
    throw new Failure('SVS_MOUNT_POINT_INVALID', path, 'the name of its unit would be too long')
  return name
}

/** A word of a list of paths, where nothing but `%` and quoting means anything. */
export const unitWord = (word: string): string => quoted(word.replaceAll('%', '%%'))

/** A word of a command line, where `$` means something as well. */
export const commandWord = (word: string): string =>
  quoted(word.replaceAll('%', '%%').replaceAll('$', '$$$$'))

function quoted(word: string): string {
  if (/^[\w./:=@%$+,-]+$/.test(word)) return word
  const inner = [...Buffer.from(word)].map((byte) => {
    const letter = String.fromCharCode(byte)
    if (letter === '"' || letter === '\\') return `\\${letter}`
    return byte < 0x20 || byte === 0x7f ? `\\x${byte.toString(16).padStart(2, '0')}` : letter
  })
  return `"${Buffer.from(inner.join(''), 'latin1').toString('utf8')}"`
}
