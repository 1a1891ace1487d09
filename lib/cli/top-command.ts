// svsfs top: who uses the mounts now.
//
//   look, wait, look again ─▶ the difference ─▶ printed once, or drawn again and again
//
// Rule: a terminal is left as it was found, however this ends. The daemon counts only while it is asked.

import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import { createColors } from './colors.ts'
import { type CommandRow, type Context, option } from './command.ts'
import type { Output } from './output.ts'
import { topLines, type Uses, usesBetween } from './top-lines.ts'

interface TopWish {
  readonly once: boolean
  readonly seconds: number
  readonly color: boolean | null
}

export const top: CommandRow<TopWish, Uses> = {
  about: `Each line is a process: how many requests of it reached svsfs a second, how much it read and wrote by them, and what it asked for, by the kernel's names. What the kernel answers from its cache costs nothing and does not show; nor does what passes svsfs by on mounts with --data-path passthrough. Written pages are brought to svsfs by the kernel later, and files closed: that shows as "page cache, kernel".

On a terminal it goes on until q or Ctrl-C. Otherwise, with --once and with --json, it looks for as long as --interval says and prints that once. Nothing is counted while nobody looks.`,
  options: [
    option('--once', 'look once, print it, and end'),
    option('-i, --interval <seconds>', 'for how long to look each time (default 2)'),
  ],
  examples: ['svsfs top', 'svsfs top --once --interval 10', 'svsfs top --json'],
  parse: (words) => ({
    once: words.flag('once'),
    seconds: words.number('interval', { least: 0.1 }) ?? 2,
    color: words.choice('color'),
  }),
  run: async (context, { once, seconds, color }) => {
    if (seconds > LONGEST)
      throw new Failure('SVS_USAGE', `--interval must be ${LONGEST} seconds or less`)
    return isLive(context.out, once)
      ? watch(context, seconds, color)
      : look(context, seconds, sleep)
  },
  print: (uses, out, { once, color }) => {
    // Then the terminal has had it all.
    if (isLive(out, once)) return
    const columns = process.stdout.columns ?? 1000
    for (const line of topLines(uses, { columns, rows: 10_000, paint: createColors(color) }))
      out.line(line)
  },
}

const LONGEST = 300

const isLive = (out: Output, once: boolean): boolean =>
  process.stdout.isTTY === true && !once && !out.json

type Pause = (milliseconds: number) => Promise<unknown>

async function look({ session }: Context, seconds: number, pause: Pause): Promise<Uses> {
  const keep = Math.ceil(seconds * 1000) + 5000
  const first = await session.call('top', { keep })
  await pause(seconds * 1000)
  return usesBetween(first, await session.call('top', { keep }))
}

const SCREEN = { enter: '\x1b[?1049h\x1b[?25l', leave: '\x1b[?25h\x1b[?1049l', home: '\x1b[H' }

/** Draws until somebody ends it; answers what was seen last. */
async function watch(context: Context, seconds: number, color: boolean | null): Promise<Uses> {
  const { stdin, stdout } = process
  const ended = new AbortController()
  const end = () => ended.abort()
  const pause: Pause = (milliseconds) =>
    sleep(milliseconds, null, { signal: ended.signal }).catch(() => {})
  let seen: Uses = { seconds, uses: [], uncounted: [] }
  let begun = false
  const draw = () => {
    const { columns = 80, rows = 24 } = stdout
    const paint = createColors(color)
    const lines = begun ? topLines(seen, { columns: columns - 1, rows: rows - 2, paint }) : ['…']
    const text = [...lines, '', 'q ends it'].map((line) => `${line}\x1b[K`).join('\r\n')
    stdout.write(`${SCREEN.home}${text}\x1b[J`)
  }
  const onKeys = (keys: Buffer) => {
    if (/[qQ\x03\x04]/.test(keys.toString('latin1'))) end()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, end)
  if (stdin.isTTY) stdin.setRawMode(true)
  stdin.on('data', onKeys).on('end', end)
  stdout.on('resize', draw)
  stdout.write(SCREEN.enter)
  try {
    draw()
    while (!ended.signal.aborted) {
      const found = await look(context, seconds, pause)
      if (ended.signal.aborted) break
      seen = found
      begun = true
      draw()
    }
  } finally {
    stdout.off('resize', draw).write(SCREEN.leave)
    stdin.off('data', onKeys).off('end', end).pause()
    if (stdin.isTTY) stdin.setRawMode(false)
    for (const signal of signals) process.off(signal, end)
  }
  return seen
}
