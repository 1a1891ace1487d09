// SQLite databases among what differs: a place for their copies, what differs in them, and its words.
//
//   moz_bookmarks: 1 added, 2 changed
//     + id 14: type 1, title x                 ~ id 5: visit_count 3 → 4
//
// Rule: the copies go with whoever asked, however that ends; what a killed one left goes with the next.

import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type {
  Cell,
  CellChange,
  DatabaseChanges,
  RowChange,
  TableChange,
} from '../contents/database.ts'
import type { DifferenceLine } from '../daemon/diff-methods.ts'
import { isAlive } from '../host/alive.ts'
import type { Paint } from './colors.ts'
import { printable } from './output.ts'
import { plural } from './words.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * A directory for copies in the run directory of a store, as `diff` of the API takes it, while `use` runs; null
 * where none can be made: there is no store, or no room.
 */
export async function withPlace<T>(
  run: string,
  use: (name: string | null, dir: string) => Promise<T>,
): Promise<T> {
  const name = `diff-${process.pid}-${randomUUID()}`
  const dir = join(run, name)
  if (!made(run, dir)) return use(null, dir)
  const remove = () => rmSync(dir, { recursive: true, force: true })
  const end = (signal: NodeJS.Signals) => {
    remove()
    for (const each of SIGNALS) process.off(each, end)
    process.kill(process.pid, signal)
  }
  for (const each of SIGNALS) process.on(each, end)
  try {
    return await use(name, dir)
  } finally {
    for (const each of SIGNALS) process.off(each, end)
    remove()
  }
}

function made(run: string, dir: string): boolean {
  try {
    sweep(run)
    mkdirSync(dir, { mode: 0o700 })
    return true
  } catch {
    return false
  }
}

function sweep(run: string): void {
  for (const name of readdirSync(run)) {
    const pid = /^diff-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(join(run, name), { recursive: true, force: true })
  }
}

/** What differs in a database whose copies lie in `dir`. Never throws for what it holds. */
export async function readDatabase(
  { before, after, why }: NonNullable<DifferenceLine['database']>,
  dir: string,
  rows: number,
): Promise<DatabaseChanges> {
  if (why !== undefined) return { schema: [], tables: [], why: REASONS[why] }
  const { databaseChanges } = await import('../contents/database.ts')
  const place = (name: string | null) => (name === null ? null : join(dir, name))
  return databaseChanges({ before: place(before), after: place(after), rows })
}

const REASONS = {
  size: 'it is too large',
  room: 'there is no room for copies of it',
} as const

/** The lines to print. `back`: as what going back would do. */
export function databaseLines(
  { schema, tables, why }: DatabaseChanges,
  paint: Paint,
  back: boolean,
): string[] {
  if (why !== undefined) return [`  (not compared table by table: ${printable(why)})`]
  if (schema.length + tables.length === 0) return ['  (no row differs)']
  const turned = { added: 'removed', removed: 'added', changed: 'changed' } as const
  return [
    ...schema.map(
      ({ kind, name, did }) => `  ${kind} ${printable(name)} ${back ? turned[did] : did}`,
    ),
    ...tables.flatMap((each) => tableLines(back ? backTable(each) : each, paint)),
  ]
}

function backTable(table: TableChange): TableChange {
  const kinds = { added: 'removed', removed: 'added', changed: 'changed' } as const
  const cell = ({ column, before, after }: CellChange): CellChange => ({
    column,
    ...(after === undefined ? {} : { before: after }),
    ...(before === undefined ? {} : { after: before }),
  })
  const rows = table.rows.map((row) => ({
    ...row,
    kind: kinds[row.kind],
    cells: row.cells.map(cell),
  }))
  return { ...table, added: table.removed, removed: table.added, rows }
}

function tableLines(one: TableChange, paint: Paint): string[] {
  const { table, rows, why } = one
  const said = (['added', 'removed', 'changed'] as const)
    .filter((kind) => one[kind] > 0)
    .map((kind) => `${one[kind]} ${kind}`)
  const reason = why === undefined ? '' : `${said.length === 0 ? '' : ' '}(${printable(why)})`
  const shown = rows.map((row) => rowLine(row, paint))
  const more = one.added + one.removed + one.changed - rows.length
  const rest = rows.length > 0 && more > 0 ? [`    … ${plural(more, 'more row')}`] : []
  return [`  ${printable(table)}: ${said.join(', ')}${reason}`, ...shown, ...rest]
}

const SIGNS = {
  added: ['+', 'green'],
  removed: ['-', 'red'],
  changed: ['~', 'yellow'],
} as const

/** Characters of a row, and of a value in it. */
const LONGEST_ROW = 200
const LONGEST_CELL = 60

function rowLine({ kind, key, cells }: RowChange, paint: Paint): string {
  const [sign, colour] = SIGNS[kind]
  const name = Object.entries(key).map(([column, cell]) => `${column} ${cellWords(cell)}`)
  const said = cells
    .filter(({ before, after }) => kind === 'changed' || (before ?? after) !== null)
    .map(({ column, before, after }) => {
      if (kind !== 'changed') return `${column} ${cellWords(after ?? before)}`
      return `${column} ${cellWords(before)} → ${cellWords(after)}`
    })
  const text = `${sign} ${name.join(', ')}${said.length === 0 ? '' : `: ${said.join(', ')}`}`
  return `    ${paint(colour, cut(text, LONGEST_ROW))}`
}

function cellWords(cell: Cell | undefined): string {
  if (cell === undefined || cell === null) return 'null'
  if (typeof cell === 'object') return plural(cell.bytes, 'byte')
  const text = String(cell)
  return cut(text === '' ? '""' : text, LONGEST_CELL)
}

function cut(text: string, most: number): string {
  const letters = [...printable(text)]
  return letters.length <= most ? letters.join('') : `${letters.slice(0, most).join('')}…`
}
