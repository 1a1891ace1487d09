// Who relies on what, while garbage is removed beside snapshots that are being written.
//
//   writer   asks for a content or chunk ─▶ claimed: the sweep keeps it
//                                        └▶ condemned already: "not there", and it is stored anew
//   writer   writes what is condemned ─▶ the former record goes first: it names chunks that go as well
//   reader   holds a state that may be deleted meanwhile ─▶ its list is followed all the same
//   sweep    follows records, then claims, until no claim is left ─▶ condemns the rest at once
//
// Rule: claiming and condemning are synchronous, and a claim comes before the database is asked: so
// nothing is both relied on and removed. What a writer claimed stays claimed until the sweep that was
// under way has ended, because that sweep may not have seen the writer's record.

import { Failure } from '../base/failure.ts'
import { DigestSet } from './digest-set.ts'
import { lastPart } from './keys.ts'
import type { Piece, SnapshotRecord } from './records.ts'

/** What a sweep removes: asked for every key, at every moment. */
export type Condemned = (at: string) => boolean

/** A state that somebody reads. */
export interface Held {
  readonly snapshot: SnapshotRecord
  readonly pieces: readonly Piece[]
}

/** The same, as its holder has it. */
export interface Holding {
  readonly pieces: readonly Piece[]
  /** Lets go. */
  release(): void
}

/** What one writer relies on. Both only grow. */
export class Claim {
  /** Keys of contents, which are followed to what they need. */
  readonly contents = new Set<string>()
  /** Ids of chunks. */
  readonly chunks = new DigestSet()
  readonly #claims: Claims

  constructor(claims: Claims) {
    this.#claims = claims
  }

  /** Before the database is asked for `at`. False where it counts as absent, because it is being removed. */
  rely(at: string): boolean {
    if (this.#claims.isCondemned(at)) return false
    this.#keep(at)
    return true
  }

  /**
   * Before `at` is written: a sweep that has not removed it yet passes it over. For a content, after
   * `clear`, because what the catalogue has of it may need chunks that are condemned too.
   */
  store(at: string): void {
    this.#claims.spare(at)
    this.#keep(at)
  }

  /** Before contents are written: those that are condemned are removed by `removal`, and only then stored. */
  async clear(
    contents: readonly string[],
    removal: (condemned: readonly string[]) => Promise<void>,
  ): Promise<void> {
    const condemned: string[] = []
    for (const at of contents) {
      if (this.#claims.isCondemned(at)) condemned.push(at)
      else this.store(at)
    }
    if (condemned.length === 0) return
    await this.#claims.remove(() => removal(condemned))
    for (const at of condemned) this.store(at)
  }

  end(): void {
    this.#claims.end(this)
  }

  #keep(at: string): void {
    if (at.startsWith('chunk/')) this.chunks.add(lastPart(at))
    else this.contents.add(at)
  }
}

export class Claims {
  readonly #dir: string
  readonly #open = new Set<Claim>()
  /** Of writers that ended during a sweep. */
  readonly #ended = new Set<Claim>()
  readonly #held = new Set<Held>()
  /** Let go during a sweep. */
  readonly #released = new Set<Held>()
  #sweeping = false
  #condemned: Condemned | null = null
  #spared = new Set<string>()
  #removing: Promise<unknown> = Promise.resolve()

  constructor(dir: string) {
    this.#dir = dir
  }

  begin(): Claim {
    const claim = new Claim(this)
    this.#open.add(claim)
    return claim
  }

  end(claim: Claim): void {
    this.#open.delete(claim)
    if (this.#sweeping) this.#ended.add(claim)
  }

  /** Keeps what a state consists of until the answer is called. */
  hold(held: Held): () => void {
    this.#held.add(held)
    return () => {
      this.#held.delete(held)
      // Its holder may have written a record that the sweep has not seen, which relies on it.
      if (this.#sweeping) this.#released.add(held)
    }
  }

  get held(): readonly Held[] {
    return [...this.#held, ...this.#released]
  }

  isCondemned(at: string): boolean {
    return this.#condemned !== null && !this.#spared.has(at) && this.#condemned(at)
  }

  spare(at: string): void {
    if (this.#condemned?.(at) === true) this.#spared.add(at)
  }

  /** Runs a removal; whoever writes waits for it. */
  remove(removal: () => Promise<void>): Promise<void> {
    const removing = removal()
    this.#removing = Promise.allSettled([this.#removing, removing])
    return removing
  }

  /** Waits for removals that are under way: what is written now must come after them. */
  async settled(): Promise<void> {
    await this.#removing
  }

  /** One sweep at a time. Throws SVS_STORE_BUSY. */
  async sweep<T>(work: (sweep: Sweep) => Promise<T>): Promise<T> {
    if (this.#sweeping) throw new Failure('SVS_STORE_BUSY', this.#dir)
    this.#sweeping = true
    try {
      return await work({
        claims: () => [...this.#open, ...this.#ended],
        condemn: (condemned) => {
          this.#condemned = condemned
        },
        isCondemned: (at) => this.isCondemned(at),
        remove: (removal) => this.remove(removal),
      })
    } finally {
      this.#sweeping = false
      this.#condemned = null
      this.#spared = new Set()
      this.#ended.clear()
      this.#released.clear()
    }
  }
}

/** What a sweep may do with claims. */
export interface Sweep {
  /** What is relied on now, by each writer. */
  claims(): readonly Claim[]
  /** From here on what it names counts as absent. Called in the same step as the last look at `claims`. */
  condemn(condemned: Condemned): void
  isCondemned(at: string): boolean
  /** Runs a removal; whoever writes waits for it. */
  remove(removal: () => Promise<void>): Promise<void>
}
