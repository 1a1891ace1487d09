// What differs between two files of settings: one line for each key.
//
//   {"a":{"b":1}}  {"a":{"b":2,"c":3}}  ─▶  a.b: 1 → 2,  a.c added
//
// In a list, what is the same at its beginning and at its end is left out; what lies between is held
// against each other place by place.
//
// Rule: what comes or goes as a whole is named by each key that has a value in it. Above a bound they are
// counted.

import { isMap, type Scalar, type Setting, sameSetting } from './setting.ts'
import type { Settings, SettingsFormat } from './settings.ts'

export interface SettingChange {
  /** As a person reads it: `a.b[0]`; in a registry `KEY\name`. */
  readonly key: string
  /** Its parts; a place in a list is a number. */
  readonly path: readonly (string | number)[]
  /** Absent where the key was added. */
  readonly before?: Scalar
  /** Absent where it was removed. */
  readonly after?: Scalar
}

export interface SettingChanges {
  readonly format: SettingsFormat
  readonly changes: readonly SettingChange[]
  /** How many more there are. */
  readonly more: number
}

type Path = readonly (string | number)[]

const MOST = 1000
const EMPTY: Setting = new Map()

/** Null on one side: the file is not there. */
export function settingChanges(before: Settings | null, after: Settings | null): SettingChanges {
  const { format } = (after ?? before)!
  const changes: SettingChange[] = []
  let found = 0
  const take: Take = (path, was, is) => {
    found += 1
    if (changes.length === MOST) return
    const sides = {
      ...(was === undefined ? {} : { before: was }),
      ...(is === undefined ? {} : { after: is }),
    }
    changes.push({ key: nameOf(path, format), path, ...sides })
  }
  compare(before?.values ?? EMPTY, after?.values ?? EMPTY, [], take)
  return { format, changes, more: found - changes.length }
}

type Take = (path: Path, before: Scalar | undefined, after: Scalar | undefined) => void

function compare(was: Setting | undefined, is: Setting | undefined, path: Path, take: Take): void {
  if (sameSetting(was, is)) return
  if (isMap(was) && isMap(is)) {
    for (const [key, each] of was) compare(each, is.get(key), [...path, key], take)
    for (const [key, each] of is) if (!was.has(key)) compare(undefined, each, [...path, key], take)
  } else if (Array.isArray(was) && Array.isArray(is)) compareLists(was, is, path, take)
  else if (isScalar(was) && isScalar(is)) take(path, was, is)
  else {
    if (was !== undefined) for (const [at, value] of leaves(was, path)) take(at, value, undefined)
    if (is !== undefined) for (const [at, value] of leaves(is, path)) take(at, undefined, value)
  }
}

function compareLists(
  was: readonly Setting[],
  is: readonly Setting[],
  path: Path,
  take: Take,
): void {
  const shorter = Math.min(was.length, is.length)
  let first = 0
  while (first < shorter && sameSetting(was[first], is[first])) first += 1
  let last = 0
  while (last < shorter - first && sameSetting(was.at(-1 - last), is.at(-1 - last))) last += 1
  const [wasEnd, isEnd] = [was.length - last, is.length - last]
  for (let at = first; at < Math.max(wasEnd, isEnd); at++)
    compare(at < wasEnd ? was[at] : undefined, at < isEnd ? is[at] : undefined, [...path, at], take)
}

function* leaves(setting: Setting, path: Path): Generator<[Path, Scalar]> {
  if (isScalar(setting)) yield [path, setting]
  else if (isMap(setting)) {
    if (setting.size === 0) yield [path, '{}']
    for (const [key, each] of setting) yield* leaves(each, [...path, key])
  } else {
    if (setting.length === 0) yield [path, '[]']
    for (const [at, each] of setting.entries()) yield* leaves(each, [...path, at])
  }
}

const isScalar = (setting: Setting | undefined): setting is Scalar =>
  setting === null || (setting !== undefined && typeof setting !== 'object')

function nameOf(path: Path, format: SettingsFormat): string {
  const between = format === 'registry' ? '\\' : '.'
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`
    return name === '' ? part : `${name}${between}${part}`
  }, '')
}
