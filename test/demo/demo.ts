// The demo: Firefox in a layer, on this machine as it is, in a place that is thrown away.
//
//   node dist/test/demo/demo.js [--tools] [--screenshot FILE]
//     --tools       git and SQLite instead of Firefox
//     --screenshot  keeps the last picture of the page
//
// Rule: whatever happens, also at Ctrl-C, everything it made is taken away again: programs,
// mounts, the daemon, the directory.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { endAll, MARK, removeTree } from '../runner/leftovers.ts'
import { findPlace } from '../runner/place.ts'
import { exists, type Stage, tell } from '../story/story.ts'
import { CommandFailed, Svsfs } from '../story/svsfs.ts'
import { tools } from '../story/tools.ts'
import { firefox } from './firefox.ts'
import { type Page, servePage } from './page.ts'

/** What the packages, unpacked, and a profile may need. */
const ROOM_BYTES = 2e9

/** The exit status where nobody hears a reason: that of a program ended by SIGPIPE. */
const SILENT = 141

type Stores = Pick<Stage, 'svsfs' | 'elsewhere'>

interface Wishes {
  readonly tools: boolean
  readonly screenshot: string | undefined
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { tools: { type: 'boolean', default: false }, screenshot: { type: 'string' } },
  })
  const place = chooseDirectory()
  process.env[MARK] = place
  const stores = {
    svsfs: new Svsfs(join(place, 'store')),
    elsewhere: new Svsfs(join(place, 'elsewhere')),
  }
  const page = await servePage()
  let cleaned: Promise<void> | null = null
  const clean = () => (cleaned ??= cleanUp(place, stores, page))
  const giveUp = (why: string, status: number) => {
    if (status !== SILENT) console.log(`\n${why}: cleans up`)
    void clean().finally(() => process.exit(status))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => giveUp(signal, 130))
  }
  process.once('uncaughtException', (err) => giveUp(String(err), 1))
  // Nobody reads any more, as after `| head`.
  process.stdout.on('error', () => giveUp('', SILENT))
  try {
    await play(place, stores, page, { tools: values.tools, screenshot: values.screenshot })
  } catch (err) {
    if (cleaned !== null) return // what an interrupted step says is of no interest
    throw err
  } finally {
    await clean()
  }
}

async function play(place: string, stores: Stores, page: Page, wishes: Wishes): Promise<void> {
  const clock = new Clock()
  const stage = makeStage(place, stores, clock)
  if (wishes.tools || !(await tellOfFirefox(place, stage, page, wishes))) {
    await tell(stage, (store) => toolsHere(place, store))
  }
  console.log(`\nEverything held. ${clock.total()}`)
}

/** False where Firefox cannot be had; then nothing was done yet. */
async function tellOfFirefox(
  place: string,
  stage: Stage,
  page: Page,
  wishes: Wishes,
): Promise<boolean> {
  const screenshot = join(place, 'screenshot.png')
  try {
    await tell(stage, (store) => firefox(store, page, screenshot))
  } catch (err) {
    if (!(err instanceof CommandFailed && err.isAbout('SVS_PACKAGE'))) throw err
    console.log(`\nFirefox cannot be had here: ${err.message}`)
    console.log('The same story follows with git and SQLite.')
    return false
  }
  if (wishes.screenshot !== undefined) copyFileSync(screenshot, wishes.screenshot)
  return true
}

/** git and SQLite: this machine's own, or else from the same packages, as layers. */
function toolsHere(place: string, svsfs: Svsfs) {
  const missing = ['git', 'sqlite3'].filter((name) => !exists(`/usr/bin/${name}`))
  return tools(svsfs, join(place, 'tools'), missing)
}

function makeStage(place: string, stores: Stores, clock: Clock): Stage {
  const mountPoint = join(place, 'view')
  const post = join(place, 'post')
  for (const dir of [mountPoint, post]) mkdirSync(dir)
  let number = 0
  return {
    ...stores,
    post,
    mountPoint,
    base: makeBase(place),
    step(title, facts, proves) {
      console.log(`\n${String(++number).padStart(2)}  ${title}  (${clock.lap()})`)
      for (const fact of facts) console.log(`      ${fact.trim()}`)
      console.log(`    proves: ${proves}`)
    },
  }
}

/** Root's view is over this machine itself; an ordinary user's base cannot contain the mount point. */
function makeBase(place: string): string {
  if (process.getuid?.() === 0) return '/'
  const base = join(place, 'base')
  mkdirSync(join(base, 'etc'), { recursive: true })
  writeFileSync(join(base, 'etc', 'motd'), 'a file of the base\n')
  return base
}

function chooseDirectory(): string {
  const { dir, freeBytes } = findPlace('svsfs-demo-', ROOM_BYTES)
  const type = spawnSync('stat', ['-f', '-c', '%T', dir], { encoding: 'utf8' }).stdout.trim()
  console.log(`Everything happens in ${dir} (${type}, ${gigabytes(freeBytes)} free).`)
  console.log('Its disk was probed: it holds marks of deletion, attributes, nanoseconds and locks.')
  return dir
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

async function cleanUp(place: string, { svsfs, elsewhere }: Stores, page: Page): Promise<void> {
  page.close()
  for (const each of [svsfs, elsewhere]) each.stop()
  try {
    if (exists(svsfs.store)) await svsfs.ask('umount', '--all')
  } catch (err) {
    if (!(err instanceof CommandFailed)) throw err
  }
  const left = await endAll(place, place)
  for (const what of left) console.log(`had to end: ${what}`)
  removeTree(place)
  console.log(exists(place) ? `could not remove ${place}` : `Cleaned up: ${place} is gone.`)
}

/** The time of each step; the first one fetches packages, and is told apart. */
class Clock {
  #last = Date.now()
  #first = 0
  #rest = 0

  lap(): string {
    const took = (Date.now() - this.#last) / 1000
    this.#last = Date.now()
    if (this.#first === 0) this.#first = took
    else this.#rest += took
    return `${took.toFixed(1)} s`
  }

  total(): string {
    const fetched = this.#first.toFixed(0)
    return `${this.#rest.toFixed(0)} s, after ${fetched} s for fetching and unpacking packages.`
  }
}

await main().catch((err: unknown) => {
  console.error(`\nThe demo failed: ${err instanceof Error ? (err.stack ?? err.message) : err}`)
  process.exitCode = 1
})
