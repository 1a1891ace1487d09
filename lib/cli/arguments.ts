// The words of the command line, whole: Node reads them as UTF-8 and loses what is none.

import { readFileSync } from 'node:fs'
import { textOf } from '../base/path.ts'

/** `argv` as Node has it, with the bytes that it lost (`textOf`). */
export function wholeArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((word) => word.includes('\ufffd'))) return argv
  const words = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1)
  // Options of Node's own stand before ours.
  return words.length < argv.length ? argv : words.slice(words.length - argv.length).map(textOf)
}
