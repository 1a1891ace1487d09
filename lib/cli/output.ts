// What a command prints: lines and tables for people, one JSON value for programs.
//
//   --json   {"ok":true,"data":…}   or   {"ok":false,"error":{"code","message","hint","exit"}}
//
// Rule: results go to stdout, everything else to stderr; progress only where stderr is a
// terminal, and it leaves no trace there.

import type { ErrorWords } from '../daemon/protocol.ts'

export class Output {
  readonly json: boolean
  readonly #quiet: boolean
  #progressShown = false

  /** `quiet`: the result alone, and failures. */
  constructor(json: boolean, quiet = false) {
    this.json = json
    this.#quiet = quiet
  }

  line(text = ''): void {
    this.#clearProgress()
    process.stdout.write(`${text}\n`)
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
    for (const row of clean) {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - width(cell)),
      )
      this.line(cells.join('  ').trimEnd())
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
    else process.stderr.write(`svsfs: ${message} [${code}]\n`)
    for (const cause of causes) process.stderr.write(`  ${cause}\n`)
  }

  progress(text: string): void {
    if (!process.stderr.isTTY || this.json || this.#quiet) return
    this.#progressShown = true
    const room = Math.max(20, process.stderr.columns ?? 80) - 1
    process.stderr.write(`\r\x1b[2K${printable(text).slice(0, room)}`)
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
