// Records the five minutes with Firefox of the README: a real terminal, in which the commands are typed.
//
//   npm run build && node dist/test/demo/record.js      writes docs/pictures/firefox.svg
//
//   tmux (its own server) ─▶ keys ─▶ what stands on the screen ─▶ terminal-picture.ts
//
// Needs tmux, the network for Debian's packages of Firefox, and some minutes. Waiting is cut out of the picture.
// Rule: nothing on the screen is made up; the terminal, the store and the mounts are gone afterwards.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Screen, terminalPicture } from './terminal-picture.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const place = mkdtempSync(join(tmpdir(), 'svsfs-record-'))
const [COLUMNS, ROWS] = [92, 24]
const PROMPT = '$ '
const PATIENCE_MS = 10 * 60_000
const screens: Screen[] = []

const tmux = (...words: string[]): string => {
  const ran = spawnSync('tmux', ['-S', join(place, 'tmux'), '-f', '/dev/null', ...words], {
    encoding: 'utf8',
  })
  if (ran.error !== undefined || ran.status !== 0)
    throw new Error(`tmux: ${ran.error ?? ran.stderr}`)
  return ran.stdout
}

const screen = (): string => tmux('capture-pane', '-p', '-t', 'record')

function keep(seconds: number): void {
  const lines = tmux('capture-pane', '-e', '-p', '-t', 'record').trimEnd().split('\n')
  screens.push({ lines, seconds })
}

async function until(wanted: RegExp): Promise<void> {
  const before = Date.now() + PATIENCE_MS
  while (!wanted.test(screen().trimEnd())) {
    if (Date.now() > before) throw new Error(`${wanted} was not shown, but:\n${screen()}`)
    await sleep(100)
  }
}

/** At the end of what stands there, the prompt alone. */
const READY = /(^|\n)\$$/

/** Types a command, lets it end, and keeps both. */
async function type(command: string, seconds = 3): Promise<void> {
  tmux('send-keys', '-t', 'record', '-l', command)
  await sleep(300)
  keep(1.2)
  tmux('send-keys', '-t', 'record', 'Enter')
  await sleep(500)
  await until(READY)
  keep(seconds)
}

async function press(key: string, shown: RegExp, seconds: number): Promise<void> {
  tmux('send-keys', '-t', 'record', key)
  await until(shown)
  await sleep(300)
  keep(seconds)
}

const VISIT = 'firefox-esr --headless --profile ~/profile --screenshot file:///etc/hostname'
const WRECK = 'cd ~/profile; rm -f places.sqlite*; echo nonsense > prefs.js'

async function play(): Promise<void> {
  await type('svsfs layer create firefox --recipe firefox')
  await type(`svsfs run firefox -- sh -c '${VISIT}'`, 2)
  await type('svsfs snapshot firefox -m "works"')
  await type(`svsfs run firefox -- sh -c '${WRECK}'`, 2)
  await type('svsfs diff firefox', 4)
  tmux('send-keys', '-t', 'record', 'clear', 'Enter')
  await sleep(500)
  tmux('send-keys', '-t', 'record', '-l', 'svsfs restore firefox --pick')
  keep(1.2)
  await press('Enter', /works/, 3)
  await press('Tab', /prefs\.js/, 4)
  await press('Enter', /\?[^?]*(Yes|No)/s, 3)
  await press('y', READY, 3)
  await type('svsfs timeline firefox', 5)
}

async function main(): Promise<void> {
  const bin = join(place, 'bin')
  mkdirSync(bin)
  const program = join(project, 'dist/bin/svsfs.js')
  writeFileSync(join(bin, 'svsfs'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, {
    mode: 0o755,
  })
  const env = { PATH: `${bin}:${process.env.PATH}`, SVSFS_STORE: join(place, 'store') }
  try {
    tmux('new-session', '-d', '-s', 'record', '-x', `${COLUMNS}`, '-y', `${ROWS}`, 'sh')
    await until(/\S/)
    // A shell of root's says otherwise what it waits with.
    tmux(
      'send-keys',
      '-t',
      'record',
      `export PATH='${env.PATH}' SVSFS_STORE='${env.SVSFS_STORE}' PS1='${PROMPT}'; clear`,
      'Enter',
    )
    await until(READY)
    await play()
    const picture = join(project, 'docs/pictures/firefox.svg')
    mkdirSync(dirname(picture), { recursive: true })
    writeFileSync(picture, terminalPicture(screens, COLUMNS, ROWS))
    console.log(`${picture}: ${screens.length} screens`)
  } finally {
    spawnSync('tmux', ['-S', join(place, 'tmux'), 'kill-server'])
    spawnSync(join(bin, 'svsfs'), ['umount', '--all', '-q'], { env: { ...process.env, ...env } })
    rmSync(place, { recursive: true, force: true })
  }
}

await main()
