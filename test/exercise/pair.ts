// The plain directory and the place that is tried, side by side: makes each act on both, and
// compares what they answer, what times they move, and now and then everything they show.
//
// Rule: a difference is thrown, in words; the act that shows it is the last one made.

import { Errno } from '../../lib/base/errno.ts'
import { tick } from '../behaviour/act.ts'
import type { Facts } from '../behaviour/place.ts'
import type { ClosingPlace } from '../behaviour/suite.ts'
import type { At, Trait } from './act.ts'
import { answerOf, sayFacts } from './answer.ts'
import { compareKept, compareSeen, digestOf, seeWhole } from './see.ts'
import { Side } from './side.ts'
import type { Made } from './vocabulary.ts'

export interface PairOptions {
  readonly traits: ReadonlySet<Trait>
  /** Compare which times each act moves: waits for the clock before each. */
  readonly times: boolean
  /** Compare everything after so many acts. */
  readonly wholeEvery: number
  readonly remount: (() => Promise<ClosingPlace>) | null
}

export class Difference extends Error {
  override name = 'Difference'
}

export class Pair {
  readonly plain: Side
  readonly tried: Side
  readonly options: PairOptions
  readonly #sides: readonly Side[]
  made = 0

  constructor(plain: ClosingPlace, tried: ClosingPlace, options: PairOptions) {
    this.plain = new Side('plain', plain)
    this.tried = new Side('tried', tried)
    this.options = options
    this.#sides = [this.plain, this.tried]
  }

  /** True where the act means something now: what it needs is there, and held open. */
  can({ act, caller }: Made): boolean {
    const { plain, options } = this
    if (!act.needs.every((need) => options.traits.has(need))) return false
    if (caller !== null && !options.traits.has('callers')) return false
    return (
      act.files.every((slot) => plain.files[slot] !== null) &&
      act.maps.every((slot) => plain.maps[slot] !== null) &&
      act.folders.every((slot) => plain.folders[slot] !== null)
    )
  }

  /** Throws a Difference. */
  perform(made: Made): void {
    const { act } = made
    const watched = this.options.times && !act.looseTimes
    if (watched) tick()
    const before = watched ? this.#sides.map((side) => momentsOf(side, made)) : []
    const [plain, tried] = this.#sides.map((side) => perform(side, made))
    this.made++
    if (plain !== tried) throw new Difference(`answered ${tried}, the plain directory ${plain}`)
    if (watched) this.#compareTimes(made, before)
    if (this.made % this.options.wholeEvery === 0) this.compareWhole()
  }

  #compareTimes(made: Made, before: readonly Moments[]): void {
    const [plain, tried] = this.#sides.map((side, i) =>
      movedSince(before[i]!, momentsOf(side, made)),
    )
    const late = [...plain!].filter((what) => !tried!.has(what))
    // A first change makes a name beside the old one: the disk moves the directory's ctime, which
    // cannot be set back, and the kernel asks for it when it likes.
    const early = [...tried!].filter((what) => !plain!.has(what) && !/^ctime of a dir/.test(what))
    if (late.length > 0) throw new Difference(`did not move ${late.join(', ')}`)
    if (early.length > 0) throw new Difference(`moved ${early.join(', ')}`)
  }

  /** Throws a Difference where the two show anything else, by name or by what is held open. */
  compareWhole(): void {
    const lines = compareSeen(this.#see(this.plain), this.#see(this.tried))
    for (const slot of this.plain.files.keys()) {
      const [plain, tried] = this.#sides.map((side) => answerOf(() => sayHeld(side, slot)))
      if (plain !== tried) lines.push(`#${slot}: plain ${plain}`, `    tried ${tried}`)
    }
    if (lines.length > 0) throw new Difference(`shows otherwise\n${lines.join('\n')}`)
  }

  /** Closes what is held, and compares before and after a remount. */
  async remount(): Promise<void> {
    const { remount } = this.options
    this.closeHeld()
    this.compareWhole()
    if (remount === null) return
    const was = this.#see(this.tried)
    // Nothing of ours may keep the old mount busy.
    this.tried.place.close()
    this.tried.place = await remount()
    const lines = compareKept(was, this.#see(this.tried), this.#links)
    if (lines.length > 0)
      throw new Difference(`shows otherwise after a remount\n${lines.join('\n')}`)
  }

  get #links(): { links: boolean } {
    return { links: this.options.traits.has('links') }
  }

  #see(side: Side) {
    return seeWhole(side.place, this.#links)
  }

  closeHeld(): void {
    for (const side of this.#sides) side.closeHeld()
  }

  close(): void {
    this.closeHeld()
    for (const side of this.#sides) side.place.close()
  }
}

function perform(side: Side, { act, caller, umask }: Made): string {
  const { place } = side
  const work = () => place.umask(umask, () => answerOf(() => act.perform(side)))
  if (caller === null) return work()
  return place.as(caller.uid, caller.gid, work, caller.groups)
}

/** mtime and ctime, by what has them. */
type Moments = Map<string, readonly [bigint, bigint]>

/** Times of everything that an act names, of its parents, and of the files it is made on. */
function momentsOf(side: Side, { act }: Made): Moments {
  const moments: Moments = new Map()
  const add = (what: string, facts: () => Facts) => {
    try {
      const { kind, mtime, ctime } = facts()
      if (kind === 'fifo') return
      moments.set(`${kind === 'directory' ? 'a directory' : 'a file'}: ${what}`, [mtime, ctime])
    } catch (err) {
      if (!(err instanceof Errno)) throw err
    }
  }
  for (const at of act.names) {
    if (at.folder !== null && side.folders[at.folder] === null) continue
    for (const path of [at.path, parentOf(at)]) add(path, () => side.at(at.folder).lstat(path))
  }
  for (const slot of act.files)
    if (side.files[slot] !== null) add(`#${slot}`, () => side.file(slot).stat())
  return moments
}

const parentOf = ({ path }: At): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

function movedSince(before: Moments, after: Moments): Set<string> {
  const moved = new Set<string>()
  for (const [what, [mtime, ctime]] of before) {
    const is = after.get(what)
    if (is === undefined) continue
    if (is[0] !== mtime) moved.add(`mtime of ${what}`)
    if (is[1] !== ctime) moved.add(`ctime of ${what}`)
  }
  return moved
}

function sayHeld(side: Side, slot: number): string {
  const held = side.files[slot]
  if (held === null || held === undefined) return 'closed'
  const facts = held.file.stat()
  const readable = facts.kind === 'file' && (held.flags & 0o50040001) === 0
  const bytes = readable ? digestOf(held.file, facts.size) : ''
  return `${sayFacts(facts)} ${bytes}`
}
