// One worker: a process of its own that acts at random in its tree, until it is told to stop.
//
//   node worker.js MOUNT NUMBER SEED
//   parent ─ {go} ─▶ acts…  ─ {stop} ─▶ looks at everything, closes all ─ {stopped, acts} ─▶ parent
//          ─ {check} ─▶ looks at everything ─ {checked} ─▶ parent         also after a remount
//
// Rule: the first thing that is not as believed ends it, told as {failed} with its last acts.

import { RealPlace } from '../behaviour/real-place.ts'
import { ACTS_ON_BYTES, lookAtHeld } from './acts-bytes.ts'
import { ACTS_ON_NAMES, ACTS_THAT_MAKE, ACTS_THAT_REMOVE } from './acts-names.ts'
import { checkMine, type Meeting, meetOthers } from './acts-shared.ts'
import { differences } from './believed.ts'
import { checkCut, cutStep } from './cut.ts'
import { Hand, MANY } from './hand.ts'
import { believedAtFirst, workerTree } from './start.ts'

export type ToWorker = 'go' | 'stop' | 'check'
export type FromWorker =
  | { readonly kind: 'stopped' | 'checked'; readonly acts: number }
  | { readonly kind: 'failed'; readonly why: string; readonly acts: readonly string[] }

/** Acts between two looks at messages, and at everything. */
const TURN = 20
const LOOK_EVERY = 15

const [mount, number, seed] = process.argv.slice(2)
const worker = Number(number)
const believed = believedAtFirst()
const mine = new Map<string, string>()
let steps = 0
let runs = 0
let running = false

interface Places {
  readonly own: RealPlace
  readonly shared: RealPlace
  readonly cut: RealPlace
}

function open(): Places {
  const at = (path: string) => new RealPlace(`${mount}/${path}`)
  return { own: at(workerTree(worker)), shared: at('shared'), cut: at(`cuts/w${worker}`) }
}

function close(places: Places): void {
  for (const place of Object.values(places) as RealPlace[]) place.close()
}

const tell = (message: FromWorker): void => void process.send!(message)

function act(hand: Hand, meeting: Meeting, places: Places): void {
  const luck = hand.random(20)
  if (luck < 3) meetOthers(meeting)
  else if (luck < 5) cutStep(places.cut, ++steps)
  else if (luck < 12) hand.pick(ACTS_ON_BYTES)!(hand)
  else if (hand.all().length > MANY) hand.pick(ACTS_THAT_REMOVE)!(hand)
  else if (hand.all().length < MANY / 8) hand.pick(ACTS_THAT_MAKE)!(hand)
  else hand.pick(ACTS_ON_NAMES)!(hand)
}

function checkAll(hand: Hand, meeting: Meeting, places: Places): void {
  hand.says('look at everything')
  for (const held of hand.held) lookAtHeld(held)
  const found = differences(hand.place, believed)
  if (found.length > 0) throw new Error(found.join('\n'))
  checkMine(meeting)
  const { done, begun } = checkCut(places.cut)
  if (done !== steps || begun !== steps) throw new Error(`the cut is at ${done}, not ${steps}`)
}

function guarded(hand: Hand, work: () => void): boolean {
  try {
    work()
    return true
  } catch (err) {
    running = false
    tell({ kind: 'failed', why: err instanceof Error ? `${err.stack}` : `${err}`, acts: hand.done })
    return false
  }
}

function run(): void {
  const places = open()
  const hand = new Hand(places.own, Number(seed) + 50 * runs, believed, runs)
  runs += 1
  const meeting: Meeting = { hand, worker, place: places.shared, mine }
  let turns = 0
  running = true
  const turn = (): void => {
    const went = guarded(hand, () => {
      for (let i = 0; i < TURN && running; i++) act(hand, meeting, places)
      turns += 1
      if (turns % LOOK_EVERY === 0 || !running) checkAll(hand, meeting, places)
    })
    if (went && running) {
      setImmediate(turn)
      return
    }
    close(places)
    if (went) tell({ kind: 'stopped', acts: hand.acts })
  }
  setImmediate(turn)
}

function check(): void {
  const places = open()
  const hand = new Hand(places.own, Number(seed), believed, runs)
  const meeting: Meeting = { hand, worker, place: places.shared, mine }
  const went = guarded(hand, () => checkAll(hand, meeting, places))
  close(places)
  if (went) tell({ kind: 'checked', acts: 0 })
}

process.umask(0o022)
process.on('message', (message: ToWorker) => {
  if (message === 'go') run()
  else if (message === 'stop') running = false
  else check()
})
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))
