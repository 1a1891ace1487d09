// What a command is: a row of three small functions, and how commander comes to run it. Its
// name and the line about it stand in the table (table.ts).
//
//   words of the command line ─▶ parse ─▶ run (asks the API) ─▶ print, or JSON
//
// What it answers with --json has a shape in answers/*.ts, by its words (`layer create`): every field of it, since
// the shapes are strict. test/cli/every-command.ts calls it once; answers.test.ts does the rest.
//
// Rule: `run` returns data and prints nothing; `print` shows that data and asks nothing. Both
// ways of output come from the same data.

import { type Command, Option } from 'commander'
import { Failure } from '../base/failure.ts'
import { storePath } from '../daemon/store-path.ts'
import { chooseColors } from './colors.ts'
import { exitHelp } from './exits.ts'
import { Output } from './output.ts'
import { Session } from './session.ts'

/** The words after a command: its arguments in order, its options by name. */
export class Words {
  readonly #args: readonly unknown[]
  readonly #options: Readonly<Record<string, unknown>>
  readonly #configured: readonly string[]

  /** `configured`: options whose value nobody has given, but a file or a variable. */
  constructor(
    args: readonly unknown[],
    options: Readonly<Record<string, unknown>>,
    configured: readonly string[],
  ) {
    this.#args = args
    this.#options = options
    this.#configured = configured
  }

  /** An argument that commander has required. */
  arg(index: number): string {
    return this.optionalArg(index) ?? ''
  }

  optionalArg(index: number): string | null {
    const value = this.#args[index]
    return typeof value === 'string' ? value : null
  }

  /** The arguments of `<name...>`. */
  args(index: number): string[] {
    const value = this.#args[index]
    return Array.isArray(value) ? value.map(String) : []
  }

  text(option: string): string | null {
    const value = this.#options[option]
    return typeof value === 'string' ? value : null
  }

  /** The values of `--option <name...>`, or null where it was not given. */
  list(option: string): string[] | null {
    const value = this.#options[option]
    return Array.isArray(value) ? value.map(String) : null
  }

  /** The options that were given, as they are written; what configuration says is none. */
  given(): string[] {
    return Object.entries(this.#options)
      .filter(([name]) => !this.#configured.includes(name) && !OF_OUTPUT.includes(name))
      .filter(([, value]) => value !== undefined && value !== false)
      .map(([name]) => `--${dashed(name)}`)
  }

  flag(option: string): boolean {
    return this.#options[option] === true
  }

  /** For `--[no-]option`: null where neither was given. */
  choice(option: string): boolean | null {
    const value = this.#options[option]
    return typeof value === 'boolean' ? value : null
  }

  number(option: string, bounds: Bounds = {}): number | null {
    const text = this.text(option)
    return text === null ? null : readNumber(`--${dashed(option)}`, text, bounds)
  }
}

/** Options that no command looks at. */
const OF_OUTPUT: readonly string[] = ['progress', 'pager']

const dashed = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export interface Bounds {
  readonly whole?: boolean
  readonly least?: number
}

export function readNumber(what: string, text: string, { whole, least }: Bounds = {}): number {
  const number = Number(text)
  const refuse = (wanted: string): never => {
    throw new Failure('SVS_USAGE', `${what} must be ${wanted}, not "${text}"`)
  }
  if (text.trim() === '' || !Number.isFinite(number)) refuse('a number')
  if (whole === true && !Number.isInteger(number)) refuse('a whole number')
  if (least !== undefined && number < least) refuse(`${least} or more`)
  return number
}

export interface CommandRow<Wanted, Data> {
  /** More than its line in the table says; paragraphs. */
  readonly about?: string
  readonly options?: readonly Option[]
  /** Whole command lines, each with a remark after `#` where it needs one. */
  readonly examples: readonly string[]
  /** It has the option --host: its methods can be called on a host. */
  readonly onHost?: true
  /** What it prints may be long: a pager shows it on a terminal. */
  readonly paged?: boolean
  /** Options after the first argument belong to what follows. */
  readonly passThrough?: boolean
  parse(words: Words): Wanted
  run(context: Context, wanted: Wanted): Promise<Data>
  print(data: Data, out: Output, wanted: Wanted): void
}

/** What `run` works with. */
export interface Context {
  readonly session: Session
  readonly out: Output
  /** Sets the exit status of a command that has not failed itself: `svsfs run`. */
  exit(status: number): void
}

/** An option as help shows it: `--flag <value>`, and what it does. */
export const option = (flags: string, text: string): Option => new Option(flags, text)

/** The option of a command that can be asked of a host: its row says `onHost` too. */
export const hostOption = (): Option =>
  option('--host <host>', 'on that host (svsfs host list), over ssh')

/** One that may be given more than once; `Words.list` has all of them. */
export const repeated = (flags: string, text: string): Option =>
  option(flags, text).argParser((word: string, before: unknown) =>
    Array.isArray(before) ? [...(before as string[]), word] : [word],
  )

/** Gives a command that has its name and its line what its row says, and what it does. */
export function complete<Wanted, Data>(
  command: Command,
  row: CommandRow<Wanted, Data>,
  short = false,
): void {
  const summary = command.summary()
  const whole = !short && row.about !== undefined
  command.description(whole ? `${summary}\n\n${row.about}` : summary)
  for (const each of row.options ?? []) command.addOption(each)
  addCommonOptions(command, short)
  if (row.passThrough === true) command.passThroughOptions()
  if (!short) command.addHelpText('after', endOfHelp(row.examples))
  command.action(async (...all: unknown[]) => {
    const options = allOptions(command)
    const configured = Object.keys(options).filter(
      (name) => command.getOptionValueSource(name) === 'config',
    )
    await perform(row, new Words(all.slice(0, -2), options, configured), options)
  })
}

function endOfHelp(examples: readonly string[]): string {
  const lines = examples.map((line) => `  ${line}`).join('\n')
  return `${examples.length > 0 ? `\nExamples:\n${lines}\n` : ''}${exitHelp()}`
}

/** Those that every command has. */
export const commonOptions = (): Option[] => [
  option('--store <dir>', 'the store (default: $SVSFS_STORE, then the one of this user)'),
  option('--json', 'print one JSON value: {ok, data} or {ok, error}'),
  option(
    '--progress',
    'with --json: before the answer a line for each step, {progress: {text, …}}',
  ),
  option('-q, --quiet', 'only the result: no remarks and no progress'),
  option('-v, --verbose', 'of a failure also what caused it; twice: where in the program'),
  option(
    '--color <when>',
    'colours: auto (on a terminal, without NO_COLOR), always, never',
  ).choices(['auto', 'always', 'never']),
  option('--no-color', 'as --color never').hideHelp(),
  option('--pager', 'the opposite of --no-pager').hideHelp(),
  option(
    '--no-pager',
    'print long text as it is ($SVSFS_PAGER, $PAGER or less shows it on a terminal)',
  ),
]

/** Options that stand after the command, and before it too; short help leaves them out. */
export function addCommonOptions(command: Command, short = false): Command {
  for (const each of commonOptions()) command.addOption(short ? each.hideHelp() : each)
  return command
}

/** Options of the command and of those it belongs to; the nearest word counts. */
function allOptions(command: Command): Record<string, unknown> {
  const above = command.parent === null ? {} : allOptions(command.parent)
  return { ...above, ...command.opts() }
}

async function sessionOf(root: string, host: string | null, out: Output): Promise<Session> {
  const progress = (text: string) => out.progress(text)
  if (host === null) return new Session(root, progress)
  const { HostSession } = await import('./host-session.ts')
  return new HostSession(root, host, progress)
}

async function perform<Wanted, Data>(
  row: CommandRow<Wanted, Data>,
  words: Words,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  chooseColors(options.color)
  const out = new Output(options.json === true, options.quiet === true, options.progress === true)
  const root = storePath(words.text('store') ?? undefined)
  const session = await sessionOf(root, row.onHost === true ? words.text('host') : null, out)
  const exit = (status: number) => {
    process.exitCode = status
  }
  try {
    const wanted = row.parse(words)
    const data = await row.run({ session, out, exit }, wanted)
    if (out.json) out.data(data)
    else if (row.paged === true && options.pager !== false && process.stdout.isTTY === true) {
      const text = out.kept(() => row.print(data, out, wanted))
      await (await import('./pager.ts')).page(text)
    } else row.print(data, out, wanted)
  } finally {
    await session.close()
  }
}
