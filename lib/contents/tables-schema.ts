// What tables a database has, with their columns and what tells one row from another.
//
// Rule: it is read from SQLite's own tables and pragmas; the text of a schema is compared, never understood.

import type { SchemaChange } from './database.ts'

type Row = Record<string, number | bigint | string | Uint8Array | null>
type Ask = (sql: string) => Row[]

export interface Table {
  readonly name: string
  /** As a query names it. */
  readonly from: string
  /** Those that are stored. */
  readonly columns: readonly string[]
  /** Columns of its primary key, or the name of its row number; none where it has neither. */
  readonly keys: readonly string[]
}

export interface Schema {
  readonly tables: ReadonlyMap<string, Table>
  /** Tables, indexes, views and triggers, with the text that made them. */
  readonly parts: ReadonlyMap<string, { readonly kind: SchemaChange['kind']; readonly sql: string }>
}

const KINDS = ['table', 'index', 'view', 'trigger'] as const

export function schemaOf(ask: Ask, side: 'was' | 'now'): Schema {
  const tables = new Map<string, Table>()
  const parts = new Map<string, { kind: SchemaChange['kind']; sql: string }>()
  const all = ask(`select type, name, rootpage, sql from ${side}.sqlite_schema`)
  for (const { type, name, rootpage, sql } of all) {
    const kind = KINDS.find((each) => each === type)
    if (kind === undefined || typeof name !== 'string') continue
    // Its own: what `analyze` found, the last numbers that were given.
    if (name.startsWith('sqlite_')) continue
    parts.set(`${kind} ${name}`, { kind, sql: String(sql ?? '') })
    // A virtual table lies in no page.
    if (kind === 'table' && Number(rootpage) > 0) tables.set(name, tableOf(ask, side, name))
  }
  return { tables, parts }
}

function tableOf(ask: Ask, side: 'was' | 'now', name: string): Table {
  const columns = ask(
    `select name, pk, hidden from pragma_table_xinfo(${text(name)}, ${text(side)})`,
  )
  const stored = columns.filter(({ hidden }) => Number(hidden) === 0)
  const key = stored
    .filter(({ pk }) => Number(pk) > 0)
    .sort((a, b) => Number(a.pk) - Number(b.pk))
    .map((column) => String(column.name))
  const names = stored.map((column) => String(column.name))
  const lower = new Set(columns.map((column) => String(column.name).toLowerCase()))
  const row = ['rowid', '_rowid_', 'oid'].find((each) => !lower.has(each))
  const from = `${side}."${name.replaceAll('"', '""')}"`
  return { name, from, columns: names, keys: key.length > 0 ? key : row === undefined ? [] : [row] }
}

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`

/** What of the schema came, went or is otherwise; of a table, its columns. */
export function schemaChanges(was: Schema, now: Schema): SchemaChange[] {
  const found: SchemaChange[] = []
  const nameOf = (key: string) => key.slice(key.indexOf(' ') + 1)
  for (const [key, { kind }] of was.parts)
    if (!now.parts.has(key)) found.push({ kind, name: nameOf(key), did: 'removed' })
  for (const [key, { kind, sql }] of now.parts) {
    const before = was.parts.get(key)
    const name = nameOf(key)
    if (before === undefined) found.push({ kind, name, did: 'added' })
    else if (before.sql !== sql)
      found.push(...changesOf(was.tables.get(name), now.tables.get(name), kind, name))
  }
  return found
}

function changesOf(
  was: Table | undefined,
  now: Table | undefined,
  kind: SchemaChange['kind'],
  name: string,
): SchemaChange[] {
  const columns = (a: Table | undefined, b: Table | undefined, did: SchemaChange['did']) =>
    (a?.columns ?? [])
      .filter((column) => b?.columns.includes(column) === false)
      .map((column): SchemaChange => ({ kind: 'column', name: `${name}.${column}`, did }))
  const found =
    kind === 'table' ? [...columns(was, now, 'removed'), ...columns(now, was, 'added')] : []
  return found.length > 0 ? found : [{ kind, name, did: 'changed' }]
}
