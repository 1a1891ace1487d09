// Brings a directory to the state of another as an application would: only what differs is written.

import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** Makes `to` hold what `from` holds. Modes and links come along, times do not. */
export function copyChanged(from: string, to: string): void {
  if (readdirSync(to).length === 0) {
    execFileSync('cp', ['-a', `${from}/.`, to])
    return
  }
  copyInto(from, to)
}

function copyInto(from: string, to: string): void {
  const wanted = readdirSync(from, { withFileTypes: true })
  const names = new Set(wanted.map(({ name }) => name))
  for (const name of readdirSync(to))
    if (!names.has(name)) rmSync(join(to, name), { recursive: true })
  for (const entry of wanted) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) {
      mkdirSync(target, { recursive: true })
      copyInto(source, target)
    } else if (!entry.isFile()) {
      rmSync(target, { force: true })
      execFileSync('cp', ['-a', source, target])
    } else if (!sameBytes(source, target))
      writeFileSync(target, readFileSync(source), { mode: lstatSync(source).mode })
  }
}

const sameBytes = (a: string, b: string) =>
  existsSync(b) &&
  lstatSync(a).size === lstatSync(b).size &&
  readFileSync(a).equals(readFileSync(b))
