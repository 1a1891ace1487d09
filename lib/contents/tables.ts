// Two databases held against each other by SQLite itself: both are attached to one connection, and rows are
// matched by their primary key, or by their row number.
//
//   was.moz_bookmarks ─┐ in one and not in the other ─▶ added, removed
//   now.moz_bookmarks ─┘ in both, a column differs   ─▶ changed
//
// Rule: a database is hostile. Nothing of its schema is run: tables alone are read, no views, no virtual
// tables and no generated columns; every name is quoted.

import sqlite from 'node-sqlite3-wasm'
import type {
  Cell,
  CellChange,
  DatabaseChanges,
  DatabaseWish,
  RowChange,
  TableChange,
} from './database.ts'
import { type Schema, schemaChanges, schemaOf, type Table } from './tables-schema.ts'

type Value = number | bigint | string | Uint8Array | null
type Row = Record<string, Value>

/** Characters of a text that are shown. */
const LONGEST = 200

/** Throws what SQLite says of a file that it cannot read. */
export function compareDatabases({ before, after, rows }: DatabaseWish): DatabaseChanges {
  const base = new sqlite.Database(':memory:')
  try {
    // Alone with the copies: then a write-ahead log needs no shared memory.
    base.exec('pragma locking_mode = exclusive; pragma trusted_schema = off')
    base.exec('pragma temp_store = memory; pragma cell_size_check = on')
    base.run('attach ? as was', [before ?? ':memory:'])
    base.run('attach ? as now', [after ?? ':memory:'])
    const ask = (sql: string) => base.all(sql) as Row[]
    // Finishes what the journals hold.
    for (const side of ['was', 'now']) ask(`select count(*) from ${side}.sqlite_schema`)
    base.exec('pragma query_only = on')
    const [was, now] = [schemaOf(ask, 'was'), schemaOf(ask, 'now')]
    return {
      schema: before === null || after === null ? [] : schemaChanges(was, now),
      tables: tablesOf(ask, was, now, rows),
    }
  } finally {
    base.close()
  }
}

export type Ask = (sql: string) => Row[]

function tablesOf(ask: Ask, was: Schema, now: Schema, rows: number): TableChange[] {
  const names = [...new Set([...was.tables.keys(), ...now.tables.keys()])].sort()
  return names
    .map((name) => tableChange(ask, was.tables.get(name), now.tables.get(name), rows))
    .filter(
      ({ added, removed, changed, why }) => added + removed + changed > 0 || why !== undefined,
    )
}

function tableChange(
  ask: Ask,
  was: Table | undefined,
  now: Table | undefined,
  rows: number,
): TableChange {
  const table = (now ?? was)!.name
  try {
    if (was === undefined || now === undefined) {
      const count = numberOf(ask(`select count(*) as n from ${(now ?? was)!.from}`))
      const counts = {
        added: now === undefined ? 0 : count,
        removed: was === undefined ? 0 : count,
      }
      return { table, changed: 0, rows: [], ...counts }
    }
    const keys = sameNames(was.keys, now.keys) ? now.keys : []
    if (keys.length === 0) return countsAlone(ask, was, now)
    return compareRows(ask, was, now, keys, rows)
  } catch (err) {
    return { table, added: 0, removed: 0, changed: 0, rows: [], why: (err as Error).message }
  }
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name, at) => name === b[at])

function countsAlone(ask: Ask, was: Table, now: Table): TableChange {
  const [before, after] = [was, now].map(({ from }) =>
    numberOf(ask(`select count(*) as n from ${from}`)),
  ) as [number, number]
  const counts = { added: Math.max(0, after - before), removed: Math.max(0, before - after) }
  return { table: now.name, ...counts, changed: 0, rows: [], why: 'it has another key now' }
}

function compareRows(
  ask: Ask,
  was: Table,
  now: Table,
  keys: readonly string[],
  most: number,
): TableChange {
  const on = keys.map((key) => `n.${quoted(key)} is w.${quoted(key)}`).join(' and ')
  const common = now.columns.filter((name) => was.columns.includes(name) && !keys.includes(name))
  const differs = (name: string) =>
    `w.${quoted(name)} collate binary is not n.${quoted(name)} collate binary`
  const queries = {
    added: `from ${now.from} n where not exists (select 1 from ${was.from} w where ${on})`,
    removed: `from ${was.from} w where not exists (select 1 from ${now.from} n where ${on})`,
    changed: `from ${now.from} n join ${was.from} w on ${on} where ${common.map(differs).join(' or ') || '0'}`,
  } as const
  const counts = { added: 0, removed: 0, changed: 0 }
  const rows: RowChange[] = []
  for (const kind of ['added', 'removed', 'changed'] as const) {
    const query = queries[kind]
    counts[kind] = numberOf(ask(`select count(*) as n ${query}`))
    if (counts[kind] === 0 || most === 0) continue
    const sides = { added: { n: now }, removed: { w: was }, changed: { w: was, n: now } }[kind]
    const picked = pick(keys, kind === 'changed' ? common : null, sides)
    const found = ask(`select ${picked.sql} ${query} limit ${most}`)
    rows.push(...found.map((row) => ({ kind, ...picked.read(row) })))
  }
  return { table: now.name, ...counts, rows }
}

type Sides = { readonly w?: Table; readonly n?: Table }

/** Columns under names of ours, as those of a table may be anything; `common`: null for all of the one side. */
function pick(keys: readonly string[], common: readonly string[] | null, sides: Sides) {
  const one = sides.n === undefined ? 'w' : 'n'
  const columns = common ?? sides[one]!.columns.filter((name) => !keys.includes(name))
  const wanted = [
    ...keys.map((name, at) => `${one}.${quoted(name)} as k${at}`),
    ...(['w', 'n'] as const).flatMap((side) =>
      sides[side] === undefined
        ? []
        : columns.map((name, at) => `${side}.${quoted(name)} as ${side}${at}`),
    ),
  ]
  const read = (row: Row): Omit<RowChange, 'kind'> => ({
    key: Object.fromEntries(keys.map((name, at) => [name, cellOf(row[`k${at}`]!)])),
    cells: columns.flatMap((column, at): CellChange[] => {
      const [before, after] = [row[`w${at}`], row[`n${at}`]]
      if (common !== null && sameValue(before, after)) return []
      return [
        {
          column,
          ...(before === undefined ? {} : { before: cellOf(before) }),
          ...(after === undefined ? {} : { after: cellOf(after) }),
        },
      ]
    }),
  })
  return { sql: wanted.join(', '), read }
}

const sameValue = (a: Value | undefined, b: Value | undefined): boolean =>
  a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b

function cellOf(value: Value): Cell {
  if (value instanceof Uint8Array) return { bytes: value.length }
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'string' && value.length > LONGEST) return `${value.slice(0, LONGEST)}…`
  return value
}

const numberOf = ([row]: Row[]): number => Number(row?.n ?? 0)

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
