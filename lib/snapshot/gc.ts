// Finding and removing what no state refers to any more, while snapshots go on.
//
//   lists there are ─▶ records ─▶ all that they need (reached.ts)
//   claims of open writers ─▶ all that those need ─┐
//   the rest is condemned, in one step  ◀──────────┘
//   condemned contents ─▶ condemned chunks: removed in batches
//
// Lists are looked at before records: one that was there, and whose record is not there later, has
// none. Contents go before chunks: killed in between, no content names a chunk that is gone.
//
// Rule: nothing is counted, everything is followed; what cannot be read ends the sweep before
// anything is removed. From the condemnation on nobody is given what is condemned (claims.ts).

import { Failure } from '../base/failure.ts'
import type { Catalogue } from './catalogue.ts'
import type { Held, Sweep } from './claims.ts'
import { decode, del, putText } from './key-value.ts'
import { below, key, lastPart } from './keys.ts'
import { Pace } from './pace.ts'
import { Reached } from './reached.ts'
import { type Piece, stateRoot } from './records.ts'
import { readTable } from './table.ts'

export interface Swept {
  readonly chunks: number
  readonly contents: number
  readonly lists: number
  /** Bytes of the chunks. */
  readonly bytes: number
  /** Digests of the read-only sublayers that some state needs. */
  readonly readOnly: readonly string[]
}

export interface GarbageOptions {
  /** Only say what would go. */
  readonly dryRun?: boolean
  readonly pace?: Pace
  readonly onProgress?: (text: string) => void
}

/** Lists of states, and chunks, that are read at once. */
const LISTS = 64
const CHUNKS = 16
/** From so many bytes on the database's files are written anew without what is gone. */
const COMPACT_BYTES = 16 * 1024 * 1024

/** Removes all garbage of the catalogue. Throws SVS_STORE_BUSY, SVS_CATALOGUE_DAMAGED, Damage. */
export function collectGarbage(catalogue: Catalogue, options: GarbageOptions = {}): Promise<Swept> {
  return catalogue.sweep((sweep) => new Collection(catalogue, sweep, options).run())
}

type Test = (at: string) => boolean

/** A state, as far as following it goes. */
interface Root {
  readonly layer: string
  readonly id: string
  /** What its contents lie under. */
  readonly scope: string
}

class Collection {
  readonly #catalogue: Catalogue
  readonly #sweep: Sweep
  readonly #dryRun: boolean
  readonly #pace: Pace
  readonly #tell: (text: string) => void
  readonly #reached: Reached
  readonly #scopes = new Set<string>()
  readonly #held = new Set<Held>()
  #bytes = 0

  constructor(catalogue: Catalogue, sweep: Sweep, options: GarbageOptions) {
    this.#catalogue = catalogue
    this.#sweep = sweep
    this.#dryRun = options.dryRun ?? false
    this.#pace = options.pace ?? new Pace()
    this.#tell = options.onProgress ?? (() => {})
    this.#reached = new Reached(catalogue, this.#pace)
  }

  async run(): Promise<Swept> {
    const lists = await this.#listsWithoutRecord()
    await this.#followStates()
    const isGarbage = await this.#condemn()
    const swept = {
      lists: await this.#remove('tree', (at) => lists.has(at)),
      contents: await this.#remove('content', isGarbage),
      chunks: await this.#remove('chunk', isGarbage),
      bytes: this.#bytes,
      readOnly: [...this.#scopes],
    }
    if (this.#dryRun) return swept
    await this.#catalogue.chunks.dropStrays()
    await this.#catalogue.batch([putText(key.swept, String(Date.now()))])
    if (this.#bytes >= COMPACT_BYTES) await this.#catalogue.chunks.compact()
    return swept
  }

  async #listsWithoutRecord(): Promise<ReadonlySet<string>> {
    const lists = new Set<string>()
    for await (const keys of this.#catalogue.keysByMany(below('tree')))
      for (const at of keys) lists.add(at)
    for await (const keys of this.#catalogue.keysByMany(below('snapshot')))
      for (const at of keys) lists.delete(key.tree(lastPart(at)))
    return lists
  }

  async #followStates(): Promise<void> {
    const states = await this.#states()
    for (let at = 0; at < states.length; at += LISTS) {
      this.#tell(`followed ${at} of ${states.length} states`)
      const some = states.slice(at, at + LISTS)
      const lists = await this.#catalogue.values(some.map(({ id }) => key.tree(id)))
      for (const [nth, { layer, id, scope }] of some.entries()) {
        const bytes = lists[nth] ?? null
        if (bytes !== null) await this.#follow(scope, readTable(bytes, key.tree(id)))
        // One that was deleted since is garbage, now or the next time.
        else if ((await this.#catalogue.findSnapshot(layer, id)) !== null)
          throw new Failure('SVS_CATALOGUE_DAMAGED', key.tree(id), 'missing')
      }
    }
    await this.#reached.end()
  }

  async #states(): Promise<Root[]> {
    const roots: Root[] = []
    for await (const [at, bytes] of this.#catalogue.entries(below('snapshot'))) {
      const { layer, id, ro } = decode(stateRoot, bytes, at)
      roots.push({ layer, id, scope: ro.digest })
      await this.#pace.breathe()
    }
    return roots
  }

  async #follow(scope: string, pieces: readonly Piece[]): Promise<void> {
    this.#scopes.add(scope)
    await this.#reached.follow(scope, pieces)
  }

  // Between the last look at the claims and the condemnation nothing waits.
  async #condemn(): Promise<Test> {
    while (await this.#followClaims());
    const claims = this.#sweep.claims()
    const isClaimed = (at: string) =>
      claims.some(({ contents, chunks }) =>
        at.startsWith('chunk/') ? chunks.has(lastPart(at)) : contents.has(at),
      )
    const condemned = (at: string) => !this.#reached.has(at) && !isClaimed(at)
    if (this.#dryRun) return condemned
    this.#sweep.condemn(condemned)
    return (at) => this.#sweep.isCondemned(at)
  }

  /** True where something was claimed or held that had not been followed. */
  async #followClaims(): Promise<boolean> {
    let found = false
    for (const held of this.#catalogue.claims.held) {
      if (this.#held.has(held)) continue
      found = true
      this.#held.add(held)
      await this.#follow(held.snapshot.ro.digest, held.pieces)
    }
    for (const { contents } of this.#sweep.claims()) {
      for (const at of contents) {
        if (this.#reached.has(at)) continue
        found = true
        this.#reached.content(at)
      }
    }
    await this.#reached.end()
    return found
  }

  async #remove(prefix: string, isGarbage: Test): Promise<number> {
    let removed = 0
    for await (const keys of this.#catalogue.keysByMany(below(prefix))) {
      await this.#pace.breathe()
      const some = keys.filter(isGarbage)
      if (some.length === 0) continue
      if (prefix === 'chunk') await this.#weigh(some)
      removed += some.length
      this.#tell(`found ${removed} ${prefix}s that nothing refers to`)
      await this.#removeNow(prefix, some, isGarbage)
    }
    return removed
  }

  async #weigh(chunks: readonly string[]): Promise<void> {
    for (let at = 0; at < chunks.length; at += CHUNKS) {
      const some = chunks.slice(at, at + CHUNKS).map(lastPart)
      for (const length of await this.#catalogue.chunks.lengths(some)) this.#bytes += length
    }
  }

  // Asked again at the last moment: some may have been spared meanwhile.
  async #removeNow(prefix: string, keys: readonly string[], isGarbage: Test): Promise<void> {
    if (this.#dryRun) return
    await this.#sweep.remove(() => {
      const garbage = keys.filter(isGarbage)
      if (prefix === 'chunk') return this.#catalogue.chunks.remove(garbage)
      return this.#catalogue.batch(garbage.map(del))
    })
  }
}
