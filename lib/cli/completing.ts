// What may stand where the cursor is: commands, options, layers, states, or files.
//
//   words of the line ─▶ command ─▶ an option?  an option's value?  an argument? ─▶ candidates
//
// Rule: it asks a daemon that runs, or looks into the catalogue beside it; it never starts one, takes
// the store or waits. What cannot be known is no candidate, and never an error.

import type { Command, Option } from 'commander'
import { Client } from '../daemon/client.ts'
import { storeExists } from '../daemon/store.ts'
import { type StorePlaces, storePath, storePlaces } from '../daemon/store-path.ts'
import { makeProgram } from './program.ts'
import { ago } from './words.ts'

export interface Candidate {
  readonly word: string
  readonly about: string
}

export interface Completion {
  readonly candidates: readonly Candidate[]
  /** What the shell adds by itself. */
  readonly also: 'directories' | 'files' | null
}

const NOTHING: Completion = { candidates: [], also: null }
const SHELLS = ['bash', 'zsh', 'fish']
/** States that are offered, the newest. */
const MOST_STATES = 50

/**
 * `words`: those behind `svsfs`; the last is the one that is being written, and may be ''.
 * `store`: the one that is asked where they name none.
 */
export async function complete(words: readonly string[], store?: string): Promise<Completion> {
  const current = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const program = await makeProgram((name) => before.includes(name))
  const place = walk(program, before)
  const asked = store === undefined ? before : [...before, '--store', store]
  if (place.value !== null) return valuesOf(place.value, current, asked)
  if (current.startsWith('-')) return { candidates: optionsOf(place.command), also: null }
  if (place.command.commands.length > 0)
    return { candidates: place.command.commands.map(lineOf), also: null }
  const arguments_ = place.command.registeredArguments
  const wanted = arguments_[place.args.length] ?? arguments_.findLast(({ variadic }) => variadic)
  if (wanted === undefined) return NOTHING
  return argumentsOf(place.command, wanted.name(), current, asked, place.args)
}

interface Place {
  readonly command: Command
  readonly args: readonly string[]
  /** The option whose value comes next. */
  readonly value: Option | null
}

/** Which command the words belong to, and what it has been given. */
function walk(program: Command, words: readonly string[]): Place {
  let command = program
  let value: Option | null = null
  const args: string[] = []
  for (const word of words) {
    if (value !== null) value = null
    else if (word.startsWith('-')) value = wantsValue(command, word)
    else {
      const next = command.commands.find((each) => each.name() === word)
      if (next === undefined) args.push(word)
      else command = next
    }
  }
  return { command, args, value }
}

function wantsValue(command: Command, word: string): Option | null {
  const found = command.options.find(({ long, short }) => long === word || short === word)
  return found !== undefined && (found.required || found.optional) ? found : null
}

const lineOf = (command: Command): Candidate => ({
  word: command.name(),
  about: command.summary(),
})

const optionsOf = (command: Command): Candidate[] =>
  [...command.options, command.createOption('--help', 'show help')].flatMap(
    ({ long, hidden, description }) =>
      long && !hidden ? [{ word: long, about: description }] : [],
  )

/** `<dir>` in an option's flags says what its value is. */
async function valuesOf(
  option: Option,
  current: string,
  words: readonly string[],
): Promise<Completion> {
  if (option.argChoices)
    return { candidates: option.argChoices.map((word) => ({ word, about: '' })), also: null }
  const name = /[<[]([^>\].]+)/.exec(option.flags)?.[1] ?? ''
  return named(name, current, words)
}

function argumentsOf(
  command: Command,
  name: string,
  current: string,
  words: readonly string[],
  args: readonly string[],
): Promise<Completion> {
  const [layer] = args
  const isState = name === 'state' || name === 'range'
  if (isState && layer !== undefined) return statesAs(words, layer, (state) => state)
  // Of `layer` and of `help` the names are their own.
  if (command.name() === 'help') return Promise.resolve(NOTHING)
  return named(name, current, words)
}

async function named(name: string, current: string, words: readonly string[]): Promise<Completion> {
  if (name === 'dir') return { candidates: [], also: 'directories' }
  if (/^(file|path|archive)$/.test(name)) return { candidates: [], also: 'files' }
  if (name === 'shell')
    return { candidates: SHELLS.map((word) => ({ word, about: '' })), also: null }
  if (!/^(name|name@state|layer)$/.test(name)) return NOTHING
  const at = current.indexOf('@')
  const layer = current.slice(0, at)
  if (at !== -1) return statesAs(words, layer, (state) => `${layer}@${state}`)
  return { candidates: await quietly(() => layersOf(placesOf(words))), also: null }
}

async function statesAs(
  words: readonly string[],
  layer: string,
  shape: (state: string) => string,
): Promise<Completion> {
  const states = await quietly(() => statesOf(placesOf(words), layer))
  return { candidates: states.map(({ word, about }) => ({ word: shape(word), about })), also: null }
}

/** A store that is damaged or in use completes nothing. */
async function quietly(ask: () => Promise<Candidate[]>): Promise<Candidate[]> {
  try {
    return await ask()
  } catch {
    return []
  }
}

function placesOf(words: readonly string[]): StorePlaces {
  const at = words.indexOf('--store')
  return storePlaces(storePath(at === -1 ? undefined : words[at + 1]))
}

async function layersOf(places: StorePlaces): Promise<Candidate[]> {
  const asked = await asking(places, (client) => client.call('layer.list', {}))
  const layers =
    asked ?? (await looking(places, (catalogue) => catalogue.layers()))?.map((layer) => layer) ?? []
  return layers.map(({ name, active }) => ({ word: name, about: active ? 'active' : 'not active' }))
}

interface Named {
  readonly id: string
  readonly label: string | null
  readonly time: number
  readonly message: string
}

async function statesOf(places: StorePlaces, layer: string): Promise<Candidate[]> {
  const last = MOST_STATES
  const asked: readonly Named[] | null = await asking(places, (client) =>
    client.call('snapshots', { layer, last, state: null, sizes: false }),
  )
  const states = asked ?? (await looking(places, (catalogue) => lastOf(catalogue, layer))) ?? []
  const newest = states.toSorted((a, b) => b.time - a.time)
  const about = ({ time, message }: Named) => `${ago(time)} ${message}`.trim()
  return [
    ...newest.slice(0, 1).map((state) => ({ word: 'latest', about: about(state) })),
    ...newest.flatMap((state) => [
      ...(state.label === null ? [] : [{ word: state.label, about: about(state) }]),
      { word: state.id, about: about(state) },
    ]),
  ]
}

type Peeked = Parameters<Parameters<typeof import('../daemon/peek.ts').peek>[1]>[0]

async function lastOf(catalogue: Peeked, name: string): Promise<readonly Named[]> {
  const found = (await catalogue.layers()).find((layer) => layer.name === name)
  return found === undefined ? [] : catalogue.lastListed(found.id, MOST_STATES)
}

async function asking<T>(
  places: StorePlaces,
  ask: (client: Client) => Promise<T>,
): Promise<T | null> {
  const client = await Client.connect(places)
  if (client === null) return null
  try {
    return await ask(client)
  } finally {
    client.close()
  }
}

async function looking<T>(
  places: StorePlaces,
  look: (catalogue: Peeked) => Promise<T>,
): Promise<T | null> {
  if (!storeExists(places.root)) return null
  const { peek } = await import('../daemon/peek.ts')
  return peek(places, look)
}
