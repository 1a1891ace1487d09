// One test file as a process of its own: its TAP read as it comes, its failures kept with
// what they say, its time bounded.
//
//   node dist/test/union/rename.test.js ─TAP─▶ Outcome { passed, failures, skips }
//
// Rule: a file that ends badly is a failure even where every assertion of it held: a crash,
// a time-out, an exit status without a reason, no assertion at all.

import { spawn } from 'node:child_process'
import { Parser } from 'tap-parser'

export interface Failed {
  /** The sentences of the tests around it, and of the assertion. */
  readonly name: string
  /** What the assertion reports: a difference, a place, a stack. */
  readonly detail: string
}

export interface Skipped {
  readonly name: string
  /** Why; empty where the test does not say. */
  readonly reason: string
}

export interface Outcome {
  readonly passed: number
  readonly failures: readonly Failed[]
  readonly skips: readonly Skipped[]
  readonly seconds: number
}

export interface Run {
  readonly script: string
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Another user, for the part that must not be root. */
  readonly uid?: number
  readonly gid?: number
  readonly seconds: number
  /** Ends the file early, with everything in its process group. */
  readonly signal: AbortSignal
}

/** Runs the file to its end. Never throws for what the file does. */
export async function runFile(run: Run): Promise<Outcome> {
  const began = Date.now()
  const child = spawn(process.execPath, [run.script], {
    cwd: run.cwd,
    env: run.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group of its own, so that a time-out ends its children too
    ...(run.uid === undefined ? {} : { uid: run.uid, gid: run.gid }),
  })
  const tally = new Tally()
  child.stdout.on('data', (chunk: Buffer) => tally.parser.write(chunk.toString()))
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-8000)
  })
  const end = () => {
    if (child.pid !== undefined) killGroup(child.pid)
  }
  let late = false
  const timer = setTimeout(() => {
    late = true
    end()
  }, run.seconds * 1000)
  run.signal.addEventListener('abort', end)

  // 'exit', not 'close': a daemon that inherited the pipe would hold a 'close' back.
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('error', () => resolve([1, null]))
    child.on('exit', (code, signal) => setTimeout(() => resolve([code, signal]), 50))
  })
  clearTimeout(timer)
  run.signal.removeEventListener('abort', end)
  child.stdout.destroy()
  child.stderr.destroy()
  tally.parser.end()

  if (late) tally.fail(`still running after ${run.seconds} s`, errors)
  else if (signal !== null) tally.fail(`ended by ${signal}`, errors)
  else if (code !== 0 && tally.failures.length === 0) tally.fail(`exit status ${code}`, errors)
  else if (tally.passed + tally.failures.length + tally.skips.length === 0) {
    tally.fail('no assertion in this file', errors)
  }
  return { ...tally.result, seconds: (Date.now() - began) / 1000 }
}

/** Ends a process group; one that is gone already is no failure. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
  }
}

/** Counts assertions at every depth; the line that sums a subtest up is not one of them. */
class Tally {
  readonly parser = new Parser()
  readonly failures: Failed[] = []
  readonly skips: Skipped[] = []
  passed = 0

  constructor() {
    this.#listen(this.parser)
  }

  get result() {
    return { passed: this.passed, failures: this.failures, skips: this.skips }
  }

  fail(name: string, detail: string): void {
    this.failures.push({ name, detail: detail.trim().split('\n').slice(-25).join('\n') })
  }

  #listen(parser: Parser): void {
    parser.on('child', (child: Parser) => this.#listen(child))
    parser.on('assert', (result) => {
      const skipped = result.skip || result.todo
      if (skipped) {
        this.skips.push({ name: result.fullname, reason: skipped === true ? '' : skipped })
      } else if (result.closingTestPoint && !ownFault(result.diag)) return
      else if (result.ok) this.passed++
      else this.fail(result.fullname, detailOf(result.diag))
    })
    // A plan of nothing, with the reason behind it: how a whole file is skipped.
    parser.on('plan', (plan: { end: number; comment: string }) => {
      const reason = plan.comment === 'no tests found' ? '' : plan.comment
      if (plan.end === 0 && reason !== '') this.skips.push({ name: 'the whole file', reason })
    })
    parser.on('bailout', (reason: string) => this.fail('bailed out', reason))
  }
}

/** A subtest's closing line carries a fault of its own where no assertion inside it does. */
function ownFault(diag: unknown): boolean {
  const fault = diag as { tapCaught?: unknown; timeout?: unknown; tapError?: unknown } | null
  return fault !== null && (fault.tapCaught !== undefined || fault.timeout !== undefined)
}

/** The parts of an assertion's diagnostics that people read. */
function detailOf(diag: unknown): string {
  if (diag === null || typeof diag !== 'object') return ''
  const all = diag as Record<string, unknown>
  const lines: string[] = []
  for (const name of ['diff', 'found', 'wanted', 'pattern', 'code', 'stack', 'timeout']) {
    const value = all[name]
    if (value === undefined || value === null) continue
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    lines.push(`${name}: ${text.trim().split('\n').slice(0, 30).join('\n  ')}`)
  }
  const at = all.at as { fileName?: string; lineNumber?: number } | undefined
  if (all.stack === undefined && at?.fileName) lines.push(`at: ${at.fileName}:${at.lineNumber}`)
  return lines.join('\n')
}
