// What a command prints: lines and tables for people, one JSON value for programs.
//
//   --json   {"ok":true,"data":…}   or   {"ok":false,"error":{"code","message","hint","exit"}}
//
// Rule: results go to stdout, everything else to stderr; progress only where stderr is a
// terminal, and it leaves no trace there.

import type { ErrorWords } from '../daemon/protocol.ts'
import { createColors } from './colors.ts'
import { Speed, speedWords } from './speed.ts'

export class Output {
  readonly json: boolean
  readonly #quiet: boolean
  #progressShown = false
  #kept: string[] | null = null
  readonly #steps: boolean
  readonly #speed = new Speed()

  /** `quiet`: the result alone, and failures. `steps`: progress as lines of JSON, too. */
  constructor(json: boolean, quiet = false, steps = false) {
    this.json = json
    this.#quiet = quiet
    this.#steps = steps
  }

  line(text = ''): void {
    this.#clearProgress()
    if (this.#kept === null) process.stdout.write(`${text}\n`)
    else this.#kept.push(`${text}\n`)
  }

  /** All lines of `print`, in place of printing them. */
  kept(print: () => void): string {
    this.#kept = []
    try {
      print()
      return this.#kept.join('')
    } finally {
      this.#kept = null
    }
  }

  /** Bytes as they are. Done when they have left. */
  bytes(bytes: Uint8Array): Promise<void> {
    this.#clearProgress()
    return new Promise((resolve) => process.stdout.write(bytes, () => resolve()))
  }

  /** Columns as wide as their widest cell; the last is not padded. Control characters are made visible. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const clean = [head, ...rows].map((row) => row.map(printable))
    const widths = head.map((_, column) =>
      Math.max(...clean.map((row) => width(row[column] ?? ''))),
    )
    const paint = createColors(null)
    for (const [index, row] of clean.entries()) {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - width(cell)),
      )
      const text = cells.join('  ').trimEnd()
      this.line(index === 0 && text !== '' ? paint('bold', text) : text)
    }
  }

  /** A remark beside the result: to stderr, never in JSON, and not where it is to be quiet. */
  note(text: string): void {
    this.#clearProgress()
    if (!this.json && !this.#quiet) process.stderr.write(`${text}\n`)
  }

  data(data: unknown): void {
    this.#clearProgress()
    process.stdout.write(`${JSON.stringify({ ok: true, data: data ?? null })}\n`)
  }

  /** `causes` are for people who asked for more. */
  failure({ code, message, hint = null, exit }: ErrorWords, causes: readonly string[] = []): void {
    this.#clearProgress()
    const error = { code, message, hint, exit }
    if (this.json) process.stdout.write(`${JSON.stringify({ ok: false, error })}\n`)
    else {
      const paint = createColors(null, process.stderr)
      process.stderr.write(`${paint('red', 'svsfs:')} ${message} [${code}]\n`)
    }
    for (const cause of causes) process.stderr.write(`  ${cause}\n`)
  }

  progress(text: string): void {
    if (this.json && this.#steps)
      process.stdout.write(`${JSON.stringify({ progress: this.#speed.of(text) })}\n`)
    if (!process.stderr.isTTY || this.json || this.#quiet) return
    this.#progressShown = true
    const room = Math.max(20, process.stderr.columns ?? 80) - 1
    process.stderr.write(`\r\x1b[2K${printable(speedWords(this.#speed.of(text))).slice(0, room)}`)
  }

  #clearProgress(): void {
    if (this.#progressShown) process.stderr.write('\r\x1b[2K')
    this.#progressShown = false
  }
}

// Characters rather than columns: wide ones may shift a table by a little, never break it.
const width = (text: string): number => [...text].length

/** Names come from files and archives: nothing in them may steer the terminal. */
export const printable = (text: string): string =>
  text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
