// The lines that differ between two versions of a text file.
//
//   before, after ─▶ both text? ─▶ hunks with three lines around them
//                    else        ─▶ sizes, and how many bytes differ
//
// Rule: text is UTF-8 without NUL; whatever it holds, nothing of it steers the terminal.

import { structuredPatch } from 'diff'
import type { DifferenceLine, SideLine } from '../daemon/diff-methods.ts'
import type { Paint } from './colors.ts'
import { printable } from './output.ts'
import { plural, size } from './words.ts'

/** Lines around what differs. */
const CONTEXT = 3
/** Milliseconds after which two texts have too little in common to be worth it. */
const PATIENCE = 2000

/** The lines to print for one difference; none where its name says all. */
export function textDifference(one: DifferenceLine, paint: Paint): string[] {
  const { before, after, mark } = one
  if (mark === 'attr' || (mark === 'R' && one.also !== 'M')) return []
  const sides = [before, after].filter((side) => side !== null)
  if (!sides.every(isFile)) return []
  if (sides.some(({ bytes }) => bytes === undefined))
    return [`  (too large to compare line by line: ${bytesWords(one)})`]
  const texts = [textOf(before), textOf(after)]
  if (texts[0] === null || texts[1] === null) return [`  (not text: ${bytesWords(one)})`]
  return hunksOf(texts[0]!, texts[1]!, paint)
}

/** `4.0 KiB -> 4.1 KiB, 12 bytes differ`. */
function bytesWords(one: DifferenceLine): string {
  const { before, after } = one
  if (before === null || after === null) return size((before ?? after)!.size)
  const sizes =
    before.size === after.size ? size(after.size) : `${size(before.size)} -> ${size(after.size)}`
  const count = one.different ?? differing(before, after)
  return count === null
    ? sizes
    : `${sizes}, ${plural(count, 'byte')} ${count === 1 ? 'differs' : 'differ'}`
}

/** Null where the bytes are not here. */
function differing({ bytes: before }: SideLine, { bytes: after }: SideLine): number | null {
  if (before === undefined || after === undefined) return null
  const [a, b] = [Buffer.from(before, 'base64'), Buffer.from(after, 'base64')]
  const both = Math.min(a.length, b.length)
  let count = Math.max(a.length, b.length) - both
  for (let at = 0; at < both; at++) if (a[at] !== b[at]) count += 1
  return count
}

const isFile = ({ kind }: SideLine): boolean => kind === 'file'

/** Null for what is no text; a file that is not there is an empty one. */
function textOf(side: SideLine | null): string | null {
  const bytes = Buffer.from(side?.bytes ?? '', 'base64')
  if (bytes.includes(0)) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function hunksOf(before: string, after: string, paint: Paint): string[] {
  const wish = { context: CONTEXT, timeout: PATIENCE }
  const found = structuredPatch('', '', before, after, '', '', wish)
  if (found === undefined) return ['  (too little in common to compare line by line)']
  return found.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    paint('cyan', `@@ -${placeOf(oldStart, oldLines)} +${placeOf(newStart, newLines)} @@`),
    ...lines.map((line) => painted(printable(line.replaceAll('\t', '    ')), paint)),
  ])
}

// Of no lines, the line before them.
const placeOf = (start: number, lines: number): string =>
  `${lines === 0 ? start - 1 : start},${lines}`

function painted(line: string, paint: Paint): string {
  if (line.startsWith('+')) return paint('green', line)
  return line.startsWith('-') ? paint('red', line) : line
}
