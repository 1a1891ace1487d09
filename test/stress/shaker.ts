// What goes on beside the workers: layers come, go and change places, snapshots are taken, one
// layer is put back.
//
//   n0 n1 n2   activated, deactivated, moved above and below the workers' layers
//   top        snapshotted while it is written; each state's cuts are looked at in the end
//   side       written, snapshotted, written again, put back
//
// Rule: after each turn the mount is asked what it shows; the workers' own trees are theirs.

import assert from 'node:assert/strict'
import type { Client } from '../../lib/daemon/client.ts'
import { has, names, put, text } from '../behaviour/act.ts'
import { errnoOfCall } from '../behaviour/place.ts'
import { randomOf } from '../behaviour/random.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { checkCut } from './cut.ts'
import { LAYERS, NOISE, SIDE } from './start.ts'

/** A snapshot of `top`, and between which steps each worker's cut was taken. */
export interface Cuts {
  readonly state: string
  readonly least: readonly number[]
  readonly most: readonly number[]
}

export const PRIORITIES: Readonly<Record<string, number>> = { top: 30, mid: 20, low: 10, side: 25 }

export class Shaker {
  readonly cuts: Cuts[] = []
  turns = 0
  readonly #client: Client
  readonly #mount: string
  readonly #workers: number
  readonly #random: (below: number) => number
  readonly #active = new Set<string>([...LAYERS])
  readonly #priority = new Map<string, number>(Object.entries(PRIORITIES))

  constructor(client: Client, mount: string, workers: number, seed: number) {
    this.#client = client
    this.#mount = mount
    this.#workers = workers
    this.#random = randomOf(seed)
  }

  /** The noise layers with marks of their own: a whiteout, an opaque directory. */
  async prepare(): Promise<void> {
    for (const [i, layer] of NOISE.entries()) {
      await this.#client.call('activate', { layer })
      await this.#place(layer, 1 + i)
      this.#active.add(layer)
      this.#inMount((place) => {
        place.unlink(`outside/hole-${layer}`)
        place.unlink(`outside/closed-${layer}/own`)
        place.unlink(`outside/closed-${layer}/base`)
        place.rmdir(`outside/closed-${layer}`)
        place.mkdir(`outside/closed-${layer}`)
      })
    }
    this.#looks()
  }

  async turn(): Promise<void> {
    this.turns += 1
    const luck = this.turns % 8 === 2 ? 8 : this.#random(10)
    if (luck < 4) await this.#toggle()
    else if (luck < 7) await this.#move()
    else if (luck < 9) await this.#snapshot()
    else await this.#putBack()
    this.#looks()
  }

  async #toggle(): Promise<void> {
    const layer = NOISE[this.#random(NOISE.length)]!
    const goes = this.#active.has(layer)
    await this.#client.call(goes ? 'deactivate' : 'activate', { layer })
    if (goes) this.#active.delete(layer)
    else this.#active.add(layer)
  }

  #move(): Promise<void> {
    const which = this.#random(NOISE.length)
    return this.#place(NOISE[which]!, this.#random(4) * 10 + 1 + which)
  }

  async #place(layer: string, priority: number): Promise<void> {
    await this.#client.call('priority', { layer, priority })
    this.#priority.set(layer, priority)
  }

  async #snapshot(): Promise<void> {
    const layer = this.turns % 8 === 2 ? 'top' : (LAYERS[this.#random(5)] ?? 'top')
    const least = this.#steps('done')
    const { id } = await this.#client.call('snapshot', { layer, always: true })
    if (layer === 'top') this.cuts.push({ state: id, least, most: this.#steps('begun') })
  }

  #steps(which: 'done' | 'begun'): number[] {
    return Array.from({ length: this.#workers }, (_, worker) => {
      const place = new RealPlace(`${this.#mount}/cuts/w${worker}`)
      try {
        // A step may be under way: the log is the later, `last` the earlier.
        if (which === 'begun') return has(place, 'log') ? text(place, 'log').split('\n').length : 0
        return has(place, 'last') ? Number(text(place, 'last')) : 0
      } finally {
        place.close()
      }
    })
  }

  async #putBack(): Promise<void> {
    const first = `before ${this.turns}`
    this.#inMount((place) => {
      put(place, 'side/file', first)
      if (has(place, 'side/new')) place.unlink('side/new')
    })
    const { id } = await this.#client.call('snapshot', { layer: SIDE, always: true })
    this.#inMount((place) => {
      put(place, 'side/file', 'afterwards, and longer')
      put(place, 'side/new', 'n')
    })
    await this.#client.call('restore', { layer: SIDE, state: id })
    this.#inMount((place) => {
      assert.equal(text(place, 'side/file'), first, 'the restored layer')
      assert.deepEqual(names(place, 'side'), ['file'])
    })
  }

  #inMount(work: (place: RealPlace) => void): void {
    const place = new RealPlace(this.#mount)
    try {
      work(place)
    } finally {
      place.close()
    }
  }

  /** That the mount shows the layers that are active, in their order. */
  #looks(): void {
    this.#inMount((place) => {
      const above = [...this.#active].sort(
        (a, b) => this.#priority.get(b)! - this.#priority.get(a)!,
      )
      assert.equal(text(place, 'outside/who'), above[0])
      for (const layer of NOISE) {
        const shown = this.#active.has(layer)
        for (const path of [`work/beside-${layer}`, `outside/${layer}/deep/file`]) {
          assert.equal(
            errnoOfCall(() => place.stat(path)),
            shown ? null : 'ENOENT',
            path,
          )
        }
        assert.equal(has(place, `outside/hole-${layer}`), !shown, `the whiteout of ${layer}`)
        assert.equal(
          this.#closed(place, layer),
          this.#isAboveTop(layer) ? 'ENOENT' : shown ? '' : 'base',
        )
      }
    })
  }

  // Its whiteout; a directory made anew over that lies in `top`, and is hidden from above it.
  #isAboveTop(layer: string): boolean {
    return this.#active.has(layer) && this.#priority.get(layer)! > this.#priority.get('top')!
  }

  #closed(place: RealPlace, layer: string): string {
    const path = `outside/closed-${layer}`
    return errnoOfCall(() => place.stat(path)) ?? names(place, path).join(' ')
  }

  /** Puts `top` back to each of the last states, and holds the cuts against what may be. */
  async checkCuts(client: Client, most: number): Promise<void> {
    for (const { state, least, most: last } of this.cuts.slice(-most)) {
      await client.call('restore', { layer: 'top', state })
      for (let worker = 0; worker < this.#workers; worker++) {
        const place = new RealPlace(`${this.#mount}/cuts/w${worker}`)
        try {
          const { done, begun } = checkCut(place)
          const words = `w${worker} in ${state}: ${done} to ${begun}`
          assert.ok(done >= least[worker]!, `${words}, and ${least[worker]} was done before`)
          assert.ok(
            begun <= last[worker]! + 1,
            `${words}, and only ${last[worker]} was begun after`,
          )
        } finally {
          place.close()
        }
      }
    }
  }
}
