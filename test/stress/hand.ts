// The hand of one worker: its place, its luck, what it believes, what it has open.
//
// Rule: what is chosen follows from the seed and from what is believed, so a seed repeats a
// worker's acts; how the workers meet each other is the machine's.

import type { OpenFile, Place } from '../behaviour/place.ts'
import { randomOf } from '../behaviour/random.ts'
import {
  aDirectory,
  type Believed,
  type BelievedDirectory,
  type BelievedFile,
  type Spot,
  spots,
} from './believed.ts'

/** A descriptor kept over many acts. */
export interface Held {
  readonly file: OpenFile
  readonly thing: BelievedFile
  readonly words: string
}

const REMEMBERED = 60
/** From this many names on, more is removed than made. */
export const MANY = 120

export class Hand {
  readonly place: Place
  readonly random: (below: number) => number
  readonly root: BelievedDirectory
  readonly held: Held[] = []
  /** What was done last, newest at the end. */
  readonly done: string[] = []
  acts = 0
  /** Begins the names that it makes. */
  readonly #letter: string
  #fresh = 0

  constructor(place: Place, seed: number, root: BelievedDirectory, run: number) {
    this.place = place
    this.random = randomOf(seed)
    this.root = root
    this.#letter = String.fromCharCode('a'.charCodeAt(0) + run)
    // The first numbers of neighbouring seeds are neighbours.
    for (let i = 0; i < 20; i++) this.random(2)
  }

  says(words: string): void {
    this.acts += 1
    this.done.push(`${this.acts} ${words}`)
    if (this.done.length > REMEMBERED) this.done.shift()
  }

  pick<T>(all: readonly T[]): T | undefined {
    return all.length === 0 ? undefined : all[this.random(all.length)]
  }

  all(): Spot[] {
    return spots(this.root)
  }

  file(): Spot<BelievedFile> | undefined {
    return this.pick(this.all().filter(isFile))
  }

  directories(): Spot<BelievedDirectory>[] {
    const top = { parent: aDirectory(), name: '', path: '', thing: this.root }
    return [top, ...this.all().filter(isDirectory)]
  }

  /** A directory, and a name that it does not have. */
  free(): { parent: BelievedDirectory; name: string; path: string; dir: string } {
    const { thing, path } = this.pick(this.directories())!
    this.#fresh += 1
    const long = this.random(20) === 0 ? 250 : 1
    const name = `${this.#letter.repeat(long)}${this.#fresh}`
    return { parent: thing, name, path: path === '' ? name : `${path}/${name}`, dir: path }
  }

  bytes(most: number): Buffer {
    const text = `${this.acts}.${this.random(1000)} `
    return Buffer.from(
      text.repeat(Math.ceil(most / text.length)).slice(0, this.random(most)),
      'latin1',
    )
  }

  mode(): number {
    return 0o600 | this.random(0o100)
  }
}

export const isFile = (spot: Spot): spot is Spot<BelievedFile> => spot.thing.kind === 'file'
export const isDirectory = (spot: Spot): spot is Spot<BelievedDirectory> =>
  spot.thing.kind === 'directory'

/** True where `inner` is `outer` or lies in it. */
export function holds(outer: Believed, inner: Believed): boolean {
  if (outer === inner) return true
  if (outer.kind !== 'directory') return false
  return [...outer.children.values()].some((child) => holds(child, inner))
}
