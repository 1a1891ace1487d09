// JSON, also with comments and commas at ends, as editors and browsers keep their settings.
//
// Rule: a number that JavaScript has not exactly stays the text that it is.

import { type Node, type ParseError, parseTree } from 'jsonc-parser'
import { DEEPEST, isMap, NoSettings, type Setting, type SettingMap } from './setting.ts'

/** Of an object, or of a list, whose places are its keys. Throws NoSettings. */
export function readJson(text: string): SettingMap {
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true })
  if (root === undefined || errors.length > 0) throw new NoSettings('no JSON')
  const setting = settingAt(root, text, 0)
  if (isMap(setting)) return setting
  if (Array.isArray(setting)) return new Map([['', setting]])
  throw new NoSettings('a single value')
}

function settingAt(node: Node, text: string, depth: number): Setting {
  if (depth > DEEPEST) throw new NoSettings('too deep')
  const { type, value, children = [], offset, length } = node
  switch (type) {
    case 'object':
      return new Map(
        children.map(({ children: [key, its] = [] }) => [
          String(key?.value),
          its === undefined ? null : settingAt(its, text, depth + 1),
        ]),
      )
    case 'array':
      return children.map((each) => settingAt(each, text, depth + 1))
    case 'number':
      return Number.isInteger(value) && !Number.isSafeInteger(value)
        ? text.slice(offset, offset + length)
        : (value as number)
    default:
      return value as Setting
  }
}
