// Where chunks lie: small ones under their digest, among the records; large ones in a database of
// their own, under numbers that only grow, and a place (place.ts) under their digest.
//
//   catalogue/         chunk/<sha256>            the bytes, or a place
//   catalogue/values/  <number>/<sha256>         the bytes
//
//   write     values ─▶ places, with all that comes with them, and `settled`
//   remove    places go, and `gone/…` is there ─▶ values go ─▶ `gone/…` goes
//   opening   values from `settled` on that have no place go, and those of `gone/…`
//
// Digests are random: LevelDB would write what lies under them anew again and again to keep it
// sorted. What is ascending it writes twice, in its log and in its place.
//
// Rule: a place comes after its value and goes before it, each step synced, so that no record
// leads to nothing; a value without a place is found by its number, not by reading values. Writers
// take turns: of two that bring the same chunk the second finds it there.

import { join } from 'node:path'
import { del, KeyValue, type Operation, put, putText } from './key-value.ts'
import { below, key, lastPart } from './keys.ts'
import { isPlace, type Place, placeBytes, placeIn, valueKey } from './place.ts'

/** Up to this size a chunk lies among the records. */
const INLINE = 2048
/** Removed values between which no more than so many stay are one range to be given back. */
const NEAR = 64
/** LevelDB maps its tables, and what was read of them counts as memory in use: then it begins anew. */
const MOST_READ = 48 * 1024 * 1024
const TUNING = { maxOpenFiles: 64, cacheSize: 1024 * 1024 }

/** Removed since the disk was last given back what was. */
interface Freed {
  inline: number
  numbers: number[]
}

export class Chunks {
  readonly #records: KeyValue
  #values: Promise<KeyValue> | null = null
  #closed: Promise<unknown> = Promise.resolve()
  /** How many use the values now, and how much was read of them since they were opened. */
  #users = 0
  #read = 0
  /** The next value's number, and the lowest that may have no place; known once values are open. */
  #next = 0
  #settled = 0
  /** Whether a write failed since: then more than the last may have none. */
  #hasStrays = false
  #freed: Freed = { inline: 0, numbers: [] }
  #last: Promise<unknown> = Promise.resolve()

  constructor(records: KeyValue) {
    this.#records = records
  }

  /** The bytes of a chunk as they are stored; null where it is not there. */
  async read(id: string): Promise<Buffer | null> {
    const bytes = await this.#records.get(key.chunk(id))
    const place = bytes === null ? null : placeIn(bytes)
    if (place === null) return bytes
    return this.#use((values) => {
      this.#read += place.length
      return values.get(valueKey(place, id))
    })
  }

  /** The same of several, in their order. */
  async readAll(ids: readonly string[]): Promise<(Buffer | null)[]> {
    const found = await this.#records.several(ids.map(key.chunk))
    const far: { readonly nth: number; readonly at: string }[] = []
    for (const [nth, bytes] of found.entries()) {
      const place = bytes === null ? null : placeIn(bytes)
      if (place !== null) far.push({ nth, at: valueKey(place, ids[nth]!) })
    }
    if (far.length === 0) return found
    const values = await this.#use((all) => all.several(far.map(({ at }) => at)))
    for (const bytes of values) this.#read += bytes?.length ?? 0
    for (const [at, { nth }] of far.entries()) found[nth] = values[at] ?? null
    return found
  }

  /** How many bytes several chunks have, in their order; 0 for what is not there. Reads no values. */
  async lengths(ids: readonly string[]): Promise<number[]> {
    const found = await this.#records.several(ids.map(key.chunk))
    return found.map((bytes) => (bytes === null ? 0 : (placeIn(bytes)?.length ?? bytes.length)))
  }

  /** Writes records, with chunks among them, all or none. A chunk that is there already stays as it is. */
  async write(operations: Operation[]): Promise<void> {
    if (!operations.some(isFar)) return this.#records.batch(operations)
    await this.#inTurn(async (values) => {
      const far = operations.filter(isFar)
      const there = await this.#records.several(far.map((each) => each.key))
      const fresh = far.filter((_, nth) => there[nth] === null)
      const near = operations.filter((each) => !isFar(each))
      if (fresh.length === 0) return this.#records.batch(near)
      const first = this.#next
      this.#next += fresh.length
      await this.#orStrays(async () => {
        const placed = fresh.map(({ key: at, value }, nth) => {
          const place = { number: first + nth, length: value.length }
          return { at, value, place }
        })
        await values.batch(
          placed.map(({ at, value, place }) => put(valueKey(place, lastPart(at)), value)),
        )
        await this.#records.batch([
          ...near,
          ...placed.map(({ at, place }) => put(at, placeBytes(place))),
          ...(this.#hasStrays ? [] : [putText(key.settled, String(this.#next))]),
        ])
      })
      if (!this.#hasStrays) this.#settled = this.#next
    })
  }

  /** Removes chunks, by their keys. */
  remove(keys: readonly string[]): Promise<void> {
    return this.#inTurn(async (values) => {
      const found = await this.#records.several(keys)
      const gone: string[] = []
      for (const [nth, bytes] of found.entries()) {
        const place = bytes === null ? null : placeIn(bytes)
        if (place !== null) gone.push(this.#letGo(place, lastPart(keys[nth]!)))
        else this.#freed.inline += bytes?.length ?? 0
      }
      await this.#records.batch([
        ...keys.map(del),
        ...gone.map((at) => put(key.gone(at), Buffer.alloc(0))),
      ])
      if (gone.length > 0) await this.#dropGone(values, gone)
    })
  }

  #letGo(place: Place, chunk: string): string {
    this.#freed.numbers.push(place.number)
    return valueKey(place, chunk)
  }

  /** Removes values that have no place because a write of them failed. */
  dropStrays(): Promise<void> {
    return this.#inTurn(async (values) => {
      if (this.#hasStrays) await this.#dropStrays(values)
    })
  }

  /** Gives the disk back what was removed. */
  async compact(): Promise<void> {
    const { inline, numbers } = this.#freed
    this.#freed = { inline: 0, numbers: [] }
    if (inline > 0) await this.#records.compact(below('chunk'))
    if (numbers.length === 0) return
    await this.#use(async (values) => {
      for (const [from, to] of rangesOf(numbers))
        await values.compact({ gte: key.value(from, ''), lt: key.value(to + 1, '') })
    })
  }

  async close(): Promise<void> {
    await this.#last
    await (await this.#values)?.close()
    await this.#closed
  }

  #inTurn<T>(work: (values: KeyValue) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#use(work))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #use<T>(work: (values: KeyValue) => Promise<T>): Promise<T> {
    this.#users += 1
    try {
      return await work(await this.#open())
    } finally {
      this.#users -= 1
      if (this.#users === 0 && this.#read > MOST_READ) this.#leave()
    }
  }

  // Who comes next opens them again.
  #leave(): void {
    const open = this.#values
    this.#values = null
    this.#read = 0
    // One that cannot be closed cannot be opened either, which says why.
    this.#closed = (async () => (await open)?.close())().catch(() => {})
  }

  async #orStrays(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (err) {
      this.#hasStrays = true
      throw err
    }
  }

  // Most catalogues that are opened are not asked for a large chunk.
  #open(): Promise<KeyValue> {
    this.#values ??= this.#closed
      .then(() => this.#opened())
      .catch((err: unknown) => {
        this.#values = null
        throw err
      })
    return this.#values
  }

  async #opened(): Promise<KeyValue> {
    const values = await KeyValue.open(join(this.#records.dir, 'values'), TUNING)
    try {
      this.#settled = Number((await this.#records.text(key.settled)) ?? 0)
      this.#next = this.#settled
      const all = { gte: '', lt: '~' }
      for await (const at of values.keys(all, 1))
        this.#next = Math.max(this.#settled, key.numberOf(at) + 1)
      const gone: string[] = []
      for await (const at of this.#records.keys(below('gone'))) gone.push(at.slice('gone/'.length))
      if (gone.length > 0) await this.#dropGone(values, gone)
      if (this.#next > this.#settled) await this.#dropStrays(values)
      return values
    } catch (err) {
      await values.close()
      throw err
    }
  }

  async #dropGone(values: KeyValue, gone: readonly string[]): Promise<void> {
    await values.batch(gone.map(del))
    await this.#records.batch(gone.map((at) => del(key.gone(at))))
  }

  async #dropStrays(values: KeyValue): Promise<void> {
    const from = { gte: key.value(this.#settled, ''), lt: '~' }
    for await (const keys of values.keysByMany(from)) {
      const found = await this.#records.several(keys.map((at) => key.chunk(lastPart(at))))
      const strays = keys.filter((at, nth) => {
        const place = found[nth] === null ? null : placeIn(found[nth]!)
        return place?.number !== key.numberOf(at)
      })
      this.#freed.numbers.push(...strays.map(key.numberOf))
      await values.batch(strays.map(del))
    }
    this.#settled = this.#next
    this.#hasStrays = false
  }
}

type Far = Operation & { readonly type: 'put' }

const isFar = (operation: Operation): operation is Far =>
  operation.type === 'put' &&
  operation.key.startsWith('chunk/') &&
  (operation.value.length > INLINE || isPlace(operation.value))

/** Numbers as ranges of those near each other: first and last. */
function rangesOf(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && number - last[1] <= NEAR) last[1] = number
    else ranges.push([number, number])
  }
  return ranges
}
