// A base is not ours: others change it behind the mount. Whoever opens or looks at a file sees
// one version of it whole, with its size, and the newest one once the base's time is over;
// whoever has it open goes on with the old one as far as that still exists.
//
// Rule: a version is a letter, and so are all bytes of it: a reader who sees two letters, a zero,
// or a length that is another version's, was shown what never was.

import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Served } from '../behaviour/served.ts'

/** How each change meets a file: known and closed, open and read, open and read in part. */
const STATES = ['closed', 'open', 'partly']
/** More than one readahead, so that a part of it is read later. */
const SIZE = 900_000

interface Version {
  readonly letter: string
  readonly size: number
}
const OLD: Version = { letter: 'o', size: SIZE }
const textOf = ({ letter, size }: Version): string => letter.repeat(size)

/** What is done to the file `at`, and what it is then: a version, or nothing that is a file. */
interface Change {
  readonly act: (at: string) => void
  readonly is: Version | 'gone' | 'directory'
  /** True where the old content is no more, also for who has it open. */
  readonly inPlace: boolean
}

const replaced = (version: Version): Change => ({
  act(at) {
    writeFileSync(`${at}.new`, textOf(version))
    renameSync(`${at}.new`, at)
  },
  is: version,
  inPlace: false,
})

function overwrite(at: string, { letter, size }: Version): void {
  const fd = openSync(at, 'r+')
  writeSync(fd, letter.repeat(size), 0)
  closeSync(fd)
}

const CHANGES: Record<string, Change> = {
  'replaced by a longer one': replaced({ letter: 'l', size: SIZE + 50_000 }),
  'replaced by a shorter one': replaced({ letter: 's', size: 70_000 }),
  'replaced by one as long': replaced({ letter: 'e', size: SIZE }),
  'rewritten in place': {
    act: (at) => overwrite(at, { letter: 'r', size: SIZE }),
    is: { letter: 'r', size: SIZE },
    inPlace: true,
  },
  grown: {
    act: (at) => appendFileSync(at, 'o'.repeat(100_000)),
    is: { letter: 'o', size: SIZE + 100_000 },
    inPlace: true,
  },
  'cut short': {
    act: (at) => truncateSync(at, 10_000),
    is: { letter: 'o', size: 10_000 },
    inPlace: true,
  },
  'emptied and written anew': {
    act: (at) => writeFileSync(at, 'w'.repeat(200_000)),
    is: { letter: 'w', size: 200_000 },
    inPlace: true,
  },
  removed: { act: (at) => unlinkSync(at), is: 'gone', inPlace: false },
  'made a directory': {
    act(at) {
      unlinkSync(at)
      mkdirSync(at)
    },
    is: 'directory',
    inPlace: false,
  },
  'made a link to another': {
    act(at) {
      writeFileSync(`${at}.target`, 'k'.repeat(5000))
      unlinkSync(at)
      symlinkSync(`${at}.target`.split('/').at(-1)!, at)
    },
    is: { letter: 'k', size: 5000 },
    inPlace: false,
  },
  'gone with its directory': {
    act(at) {
      const dir = at.slice(0, at.lastIndexOf('/'))
      renameSync(dir, `${dir}-away`)
    },
    is: 'gone',
    inPlace: false,
  },
  'replaced with its directory': {
    act(at) {
      const dir = at.slice(0, at.lastIndexOf('/'))
      renameSync(dir, `${dir}-away`)
      mkdirSync(dir)
      writeFileSync(at, 'd'.repeat(3000))
    },
    is: { letter: 'd', size: 3000 },
    inPlace: false,
  },
}

/** Node has no name for it. */
const ESTALE = 'Unknown system error -116'

/** One look at a file: its size, and all its bytes, by one descriptor. */
function look(path: string): { size: number; text: string } | 'gone' | 'directory' {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'gone'
    throw err
  }
  try {
    const found = fstatSync(fd)
    if (found.isDirectory()) return 'directory'
    return { size: found.size, text: readFileSync(fd, 'latin1') }
  } finally {
    closeSync(fd)
  }
}

function isVersion(seen: ReturnType<typeof look>, version: Change['is']): boolean {
  if (typeof seen === 'string' || typeof version === 'string') return seen === version
  return seen.size === version.size && seen.text === textOf(version)
}

const shown = (seen: ReturnType<typeof look>): string => {
  if (typeof seen === 'string') return seen
  return `size ${seen.size}, ${seen.text.length} bytes: ${runs(seen.text)}`
}

function runs(text: string): string {
  const found: string[] = []
  for (let at = 0; at < text.length && found.length < 6; ) {
    let end = at
    while (end < text.length && text[end] === text[at]) end += 1
    found.push(`${end - at} x ${JSON.stringify(text[at])}`)
    at = end
  }
  return found.join(', ')
}

class Ground {
  readonly root = mkdtempSync(join(tmpdir(), 'svsfs-base-'))
  served!: Served

  constructor() {
    for (const name of ['base', 'mnt']) mkdirSync(join(this.root, name))
  }

  async mount(...options: string[]): Promise<void> {
    const words = ['mount', this.view(''), '--foreground', '--base', this.base('')]
    const env = { SVSFS_STORE: join(this.root, 'store') }
    this.served = await Served.start([...words, ...options], this.view('').replace(/\/$/, ''), env)
  }

  base(name: string): string {
    return join(this.root, 'base', name)
  }

  view(name: string): string {
    return join(this.root, 'mnt', name).replace(/\/$/, '')
  }

  async close(): Promise<void> {
    await this.served.end()
    rmSync(this.root, { recursive: true })
  }
}

/** Reads all of a descriptor, a piece at a time, as far as it goes. Answers the errno that ends it. */
function readOpen(fd: number): { text: string; code: string | null } {
  const piece = Buffer.alloc(65536)
  let text = ''
  try {
    for (;;) {
      const count = readSync(fd, piece, 0, piece.length, text.length)
      if (count === 0) return { text, code: null }
      text += piece.latin1Slice(0, count)
    }
  } catch (err) {
    return { text, code: (err as NodeJS.ErrnoException).code ?? String(err) }
  }
}

/** A file that a change meets in one of the states. */
interface Met {
  readonly title: string
  readonly change: Change
  /** Below the base, and below the view. */
  readonly name: string
  /** A descriptor from before the change; null where the file is closed. */
  readonly held: number | null
}

function meetAll(ground: Ground): Met[] {
  const all: Met[] = []
  for (const [i, [title, change]] of Object.entries(CHANGES).entries()) {
    for (const state of STATES) {
      const name = `${state}${i}/file`
      const path = ground.view(name)
      // Warm: names, attributes and pages.
      if (state !== 'partly') look(path)
      const held = state === 'closed' ? null : openSync(path, 'r')
      if (held !== null) readSync(held, Buffer.alloc(4096), 0, 4096, 0)
      all.push({ title: `${title}, ${state}`, change, name, held })
    }
  }
  return all
}

/** Looks at every file again and again, until the base's time is over for the last one. */
async function watch(ground: Ground, all: readonly Met[], patience: number): Promise<string[]> {
  const wrong: string[] = []
  const until = performance.now() + patience + 200
  for (let last = false; !last; ) {
    await sleep(50)
    last = performance.now() > until
    const mayBeOld = !last && patience > 0
    for (const { title, change, name } of all) {
      const seen = look(ground.view(name))
      if (isVersion(seen, change.is) || (mayBeOld && isVersion(seen, OLD))) continue
      wrong.push(`${title}${last ? ' in the end' : ''}: ${shown(seen)}`)
    }
  }
  return wrong
}

/** What a descriptor from before the change reads. */
function checkHeld(t: Test, { title, change, held }: Met): void {
  if (held === null) return
  const { text, code } = readOpen(held)
  closeSync(held)
  if (!change.inPlace) t.ok(text === textOf(OLD), `${title}: who has it open reads the old one`)
  else {
    t.notMatch(runs(text), /\\u0000/, `${title}: who has it open is told of no byte that never was`)
    t.ok(code === null || code === ESTALE || code === 'EIO', `${title}: ${code}`)
  }
}

for (const [timeout, patience] of [
  ['1', 1000],
  ['0', 0],
] as const) {
  for (const writable of [false, true]) {
    const how = `${writable ? 'a writable base' : 'a base'} trusted for ${timeout} s`
    t.test(`${how}: what is changed behind the mount is seen whole`, async (t) => {
      t.setTimeout(120_000)
      const ground = new Ground()
      t.teardown(() => ground.close())
      for (const i of Object.keys(CHANGES).keys()) {
        for (const state of STATES) {
          mkdirSync(ground.base(`${state}${i}`))
          writeFileSync(ground.base(`${state}${i}/file`), textOf(OLD))
        }
      }
      const options = writable ? ['--base-writable'] : []
      await ground.mount('--base-timeout', timeout, ...options)
      const all = meetAll(ground)
      for (const { change, name } of all) change.act(ground.base(name))
      const wrong = await watch(ground, all, patience)
      t.same(wrong.slice(0, 6), [], `${wrong.length} looks`)
      for (const met of all) checkHeld(t, met)
      t.notMatch(ground.served.said, /error|unexpectedly/)
    })
  }
}

t.test('a writable base, changed by turns through the mount and behind it', async (t) => {
  t.setTimeout(60_000)
  const ground = new Ground()
  t.teardown(() => ground.close())
  writeFileSync(ground.base('log'), 'begin\n')
  await ground.mount('--base-timeout', '0', '--base-writable')
  let expected = 'begin\n'
  for (let turn = 0; turn < 30; turn++) {
    const line = `turn ${turn}\n`
    expected += line
    const at = turn % 2 === 0 ? ground.view('log') : ground.base('log')
    appendFileSync(at, line)
    // The kernel tells of a close in its own time.
    if (turn % 2 === 0) await settled(() => readFileSync(ground.base('log'), 'utf8') === expected)
    t.equal(readFileSync(ground.base('log'), 'utf8'), expected)
    t.equal(statSync(ground.view('log')).size, expected.length)
    t.equal(readFileSync(ground.view('log'), 'utf8'), expected)
  }
})

async function settled(is: () => boolean): Promise<void> {
  for (let waited = 0; waited < 3000 && !is(); waited += 5) await sleep(5)
  await sleep(20)
}
