// Every command of the table: its answer with --json against its shape, a wrong option, a name that is not there, help.
//
//   a new command ─▶ lib/cli/answers/*.ts: what it answers          ─▶ nothing else: the rest is found in the table
//                    test/cli/every-command.ts: how it is called
//
// Rule: nothing in an answer that its shape has not, and no command without either.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { z } from 'zod'
import { ANSWERS, answered, FAILED } from '../../lib/cli/answers/all.ts'
import { makeProgram } from '../../lib/cli/program.ts'
import { COMMANDS } from '../../lib/cli/table.ts'
import { directory, throwAway } from '../daemon/place.ts'
import { ReadySvsfs } from '../daemon/ready.ts'
import { type Done, PROGRAM } from '../story/svsfs.ts'
import { MISSING, OTHERS, SERVING, SPEAKING, STEPS, type Step } from './every-command.ts'

t.setTimeout(300_000)

// What desktop writes into, and opens.
process.env.XDG_DATA_HOME = join(tmpdir(), `answers-${process.pid}`)
process.env.TERMINAL = 'true'
t.teardown(() => rmSync(process.env.XDG_DATA_HOME!, { recursive: true, force: true }))

/** They take any name. */
const NAMELESS = ['key create', 'desktop back']

class Command extends ReadySvsfs {
  say(words: readonly string[]): Promise<Done> {
    return this.finish(words)
  }
}

const nameOf = (usage: string): string => usage.split(' ')[0]!
/** By their words: what stands behind them in the table. */
const USAGES = new Map(
  COMMANDS.flatMap((each) =>
    'row' in each
      ? [[nameOf(each.usage), each.usage] as const]
      : each.commands.map((leaf) => [`${each.usage} ${nameOf(leaf.usage)}`, leaf.usage] as const),
  ),
)

/** What is wrong with what a command printed; null for nothing. */
function faultOf(shape: z.ZodType, { stdout }: Done): string | null {
  const lines = stdout.trimEnd().split('\n')
  try {
    const read = shape.safeParse(JSON.parse(lines.at(-1)!))
    if (lines.length > 1) return `${lines.length} lines in place of one`
    if (read.success) return null
    return read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n')
  } catch {
    return `no JSON: ${stdout}`
  }
}

t.test('a command of the table has a shape for its answer, and a step that calls it', async (t) => {
  for (const command of USAGES.keys()) {
    t.ok(command in ANSWERS, `${command}: write its answer into lib/cli/answers/*.ts`)
    const serves = SERVING.includes(command) || SPEAKING.includes(command)
    const called = serves || STEPS.some((step) => step.command === command)
    t.ok(called, `${command}: write a call of it into test/cli/every-command.ts`)
  }
  const known = [...USAGES.keys(), 'help errors', 'help exits', 'help json']
  t.same(
    Object.keys(ANSWERS).filter((command) => !known.includes(command)),
    [],
    'no shape without a command',
  )
})

t.test('what a command answers is what its shape says, and a missing name is told', async (t) => {
  const dir = throwAway(t)
  for (const name of ['tree', 'mount']) directory(dir, name)
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text)
  write('tree/old', 'old')
  const svsfs = new Command(join(dir, 'store'))
  t.teardown(async () => {
    await svsfs.say(['umount', '--all', '--lazy'])
    svsfs.stop()
  })
  const missed = new Set<string>()
  let id = ''
  const wordsOf = (command: string, words: string) =>
    [...command.split(' '), ...words.split(' ').filter(Boolean)].map((word) =>
      word.replace('$DIR', dir).replace('$ID', id),
    )
  const ask = (command: string, words: string) => svsfs.say(['--json', ...wordsOf(command, words)])
  const act = async ({ command, words, first, keeps, status = 0 }: Step) => {
    first?.({ dir, write })
    const shape = ANSWERS[command]
    if (shape === undefined) return
    const done = await ask(command, words)
    const fault = faultOf(answered(shape), done)
    t.same({ fault, status: done.status }, { fault: null, status }, `svsfs ${command} ${words}`)
    if (fault === null && keeps !== undefined) id = keeps(JSON.parse(done.stdout).data as never)
  }
  for (const step of STEPS) {
    await act(step)
    const { command } = step
    const takesName =
      /^\S+ [[<](name|key|schedule|id)/.test(USAGES.get(command) ?? '') &&
      !NAMELESS.includes(command)
    if (!takesName || missed.has(command)) continue
    missed.add(command)
    const code = OTHERS[command] ?? 'SVS_LAYER_NOT_FOUND'
    const name = /<name@state>/.test(USAGES.get(command) ?? '') ? 'nowhere@latest' : 'nowhere'
    const done = await ask(command, `${name} ${MISSING[command] ?? ''}`)
    t.equal(faultOf(FAILED, done), null, `svsfs ${command} nowhere`)
    t.match(done.stdout, `"code":"${code}"`, `svsfs ${command} nowhere`)
  }
})

t.test('a wrong option is told by every command, and its help says all that it can', async (t) => {
  const svsfs = new Command('/nowhere')
  const program = await makeProgram(() => true)
  for (const [command, usage] of USAGES) {
    const words = command.split(' ')
    const done = await svsfs.say(['--json', ...words, '--no-such-option'])
    t.equal(faultOf(FAILED, done), null, command)
    t.match(done, { status: 2, stdout: /SVS_USAGE.*no-such-option/ }, command)
    const found = words.reduce(
      (above, word) => above.commands.find((each) => each.name() === word) ?? above,
      program,
    )
    let help = ''
    found.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp()
    t.match(
      help,
      `Usage: svsfs ${words
        .slice(0, -1)
        .map((word) => `${word} `)
        .join('')}`,
      command,
    )
    t.match(help, /Examples:\n {2}(#|\w+=\S+ )?(svsfs|source|sudo)/, command)
    t.match(help, /\nExit status:\n/, command)
    t.not(found.summary(), '', command)
    t.ok(help.replace(/\s+/g, ' ').includes(usage.split(' ').slice(1).join(' ')), command)
  }
})

t.test('what serves until it is ended answers, too', async (t) => {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  const status = new Command(store)
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(dir, 'index.json'), '{"schemaVersion":2,"manifests":[]}')
  const asked = {
    daemon: ['daemon'],
    'repo serve': ['repo', 'serve', dir, '--listen', '127.0.0.1:0'],
  }
  for (const command of SERVING) {
    const words = [...asked[command as keyof typeof asked], '--store', store, '--json']
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    let stdout = ''
    child.stdout.on('data', (text: Buffer) => (stdout += text))
    const closed = once(child, 'close')
    const isReady = async () =>
      command === 'daemon'
        ? existsSync(join(store, 'run/daemon.sock')) &&
          (await status.say(['status', '--json'])).stdout.includes('"daemon":{')
        : stdout !== ''
    while (!(await isReady()) && child.exitCode === null) await sleep(50)
    child.kill('SIGTERM')
    const [ended] = await closed
    t.equal(
      faultOf(answered(ANSWERS[command]!), { status: ended, stdout, stderr: '' }),
      null,
      command,
    )
    t.equal(ended, 0, command)
    rmSync(store, { recursive: true, force: true })
  }
})
