// The database under the catalogue: LevelDB, with the store's failures in place of its own words.
//
// Rule: every batch is synced and whole; what would not fit on the disk is refused before LevelDB
// begins, because a log that broke off in the middle loses what is written behind it.

import { statfsSync } from 'node:fs'
import { Level } from 'level'
import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Range } from './keys.ts'
import { wantedBy } from './wanted.ts'

/** What LevelDB has beside what `level` promises of every database. */
interface OfLevelDb {
  compactRange(start: string, end: string): Promise<void>
}

type Database = Level<string, Buffer> & OfLevelDb
export type Operation = { type: 'put'; key: string; value: Buffer } | { type: 'del'; key: string }

const SYNC = { sync: true }
/** LevelDB's own options. */
export interface Tuning {
  readonly maxOpenFiles?: number
  readonly cacheSize?: number
  readonly writeBufferSize?: number
  readonly maxFileSize?: number
}

/** Values that are read at once in a walk through a range. */
const AT_ONCE = 1000
/** Of LevelDB's own options: how many bytes of records it reads ahead. */
const AHEAD = { highWaterMarkBytes: 1024 * 1024 }
/** What stays free when records are added: LevelDB writes each twice, and moves them about. */
const RIM_BYTES = 256 * 1024

export const put = (at: string, value: Buffer): Operation => ({ type: 'put', key: at, value })
export const putText = (at: string, text: string): Operation => put(at, Buffer.from(text))
export const putJson = (at: string, value: unknown): Operation => putText(at, JSON.stringify(value))
export const del = (at: string): Operation => ({ type: 'del', key: at })

/** A record out of its bytes. Throws SVS_CATALOGUE_DAMAGED, which names the key. */
export function decode<T>(schema: z.ZodType<T>, bytes: Buffer, at: string): T {
  const read = schema.safeParse(parse(bytes, at))
  if (read.success) return read.data
  throw new Failure('SVS_CATALOGUE_DAMAGED', at, wantedBy(read.error))
}

function parse(bytes: Buffer, at: string): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw new Failure('SVS_CATALOGUE_DAMAGED', at, 'not JSON', { cause })
  }
}

// LevelDB has no codes for it, only the words of the system.
const isFull = (words: string): boolean => /No space left|Disk quota exceeded/.test(words)

function whyNotOpen(dir: string, cause: unknown): unknown {
  const { message, cause: inner } = cause as Error
  const { code, message: reason = message } = (inner ?? {}) as NodeJS.ErrnoException
  if (code === 'LEVEL_LOCKED') return new Failure('SVS_STORE_LOCKED', dir, 'another process')
  if (isFull(reason)) return new Failure('SVS_DISK_FULL', `opening the catalogue ${dir}`, { cause })
  return new Failure('SVS_CATALOGUE_DAMAGED', dir, reason, { cause })
}

function needRoom(dir: string, operations: readonly Operation[]): void {
  const bytes = operations.reduce(
    (sum, each) => sum + (each.type === 'put' ? each.value.length : 0),
    0,
  )
  // Removing is never refused.
  if (bytes === 0) return
  const { bsize, bavail, bfree } = statfsSync(dir)
  const left = bsize * (process.geteuid?.() === 0 ? bfree : bavail)
  if (left < 2 * bytes + RIM_BYTES)
    throw new Failure('SVS_DISK_FULL', `the catalogue ${dir} needs ${2 * bytes + RIM_BYTES} bytes`)
}

/** Records that go into one call. */
interface Asked {
  readonly keys: string[]
  values: Promise<(Buffer | undefined)[]> | null
}

export class KeyValue {
  readonly dir: string
  readonly #db: Database
  #asked: Asked | null = null

  private constructor(db: Database, dir: string) {
    this.#db = db
    this.dir = dir
  }

  /** Opens or makes the database in a directory (a path as Node takes it). */
  static async open(dir: string, tuning: Tuning = {}): Promise<KeyValue> {
    const db: Database = new Level<string, Buffer>(dir, {
      valueEncoding: 'buffer',
      // What is large is compressed by us.
      compression: false,
      ...tuning,
    }) as Database
    try {
      await db.open()
    } catch (cause) {
      throw whyNotOpen(dir, cause)
    }
    return new KeyValue(db, dir)
  }

  async get(at: string): Promise<Buffer | null> {
    return (await this.#db.get(at)) ?? null
  }

  async text(at: string): Promise<string | null> {
    return (await this.get(at))?.toString() ?? null
  }

  /** Several at once, in their order; null for each that is not there. */
  async several(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return (await this.#db.getMany([...keys])).map((bytes) => bytes ?? null)
  }

  has(at: string): Promise<boolean> {
    return this.#db.has(at)
  }

  async one<T>(schema: z.ZodType<T>, at: string): Promise<T | null> {
    const bytes = await this.#together(at)
    return bytes === undefined ? null : decode(schema, bytes, at)
  }

  // Records that are asked for in one turn are had in one call: a call costs more than a record.
  async #together(at: string): Promise<Buffer | undefined> {
    const asked = (this.#asked ??= { keys: [], values: null })
    const place = asked.keys.push(at) - 1
    await null
    if (this.#asked === asked) this.#asked = null
    asked.values ??= this.#db.getMany(asked.keys)
    return (await asked.values)[place]
  }

  /** All records of a range, in order. */
  async all<T>(schema: z.ZodType<T>, range: Range): Promise<T[]> {
    const all: T[] = []
    for await (const [at, bytes] of this.entries(range)) all.push(decode(schema, bytes, at))
    return all
  }

  /** Keys of a range, in order; `last` alone: the last so many, from the end. */
  async *keys(range: Range, last?: number): AsyncGenerator<string> {
    const order = last === undefined ? {} : { reverse: true, limit: last }
    for await (const some of inBatches(this.#db.keys({ ...range, ...order }))) yield* some
  }

  /** The same, many at a time: a million of them one by one take seconds. */
  keysByMany(range: Range): AsyncGenerator<string[]> {
    return inBatches(this.#db.keys({ ...range, ...AHEAD }))
  }

  /** Keys and values of a range, in order. */
  async *entries(range: Range): AsyncGenerator<[string, Buffer]> {
    for await (const some of inBatches(this.#db.iterator({ ...range, ...AHEAD }))) yield* some
  }

  /** All of it or nothing, on the disk when it returns. */
  async batch(operations: Operation[]): Promise<void> {
    needRoom(this.dir, operations)
    try {
      await this.#db.batch(operations, SYNC)
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause)
      if (!isFull(text)) throw cause
      throw new Failure('SVS_DISK_FULL', text, { cause })
    }
  }

  /** Gives the disk back what was removed from a range. */
  compact({ gte, lt }: Range): Promise<void> {
    return this.#db.compactRange(gte, lt)
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

/** What can be asked for several at a time, and has to be closed. */
interface Batched<T> {
  nextv(count: number): Promise<T[]>
  close(): Promise<void>
}

// The next are read while those before are looked at.
async function* inBatches<T>(found: Batched<T>): AsyncGenerator<T[]> {
  const next = () => {
    const some = found.nextv(AT_ONCE)
    // Whoever stops before the end hears nothing of it.
    some.catch(() => {})
    return some
  }
  let coming = next()
  try {
    for (let some = await coming; some.length > 0; some = await coming) {
      coming = next()
      yield some
    }
  } finally {
    await coming.catch(() => {})
    await found.close()
  }
}
