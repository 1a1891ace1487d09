// Fresh start directories, one for each run: drawn in advance into the layers and into a plain
// directory, then mounted; when they are used up, the next lot.
//
// Rule: runs share a mount, never a start directory, so that a list of acts that is shrunk is
// tried on the same ground again and again.

import type { Tree } from '../behaviour/draw.ts'
import { drawAt, makeGround, removeGround } from '../behaviour/ground.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import type { Ground, Subject } from '../behaviour/suite.ts'
import { Pair, type PairOptions } from './pair.ts'
import { compareKept, compareSeen, type SeenName, seeWhole } from './see.ts'

type Seen = Map<string, SeenName>

interface Lot {
  readonly ground: Ground
  readonly plainRoot: string
  readonly starts: readonly string[]
  readonly lowers: readonly Seen[]
  used: number
}

export class Arena {
  readonly #subject: Subject
  readonly #tree: Tree
  readonly #size: number
  readonly #links: boolean
  #lot: Lot | null = null

  constructor(subject: Subject, tree: Tree, options: { size: number; links: boolean }) {
    this.#subject = subject
    this.#tree = tree
    this.#size = options.size
    this.#links = options.links
  }

  /** The two sides of the next run. Throws where a lot is done and something of it is wrong. */
  async next(options: Omit<PairOptions, 'remount'>): Promise<Pair> {
    let lot = this.#lot
    if (lot === null || lot.used === lot.starts.length) {
      await this.close()
      lot = await this.#draw()
      this.#lot = lot
    }
    const start = lot.starts[lot.used++]!
    const { ground, plainRoot } = lot
    const remount =
      ground.remount === null
        ? null
        : async () => {
            await ground.remount?.()
            return ground.place(start)
          }
    return new Pair(new RealPlace(`${plainRoot}/${start}`), ground.place(start), {
      ...options,
      remount,
    })
  }

  /** What is wrong with the runs of this lot as a whole: a line each, under the number of its run. */
  async check(): Promise<Map<number, string[]>> {
    const lot = this.#lot
    const wrong = new Map<number, string[]>()
    if (lot === null) return wrong
    lot.ground.lowers.forEach((lower, i) => {
      const lines = compareKept(lot.lowers[i]!, seeWhole(lower))
      if (lines.length > 0) wrong.set(-1, ['a lower tree has changed', ...lines])
    })
    if (lot.ground.remount === null) return wrong
    const starts = lot.starts.slice(0, lot.used)
    const was = starts.map((start) => this.#see(lot, start))
    await lot.ground.remount()
    starts.forEach((start, run) => {
      const lines = compareKept(was[run]!, this.#see(lot, start), { links: this.#links })
      const plain = new RealPlace(`${lot.plainRoot}/${start}`)
      if (lines.length === 0)
        lines.push(...compareSeen(seeWhole(plain, { links: this.#links }), was[run]!))
      plain.close()
      if (lines.length > 0) wrong.set(run, ['shows otherwise after a remount', ...lines])
    })
    return wrong
  }

  #see(lot: Lot, start: string): Seen {
    const place = lot.ground.place(start)
    try {
      return seeWhole(place, { links: this.#links })
    } finally {
      place.close()
    }
  }

  async close(): Promise<void> {
    const lot = this.#lot
    this.#lot = null
    if (lot === null) return
    await lot.ground.close()
    removeGround(lot.plainRoot)
  }

  async #draw(): Promise<Lot> {
    const starts = Array.from({ length: this.#size }, (_, i) => `s${String(i).padStart(3, '0')}`)
    const plainRoot = makeGround()
    for (const start of starts) drawAt(plainRoot, start, this.#tree)
    const ground = await this.#subject.make(starts)
    const lowers = ground.lowers.map((lower) => seeWhole(lower))
    return { ground, plainRoot, starts, lowers, used: 0 }
  }
}
