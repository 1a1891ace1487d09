// The command line as a story calls it: a process of its own, its answer read from --json.
//
//   ask('snapshot', 'firefox', '-m', 'first')  ─▶  svsfs snapshot … --json  ─▶  data
//
// Rule: nothing of lib is called; what works here works in a terminal.

import { type ChildProcess, spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The compiled command, beside this compiled file. */
export const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'svsfs.js')

export interface Done {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that did not do what it was told, with all it said. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
  readonly #said: string

  constructor(words: readonly string[], done: Done) {
    const said = `${done.stdout}\n${done.stderr}`.trim().split('\n').slice(-30).join('\n  ')
    const short = words.map((word) => (word.includes('\n') ? '<script>' : word)).join(' ')
    super(`svsfs ${short}: exit status ${done.status}\n  ${said}`)
    this.#said = `${done.stdout}${done.stderr}`
  }

  /** True where the command named a failure whose code begins so. */
  isAbout(code: string): boolean {
    return this.#said.includes(code)
  }
}

export class Svsfs {
  readonly store: string
  readonly #running = new Set<ChildProcess>()

  constructor(store: string) {
    this.store = store
  }

  /** Runs a command to its end and returns its data. Throws CommandFailed unless it succeeds. */
  async ask(...words: string[]): Promise<unknown> {
    const done = await this.finish([...words, '--json'])
    const answer = parse(done.stdout)
    if (done.status !== 0 || answer?.ok !== true) throw new CommandFailed(words, done)
    return answer.data
  }

  /** Runs a program with the layer on top of its view, to its end. */
  async run(layer: string, ...command: string[]): Promise<Done> {
    return this.finish(['run', layer, '--', ...command])
  }

  /** The same, where anything but success is a failure. Returns what it printed. */
  async mustRun(layer: string, ...command: string[]): Promise<string> {
    const done = await this.run(layer, ...command)
    if (done.status !== 0) throw new CommandFailed(['run', layer, '--', ...command], done)
    return done.stdout
  }

  /** Starts a program in the view and leaves it to the caller, who hears its stderr. */
  start(layer: string, ...command: string[]): ChildProcess {
    return this.#spawn(['run', layer, '--', ...command])
  }

  /** Ends every command that still runs. */
  stop(): void {
    for (const child of this.#running) child.kill('SIGTERM')
  }

  #spawn(words: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: { ...process.env, SVSFS_STORE: this.store },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#running.add(child)
    child.on('exit', () => this.#running.delete(child))
    return child
  }

  protected async finish(words: readonly string[]): Promise<Done> {
    const child = this.#spawn(words)
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    return { status, stdout, stderr }
  }
}

/** The last line that is an answer: `{ ok, data }`. */
function parse(text: string): { ok?: unknown; data?: unknown } | null {
  for (const candidate of [text, ...text.trim().split('\n').toReversed()]) {
    try {
      return JSON.parse(candidate) as { ok?: unknown; data?: unknown }
    } catch (err) {
      if (!(err instanceof SyntaxError)) throw err
    }
  }
  return null
}
