// The names of a directory at the instant of a freeze, where some changed since. Written by the union
// before a name changes (lib/union/freeze-names.ts), read by whoever reads the image, perhaps at
// the same time (lib/snapshot/preserved-names.ts).
//
//   list-<ino>   lines of JSON    ["name",ino,type]   this name was there
//                                 ["name"]            this name was not
//                                 []                  all is told: what no line names was not there
//
// Without the last line, what no line names is as it is now.
//
// Rule: a name has its line before it changes, and no second one that counts. A line without its
// end does not count.

import { type DirEntry, DT } from '../host/directory.ts'

/** What a line says of a name: how it was, or (null) that it was not there. */
export type NameLine = readonly [name: string, was: DirEntry | null]

export const END_OF_NAMES = '[]\n'

export const nameLine = (name: string, was: Pick<DirEntry, 'ino' | 'type'> | null): string =>
  `${JSON.stringify(was === null ? [name] : [name, was.ino, was.type])}\n`

/** How many of the bytes are whole lines. */
export const wholeLines = (bytes: Buffer): number => bytes.lastIndexOf(10) + 1

/** What whole lines say, and whether all is told. Null where one makes no sense. */
export function readNameLines(text: string): { lines: NameLine[]; isAll: boolean } | null {
  const found: unknown = parse(`[${text.trimEnd().replaceAll('\n', ',')}]`)
  if (!Array.isArray(found)) return null
  const isAll = Array.isArray(found.at(-1)) && found.at(-1).length === 0
  const lines = (isAll ? found.slice(0, -1) : found).map(lineOf)
  return lines.includes(null) ? null : { lines: lines as NameLine[], isAll }
}

function lineOf(found: unknown): NameLine | null {
  if (!Array.isArray(found) || typeof found[0] !== 'string') return null
  const [name, ino, type] = found as [string, unknown, unknown]
  if (found.length === 1) return [name, null]
  const isEntry = found.length === 3 && Number.isSafeInteger(ino) && isType(type)
  return isEntry ? [name, { name, ino: ino as number, type: type as number }] : null
}

const isType = (type: unknown): boolean => (Object.values(DT) as unknown[]).includes(type)

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
