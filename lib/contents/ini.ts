// Sections of keys and values, as INI files, .desktop entries, KDE and git have them.
//
//   [Desktop Entry]          Desktop Entry ─▶ Exec ─▶ firefox %u
//   Exec=firefox %u
//
// The packages that read INI cut values at `;`, which .desktop entries separate theirs by, and make several
// keys of one that has a dot: so it is read here.
//
// Rule: every line is a section, a key with its value, a comment or empty; one that is not, and it is no INI.
// Values are text, as they stand there. A key that comes again has a list.

import { NoSettings, type Setting, type SettingMap } from './setting.ts'

const SECTION = /^\[(.+)\]$/
const PAIR = /^([^=]+?)\s*=\s*(.*)$/
const COMMENT = /^([;#!].*)?$/

/** Throws NoSettings. */
export function readIni(text: string): SettingMap {
  const root = new Map<string, Setting>()
  let section = root
  for (const each of text.split(/\r?\n/)) {
    const line = each.trim()
    if (COMMENT.test(line)) continue
    const name = SECTION.exec(line)?.[1]
    if (name !== undefined) {
      section = sectionOf(root, name)
      continue
    }
    const [, key, value = ''] = PAIR.exec(line) ?? []
    if (key === undefined) throw new NoSettings(line)
    add(section, key, value)
  }
  if (root.size === 0) throw new NoSettings('no keys')
  return root
}

function sectionOf(root: Map<string, Setting>, name: string): Map<string, Setting> {
  const known = root.get(name)
  if (known instanceof Map) return known
  const made = new Map<string, Setting>()
  root.set(name, made)
  return made
}

function add(section: Map<string, Setting>, key: string, value: string): void {
  const before = section.get(key)
  if (before === undefined || before instanceof Map) section.set(key, value)
  else if (Array.isArray(before)) (before as Setting[]).push(value)
  else section.set(key, [before, value])
}
