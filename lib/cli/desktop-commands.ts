// svsfs desktop: a layer in a desktop's menu, and what its entries there do.
//
//   add ─▶ svsfs-NAME.desktop (desktop-entry.ts)     keep, back: what a click runs, told by notifications
//
// Rule: a click has no terminal, so what went wrong is told as well; a file that is not ours is neither
// written over nor removed.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import { errorWords } from '../daemon/errors.ts'
import type { SnapshotAnswer } from '../daemon/state-methods.ts'
import { notifyPerson } from '../host/notification.ts'
import { findTerminal } from '../host/terminal.ts'
import { hasTerminal } from './ask.ts'
import { type CommandRow, type Context, option } from './command.ts'
import { desktopEntry, entryName, MADE } from './desktop-entry.ts'
import { shellWord } from './words.ts'

interface AddWish {
  readonly layer: string
  readonly command: readonly string[]
  readonly print: boolean
}

interface AddAnswer {
  readonly path: string
  readonly text: string
  readonly written: boolean
}

export const add: CommandRow<AddWish, AddAnswer> = {
  about: `The entry starts the application in its layer, and its menu has "Keep a state" and "Go back…", which opens a terminal with the list of svsfs restore --pick. It stands in $XDG_DATA_HOME/applications (~/.local/share), root's in /usr/local/share/applications.

Its title, icon and place in the menu are those of the layer's recipe (layers/README.md). A layer without one needs the words of its program; %f, %F, %u and %U among them stand for files and addresses that are opened with it.`,
  options: [option('--print', 'print the entry; write nothing')],
  passThrough: true,
  examples: ['svsfs desktop add firefox', 'svsfs desktop add tools -- gimp %F'],
  parse: (words) => {
    const given = words.args(1)
    const print = words.flag('print') || given[0] === '--print'
    const rest = given[0] === '--print' ? given.slice(1) : given
    return { layer: words.arg(0), command: rest.slice(rest[0] === '--' ? 1 : 0), print }
  },
  run: async (context, { layer, command, print }) => {
    const text = await entryOf(context, layer, command)
    const path = placeOf(layer)
    if (print) return { path, text, written: false }
    refuseForeign(path)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
    return { path, text, written: true }
  },
  print: ({ path, text, written }, out, { layer }) => {
    out.line(written ? `wrote ${path}` : `# ${path}\n${text}`)
    if (written) out.note(`svsfs desktop remove ${shellWord(layer)} takes it away`)
  },
}

export const remove: CommandRow<{ layer: string }, { path: string }> = {
  examples: ['svsfs desktop remove firefox'],
  parse: (words) => ({ layer: words.arg(0) }),
  run: async (_, { layer }) => {
    const path = placeOf(layer)
    if (!existsSync(path)) throw new Failure('SVS_PATH_NOT_FOUND', path)
    refuseForeign(path)
    rmSync(path)
    return { path }
  },
  print: ({ path }, out) => out.line(`removed ${path}`),
}

export const keep: CommandRow<{ layer: string }, SnapshotAnswer> = {
  about: 'As svsfs snapshot does; how it went is said by a notification, too.',
  examples: ['svsfs desktop keep firefox'],
  parse: (words) => ({ layer: words.arg(0) }),
  run: async ({ session }, { layer }) => {
    try {
      const state = await session.call('snapshot', { layer, message: 'kept from the menu' })
      const text = state.taken
        ? `State ${state.id} is kept.`
        : `Nothing has changed since state ${state.id}.`
      notifyPerson({ title: layer, text })
      return state
    } catch (err) {
      notifyPerson({ title: layer, text: errorWords(err).message, failure: true })
      throw err
    }
  },
  print: ({ id, taken }, out) =>
    out.line(taken ? `state ${id} is kept` : `nothing has changed since state ${id}`),
}

interface BackAnswer {
  /** Another terminal was opened for it. */
  readonly opened: boolean
  readonly status: number | null
}

/** Says that a terminal was opened already: one that is none must not open more. */
const OPENED = 'SVSFS_IN_TERMINAL'

export const back: CommandRow<{ layer: string }, BackAnswer> = {
  about:
    'Opens a terminal with svsfs restore --pick; in one already, it is shown there. The terminal is xdg-terminal-exec, $TERMINAL, x-terminal-emulator or another that is installed.',
  examples: ['svsfs desktop back firefox'],
  parse: (words) => ({ layer: words.arg(0) }),
  run: async (context, { layer }) => {
    try {
      if (!hasTerminal()) return open(context, layer)
      const status = pickHere(context, layer)
      context.exit(status ?? 1)
      return { opened: false, status }
    } catch (err) {
      notifyPerson({ title: layer, text: errorWords(err).message, failure: true })
      throw err
    }
  },
  print: () => {},
}

function open(context: Context, layer: string): BackAnswer {
  if (process.env[OPENED] !== undefined) throw new Failure('SVS_NO_TERMINAL', 'a state')
  const [program = '', ...before] = findTerminal()
  const words = [...before, ...ourWords(context)('desktop', 'back', layer)]
  const env = { ...process.env, [OPENED]: '1' }
  const child = spawn(program, words, { detached: true, stdio: 'ignore', env })
  child.on('error', () => {})
  child.unref()
  return { opened: true, status: null }
}

function pickHere(context: Context, layer: string): number | null {
  const [program = '', ...words] = ourWords(context)('restore', layer, '--pick')
  const { status } = spawnSync(program, words, { stdio: 'inherit' })
  if (status === 0)
    notifyPerson({ title: layer, text: 'The layer is back. svsfs undo takes that back.' })
  if (process.env[OPENED] !== undefined) {
    // The window goes with this command: what it says is to be read.
    process.stderr.write('\nEnter closes this window.')
    spawnSync('sh', ['-c', 'read -r _'], { stdio: ['inherit', 'ignore', 'ignore'] })
  }
  return status
}

/** This program with its store: a desktop knows nothing of this shell's variables. */
const ourWords =
  ({ session }: Context) =>
  (...words: string[]): string[] => {
    const called = process.argv[1]
    if (called === undefined) throw new TypeError('not started from a file')
    // Behind the second word of `desktop keep`, and before a program's own.
    const at = words[0] === 'desktop' ? 2 : 1
    const store = ['--store', session.places.root]
    return [process.execPath, resolve(called), ...words.slice(0, at), ...store, ...words.slice(at)]
  }

async function entryOf(
  context: Context,
  layer: string,
  command: readonly string[],
): Promise<string> {
  const { commandOf, readManifest } = await import('../layer/manifest.ts')
  const details = await context.session.call('layer.show', { layer })
  const known = Object.keys(details.manifest).length > 0
  const manifest = known ? readManifest(details.manifest, layer) : null
  if (command.length === 0 && (manifest === null || commandOf(manifest) === null))
    throw new Failure('SVS_USAGE', `layer ${layer} has no command of its own; pass one after --`)
  return desktopEntry({
    layer,
    title: manifest?.desktop?.name ?? layer,
    comment: manifest?.summary ?? `The layer ${layer} of svsfs`,
    icon: manifest?.desktop?.icon ?? null,
    categories: manifest?.desktop?.categories ?? [],
    svsfs: ourWords(context),
    command,
  })
}

function placeOf(layer: string, env = process.env): string {
  const own = env.XDG_DATA_HOME?.startsWith('/') ? env.XDG_DATA_HOME : null
  const usual = process.geteuid?.() === 0 ? '/usr/local/share' : join(homedir(), '.local/share')
  return join(own ?? usual, 'applications', entryName(layer))
}

function refuseForeign(path: string): void {
  if (existsSync(path) && !readFileSync(path, 'utf8').startsWith(MADE))
    throw new Failure('SVS_PATH_EXISTS', path)
}
