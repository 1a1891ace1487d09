// What differs between two SQLite databases, table by table.
//
//   two files, with their journals ─▶ a thread: SQLite as WebAssembly ─▶ rows added, removed, changed
//
// The files are copies that belong to whoever asks: SQLite finishes them from their journals, as it would
// have done for the program. The thread can be ended: a database may be made to take for ever.
//
// Rule: never throws for what a database holds; then the answer says why it is not compared.

import { Worker } from 'node:worker_threads'

/** A value as JSON has it; a number too large for that is text. */
export type Cell = string | number | null | { readonly bytes: number }

export interface RowChange {
  readonly kind: 'added' | 'removed' | 'changed'
  /** What tells the row from others: its primary key, or `rowid`. */
  readonly key: Readonly<Record<string, Cell>>
  /** The other columns; of a changed row those that differ. */
  readonly cells: readonly CellChange[]
}

export interface CellChange {
  readonly column: string
  /** Absent in a row that was added. */
  readonly before?: Cell
  /** Absent in one that was removed. */
  readonly after?: Cell
}

export interface TableChange {
  readonly table: string
  readonly added: number
  readonly removed: number
  readonly changed: number
  /** The first of them. */
  readonly rows: readonly RowChange[]
  /** Why rows are not compared one by one; then there are counts alone. */
  readonly why?: string
}

export interface SchemaChange {
  readonly kind: 'table' | 'column' | 'index' | 'view' | 'trigger'
  readonly name: string
  readonly did: 'added' | 'removed' | 'changed'
}

export interface DatabaseChanges {
  readonly schema: readonly SchemaChange[]
  readonly tables: readonly TableChange[]
  /** Why it is not compared. */
  readonly why?: string
}

export interface DatabaseWish {
  /** Paths of both files; null where there is none. */
  readonly before: string | null
  readonly after: string | null
  /** Rows that are named of each table. */
  readonly rows: number
}

/** How long one may take, in milliseconds. */
const PATIENCE_MS = 20_000
/** Memory of the thread, in MiB, beside what SQLite has. */
const MEMORY = 256

const none = (why: string): DatabaseChanges => ({ schema: [], tables: [], why })

export async function databaseChanges(
  wish: DatabaseWish,
  patience = PATIENCE_MS,
): Promise<DatabaseChanges> {
  const worker = new Worker(new URL('./database-thread.js', import.meta.url), {
    workerData: wish,
    name: 'database',
    resourceLimits: { maxOldGenerationSizeMb: MEMORY },
  })
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<DatabaseChanges>((resolve) => {
      worker.once('message', resolve)
      worker.once('error', (err) => resolve(none(err.message)))
      worker.once('exit', () => resolve(none('SQLite ended early')))
      timer = setTimeout(() => resolve(none('it takes too long')), patience)
    })
  } finally {
    clearTimeout(timer)
    // It is in WebAssembly, never in a function of C (host/end-threads.ts).
    await worker.terminate()
  }
}
