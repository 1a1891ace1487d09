// A command on a terminal of its own, driven by keys: what stands there is waited for, then typed at.
//
//   Terminal(80 columns) ─▶ until(/Which state/) ─▶ type('\t') ─▶ until(…) ─▶ ended()
//
// Rule: nothing is typed before what it answers has been seen; a terminal ends with its test.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'

const PATIENCE_MS = 30_000

export const KEYS = {
  enter: '\r',
  tab: '\t',
  down: '\x1b[B',
  up: '\x1b[A',
  interrupt: '\x03',
} as const

export class Terminal {
  /** Everything that was written to it. */
  raw = ''
  #seen = 0
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>

  /** `script` and its words: a program of Node's. What the terminal is like afterwards is its last line. */
  constructor(script: readonly string[], { columns = 80, rows = 24 } = {}) {
    const quoted = [process.execPath, ...script].map((word) => `'${word}'`).join(' ')
    const line = `tty; stty cols ${columns} rows ${rows}; ${quoted}; code=$?; stty -a | grep -o '.icanon'; exit $code`
    this.#child = spawn('script', ['-qfec', line, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.raw += text
    })
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve))
  }

  type(keys: string): void {
    this.#seen = this.raw.length
    this.#child.stdin?.write(keys)
  }

  /** Waits until what was written since the last keys has this. */
  async until(wanted: RegExp): Promise<string> {
    const before = Date.now() + PATIENCE_MS
    for (;;) {
      const text = stripVTControlCharacters(this.raw.slice(this.#seen))
      if (wanted.test(text)) return text
      if (Date.now() > before || this.#child.exitCode !== null)
        throw new Error(`${wanted} was not shown, but: ${text}`)
      await sleep(20)
    }
  }

  resize(columns: number): void {
    const [name = ''] = /^\/dev\/\S+/.exec(this.raw) ?? []
    this.#seen = this.raw.length
    spawnSync('stty', ['-F', name, 'cols', String(columns)])
  }

  /** The exit status of the command, when it has ended. */
  async ended(): Promise<number | null> {
    return Promise.race([this.#ended, sleep(PATIENCE_MS, -1, { ref: false })])
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
