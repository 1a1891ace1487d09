// What the two sides of a difference hold, in the words of their kind.
//
//   settings    a.b: 1 → 2            + c.d: x          - e: y
//   databases   moz_bookmarks: 1 added, 2 changed       and the first rows
//   text        the lines that differ (text-diff.ts)
//   the rest    how many bytes differ
//
// Rule: whatever cannot be read as what it seems to be is shown as text, and what is no text by its bytes.
// Readers are loaded when a file needs one.

import type { DatabaseChanges } from '../contents/database.ts'
import type { SettingChange, SettingChanges } from '../contents/setting-changes.ts'
import type { Settings } from '../contents/settings.ts'
import type { DiffAnswer, DifferenceLine, SideLine } from '../daemon/diff-methods.ts'
import type { Paint } from './colors.ts'
import { databaseLines, readDatabase, withPlace } from './databases.ts'
import { printable } from './output.ts'
import type { Session } from './session.ts'
import { textDifference } from './text-diff.ts'
import { plural } from './words.ts'

/** A difference with what was read of it. */
export interface ReadDifference extends DifferenceLine {
  /** Of a file of settings. */
  readonly settings?: SettingChanges
  /** Of a SQLite database. */
  readonly tables?: DatabaseChanges & { readonly database: string }
}

export interface ReadAnswer extends DiffAnswer {
  readonly differences: readonly ReadDifference[]
}

export interface ContentsWish {
  readonly layer: string
  readonly from: string | null
  readonly to: string
  readonly paths: string[] | null
}

/** Rows of a table that are named, for people and for programs. */
const ROWS = { people: 5, programs: 100 }

/** The differences with what they hold. `text`: settings and databases are what they are to any reader of text. */
export async function diffContents(
  session: Session,
  wish: ContentsWish,
  { text = false, json = false } = {},
): Promise<ReadAnswer> {
  if (text) return session.call('diff', { ...wish, contents: true })
  return withPlace(session.places.run, async (databases, dir) => {
    const answer = await session.call('diff', { ...wish, contents: true, databases })
    const rows = json ? ROWS.programs : ROWS.people
    const read = (one: DifferenceLine) => readOne(one, dir, rows)
    const differences: ReadDifference[] = []
    for (const one of answer.differences) differences.push(await read(one))
    return { ...answer, differences }
  })
}

/** Never throws for what a file holds. */
export async function readOne(
  one: DifferenceLine,
  dir: string,
  rows: number,
): Promise<ReadDifference> {
  const { database, ...rest } = one
  if (one.partOf !== undefined) return withoutBytes(one)
  if (database !== undefined) {
    const { path } = database
    return withoutBytes({
      ...rest,
      tables: { database: path, ...(await readDatabase(database, dir, rows)) },
    })
  }
  const settings = await settingsOf(one)
  return settings === null ? rest : withoutBytes({ ...rest, settings })
}

// What they hold is told.
function withoutBytes(one: ReadDifference): ReadDifference {
  const side = (of: SideLine | null) => of && { kind: of.kind, size: of.size }
  return { ...one, before: side(one.before), after: side(one.after) }
}

async function settingsOf(one: DifferenceLine): Promise<SettingChanges | null> {
  const { before, after, path, from } = one
  if (!isRead(before) || !isRead(after) || (before === null && after === null)) return null
  const { readSettings } = await import('../contents/settings.ts')
  const read = async (side: SideLine | null, name: string): Promise<Settings | null> =>
    side === null ? null : readSettings(name, Buffer.from(side.bytes!, 'base64'))
  const sides = [await read(before, from ?? path), await read(after, path)] as const
  if ((before !== null && sides[0] === null) || (after !== null && sides[1] === null)) return null
  const { settingChanges } = await import('../contents/setting-changes.ts')
  const found = settingChanges(...sides)
  // Of comments and layout alone the lines tell more.
  return found.changes.length === 0 ? null : found
}

const isRead = (side: SideLine | null): boolean =>
  side === null || (side.kind === 'file' && side.bytes !== undefined && side.size > 0)

/** The lines to print below the name of a difference. `back`: as what going back would do. */
export function contentLines(one: ReadDifference, paint: Paint, back = false): string[] {
  const { settings, tables, partOf } = one
  if (tables !== undefined) {
    const lines = databaseLines(tables, paint, back)
    const { database } = tables
    return database === one.path ? lines : [`  (of ${printable(database.slice(1))})`, ...lines]
  }
  if (partOf !== undefined) return [`  (a part of ${printable(partOf.slice(1))})`]
  if (settings !== undefined) return settingLines(settings, paint, back)
  return textDifference(back ? { ...one, before: one.after, after: one.before } : one, paint)
}

function settingLines({ changes, more }: SettingChanges, paint: Paint, back: boolean): string[] {
  const lines = changes.map((change) => settingLine(back ? turned(change) : change, paint))
  return more === 0 ? lines : [...lines, `  … ${plural(more, 'more setting')}`]
}

function turned({ before, after, ...rest }: SettingChange): SettingChange {
  return {
    ...rest,
    ...(after === undefined ? {} : { before: after }),
    ...(before === undefined ? {} : { after: before }),
  }
}

function settingLine({ key, before, after }: SettingChange, paint: Paint): string {
  const name = printable(key)
  if (before === undefined) return paint('green', `  + ${name}: ${valueWords(after)}`)
  if (after === undefined) return paint('red', `  - ${name}: ${valueWords(before)}`)
  const [was, is] = [valueWords(before), valueWords(after)]
  // "1" and 1, or what differs behind the end of what is shown.
  const same = was === is
  const text = (value: Value, plain: string) => (same ? cut(JSON.stringify(value), 1000) : plain)
  return `  ${name}: ${paint('red', text(before, was))} → ${paint('green', text(after, is))}`
}

type Value = SettingChange['before']

/** Characters of a value that are shown. */
const LONGEST = 120

function valueWords(value: Value): string {
  const isPlain = typeof value !== 'string' || (/^\S(.*\S)?$/s.test(value) && !value.includes('→'))
  return cut(isPlain ? String(value) : JSON.stringify(value), LONGEST)
}

function cut(text: string, most: number): string {
  const letters = [...printable(text)]
  return letters.length <= most ? letters.join('') : `${letters.slice(0, most).join('')}…`
}
