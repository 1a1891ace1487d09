// Runs every behaviour on a subject: one start directory each, and in the end what concerns
// the subject as a whole: the view is the same after a remount, the lower trees as they were.
//
//   subject.make([b000, b001, …]) ─▶ Ground ─▶ place(b000) ─▶ behaviour 0
//                                          ─▶ place(b001) ─▶ behaviour 1 …
//
// Rule: behaviours share a mount but never a start directory, so that one that fails spoils
// no other. `BEHAVIOUR=words` in the environment runs only those whose title holds the words.

import assert from 'node:assert/strict'
import type { Test } from 'tap'
import { BEHAVIOURS, type Behaviour } from './behaviours.ts'
import type { Tree } from './draw.ts'
import { NotHere, type Place } from './place.ts'
import { START } from './start.ts'
import { type Aspect, compareTrees, compareWithDrawn, type Seen, seeTree } from './walk.ts'

export interface ClosingPlace extends Place {
  /** Closes what was left open. */
  close(): void
}

export interface Subject {
  readonly name: string
  /** Behaviours that are known to differ here, each with the reason. */
  readonly differs: Readonly<Record<string, string>>
  /** What it begins from, where it cannot show all of START. */
  readonly tree?: Tree
  /** Of how many start directories one is compared over the remount; default 1, all. */
  readonly compareEvery?: number
  /** The first of them; default 0. */
  readonly compareFrom?: number
  /** What a remount may change here. */
  readonly changeable?: readonly Aspect[]
  /** Makes a directory that shows START for each of these names. */
  make(starts: readonly string[]): Promise<Ground>
}

/** A subject, made and ready. */
export interface Ground {
  place(start: string): ClosingPlace
  /** Called when the last behaviour has run: the tree is now walked as a whole. */
  finished?(): void
  /** Takes the view down and brings it up again; null for what is no view. */
  readonly remount: (() => Promise<void>) | null
  /** The trees that the view must never change. */
  readonly lowers: readonly ClosingPlace[]
  close(): Promise<void>
}

/** Milliseconds above which a behaviour is named as a comment. */
const SLOW = 500

const FIRST = 'the starting tree shows as it is drawn'

export async function behavesLikePosix(t: Test, subject: Subject): Promise<void> {
  checkDiffers(subject)
  t.setTimeout(480_000)
  const showsAsDrawn: Behaviour = (place) => {
    assert.deepEqual(compareWithDrawn(place, subject.tree ?? START), [])
  }
  const all: [string, Behaviour][] = [[FIRST, showsAsDrawn], ...Object.entries(BEHAVIOURS)]
  const chosen = all.filter(([title]) => title.includes(process.env.BEHAVIOUR ?? ''))
  const starts = chosen.map((_, i) => `b${String(i).padStart(3, '0')}`)
  const titles = new Map(chosen.map(([title], i) => [starts[i]!, title]))

  const ground = await subject.make(starts)
  try {
    const before = ground.lowers.map((lower) => seeTree(lower))
    for (const [i, [title, behaviour]] of chosen.entries())
      await run(t, subject, ground, { start: starts[i]!, title, behaviour })
    ground.finished?.()
    await t.test('no lower tree has changed', async (t) => {
      ground.lowers.forEach((lower, i) => {
        t.same(titled(compareTrees(before[i]!, seeTree(lower)), titles), [])
      })
    })
    const { remount } = ground
    if (remount !== null)
      await t.test('the view is the same after a remount', async (t) => {
        const { compareEvery = 1, compareFrom = 0 } = subject
        const some = starts.filter((_, i) => i % compareEvery === compareFrom)
        const was = seeAll(ground, some)
        await remount()
        const differences = compareTrees(was, seeAll(ground, some), subject.changeable)
        t.same(titled(differences, titles), [])
      })
  } finally {
    await ground.close()
  }
}

interface Run {
  readonly start: string
  readonly title: string
  readonly behaviour: Behaviour
}

async function run(t: Test, subject: Subject, ground: Ground, it: Run): Promise<void> {
  const reason = subject.differs[it.title]
  if (reason !== undefined) {
    await t.test(it.title, { skip: reason }, async () => {})
    return
  }
  let place: ClosingPlace | null = null
  try {
    place = ground.place(it.start)
    const began = performance.now()
    await it.behaviour(place)
    const took = performance.now() - began
    if (took > SLOW) t.comment(`${it.title}: ${Math.round(took)} ms`)
    t.pass(it.title)
  } catch (err) {
    if (err instanceof NotHere) t.pass(it.title, { skip: err.message })
    else t.fail(it.title, { found: err instanceof Error ? err.stack : String(err) })
  } finally {
    place?.close()
  }
}

function seeAll(ground: Ground, starts: readonly string[]): Map<string, Seen> {
  const all = new Map<string, Seen>()
  for (const start of starts) {
    const place = ground.place(start)
    try {
      for (const [path, seen] of seeTree(place)) all.set(`${start}/${path}`, seen)
    } catch (cause) {
      throw new Error(`${start}: ${cause instanceof Error ? cause.message : cause}`, { cause })
    } finally {
      place.close()
    }
  }
  return all
}

/** Says by title which behaviour a difference comes from. */
const titled = (lines: string[], titles: ReadonlyMap<string, string>): string[] =>
  lines.map((line) => line.replace(/^(b\d+)\//, (_, start: string) => `${titles.get(start)}: `))

/** A renamed behaviour must not leave a stale exception behind. */
function checkDiffers(subject: Subject): void {
  for (const title of Object.keys(subject.differs))
    if (!(title in BEHAVIOURS)) throw new TypeError(`${subject.name}: no behaviour "${title}"`)
}
