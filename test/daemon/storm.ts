// A daemon that is killed again and again, while programs change what it serves: after each kill
// the store opens, and shows what was answered, with the one act under way done or undone.
//
//   app, tool   random acts, each made in a plain directory too, once it was answered
//   extra       activated and deactivated; restored from one state to the other
//
// Rule: the acts, and how long after their beginning the kill comes, follow from the seed; when it
// meets which of the daemon's calls is up to the machine.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfCall, type Place } from '../behaviour/place.ts'
import { randomOf } from '../behaviour/random.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { compareTrees, type Seen, seeTree } from '../behaviour/walk.ts'
import type { StorePlace } from './store-of.ts'
import { drawAct, namesIn, type StormAct } from './storm-acts.ts'

type Tree = ReadonlyMap<string, Seen>
type Random = (below: number) => number

const EXTRA_FILES = 20
/** What a call on a mount whose daemon is gone ends with. */
const GONE = new Set(['ENOTCONN', 'ECONNABORTED', 'errno 103', 'ENODEV', 'EIO', 'EINTR'])
/** Longest time from the first act to the kill, in milliseconds. */
const MOST_MS = 400
const UMASK = 0o022
const NOT_COMPARED = ['ino', 'mtime'] as const

export class Storm {
  readonly #place: StorePlace
  readonly #plain: string
  readonly #random: Random
  readonly #states: string[] = []
  /** Acts of this round, and what was answered. */
  readonly #acts: string[] = []
  /** Snapshots of `app` that were answered. */
  readonly #kept = new Set<string>()

  constructor(place: StorePlace, seed: number) {
    this.#place = place
    this.#plain = join(place.dir, 'plain')
    this.#random = randomOf(seed)
  }

  async begin(): Promise<void> {
    const place = this.#place
    // The oldest lies below the others: what has no other place goes to the top.
    const files = Array.from({ length: EXTRA_FILES }, (_, i) => [`extra/f${i}`, 'none'] as const)
    await place.layer('extra', Object.fromEntries(files))
    const big = 'large '.repeat(400_000)
    await place.layer('tool', { 'all/tool': 't', 'all/deep/tool': 't', 'tool/file': 't', tl: 't' })
    await place.layer('app', { 'all/app': 'a', 'all/deep/app': 'a', 'app/big': big, 'dir/a': 'a' })
    await place.mount()
    for (const layer of ['tool', 'app', 'extra']) await place.ask('activate', layer)
    for (const text of ['one', 'two']) {
      for (const [path] of files) writeFileSync(join(place.at, path), text)
      const { id } = (await place.ask('snapshot', 'extra')) as { id: string }
      this.#states.push(id)
    }
    mkdirSync(this.#plain)
    this.#copyAgain()
  }

  /** Acts until the daemon is killed. Answers what is not as it should be afterwards. */
  async round(): Promise<string[]> {
    const pid = await this.#place.daemon()
    const meanwhile = this.#meanwhile()
    const killer = spawn('sh', [
      '-c',
      `sleep ${(this.#random(MOST_MS) / 1000).toFixed(3)}; kill -9 ${pid}`,
    ])
    const killed = new Promise((resolve) => killer.on('close', resolve))
    const plain = new RealPlace(this.#plain)
    this.#acts.length = 0
    try {
      const { wrong, underWay } = this.#act(plain)
      await killed
      await meanwhile
      await this.#place.ended(pid)
      await this.#place.mount()
      if (wrong.length > 0) return wrong
      const found = [...this.#compare(plain, underWay), ...this.#extra(), ...(await this.#left())]
      return found.length === 0 ? [] : [...found, 'after:', ...this.#acts.slice(-20)]
    } finally {
      plain.close()
    }
  }

  // What a person does at the same time; it fails when the daemon is gone.
  async #meanwhile(): Promise<void> {
    const place = this.#place
    const acts = [
      () => place.ask('deactivate', 'extra'),
      () => place.ask('activate', 'extra'),
      () => place.ask('restore', 'extra', this.#states[this.#random(2)]!, '--force'),
      async () => {
        const { id } = (await place.ask('snapshot', 'app')) as { id: string }
        this.#kept.add(id)
      },
    ]
    await acts[this.#random(acts.length)]!().catch(() => null)
  }

  #act(plain: Place): { wrong: string[]; underWay: StormAct } {
    const mounted = new RealPlace(this.#place.at)
    try {
      for (;;) {
        const act = drawAct(this.#random, namesIn(plain))
        const got = perform(mounted, act)
        this.#acts.push(`${act.words}: ${got ?? 'ok'}`)
        if (got !== null && GONE.has(got)) return { wrong: [], underWay: act }
        const expected = perform(plain, act)
        if (got === expected) continue
        const wrong = [`${act.words}: ${got ?? 'ok'}, not ${expected ?? 'ok'}`]
        return { wrong, underWay: act }
      }
    } finally {
      mounted.close()
    }
  }

  /** The view is the plain directory, without or with the act under way; then both are alike again. */
  #compare(plain: Place, underWay: StormAct): string[] {
    const mounted = new RealPlace(this.#place.at)
    try {
      const shown = without(seeTree(mounted))
      const before = seeTree(plain)
      const was = compareTrees(before, shown, NOT_COMPARED)
      if (was.length === 0) return []
      perform(plain, underWay)
      const is = compareTrees(seeTree(plain), shown, NOT_COMPARED)
      if (is.length === 0) return []
      if (!isInParts(underWay, was, before)) {
        return [
          `${underWay.words}, under way:`,
          ...was.slice(0, 5),
          'or, were it done:',
          ...is.slice(0, 5),
        ]
      }
      this.#copyAgain()
      return []
    } finally {
      mounted.close()
    }
  }

  // All at once, so that hard links stay links.
  #copyAgain(): void {
    for (const name of readdirSync(this.#plain))
      execFileSync('rm', ['-rf', join(this.#plain, name)])
    const names = readdirSync(this.#place.at).filter((name) => name !== 'extra')
    const from = names.map((name) => join(this.#place.at, name))
    if (from.length > 0) execFileSync('cp', ['-a', ...from, this.#plain])
  }

  /** Whole in one state, or not there at all. */
  #extra(): string[] {
    const dir = join(this.#place.at, 'extra')
    if (!readdirSync(this.#place.at).includes('extra')) return []
    const texts = readdirSync(dir).map((name) => readFileSync(join(dir, name), 'utf8'))
    const kinds = new Set(texts)
    const whole = texts.length === EXTRA_FILES && kinds.size === 1
    return whole ? [] : [`extra: ${texts.length} files, ${[...kinds].join(' and ')}`]
  }

  async #left(): Promise<string[]> {
    const layers = join(this.#place.store, 'layers')
    const lines = readdirSync(layers).flatMap((id) =>
      readdirSync(join(layers, id, 'work')).map((name) => `left in work/: ${name}`),
    )
    const states = (await this.#place.ask('snapshots', 'app')) as { id: string }[]
    const ids = new Set(states.map(({ id }) => id))
    for (const id of this.#kept) if (!ids.has(id)) lines.push(`state ${id} of app is lost`)
    return lines
  }
}

function without(tree: Tree): Tree {
  return new Map([...tree].filter(([path]) => path !== 'extra' && !path.startsWith('extra/')))
}

const perform = (place: Place, act: StormAct) =>
  errnoOfCall(() => place.umask(UMASK, () => act.perform(place)))

/** Acts of several calls: what they touch may be half done, and nothing else. */
function isInParts(act: StormAct, differences: readonly string[], before: Tree): boolean {
  if (act.single) return false
  const ino = before.get(act.path)?.ino
  return differences.every((line) => {
    const at = line.slice(0, line.indexOf(': '))
    const isLinked = ino !== undefined && before.get(at)?.ino === ino
    // Through a symbolic link a file is made where that leads.
    return at === act.path || isLinked || /(^|\/)to-\d+$/.test(at)
  })
}
