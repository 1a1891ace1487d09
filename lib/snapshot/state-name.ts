// How a person names states: NAME@STATE, and a range NAME@A..B. STATE is an id or the beginning of
// one, a label, `latest`, or `-1` (the one before the latest), `-2` and so on, each also behind an `@`; or, as a program says
// it, `at:` and milliseconds since 1970: the newest that was there then.
//
// Rule: a label wins over an id that begins alike; what fits several is refused, never guessed. A
// state is found by its keys, without reading the others.

import { Failure } from '../base/failure.ts'
import { nearest } from '../layer/nearest.ts'
import type { Catalogue } from './catalogue.ts'
import type { ListedState, SnapshotRecord } from './records.ts'

/** What states are looked up in. */
type States = Pick<Catalogue, 'findSnapshot' | 'snapshotBack' | 'labelled' | 'idsFrom' | 'listed'>

/** A layer, as far as its states are concerned. */
interface Owner {
  readonly id: string
  readonly name: string
}

/** The state of a layer called `text`. Throws SVS_STATE_NOT_FOUND, SVS_STATE_AMBIGUOUS. */
export async function findState(
  states: States,
  { id: layer, name }: Owner,
  called: string,
): Promise<SnapshotRecord> {
  const text = called.replace(/^@/, '')
  const back = text === 'latest' ? 0 : Number(/^-(\d{1,9})$/.exec(text)?.[1] ?? -1)
  const then = /^at:(\d{1,15})$/.exec(text)?.[1]
  if (then !== undefined) return newestOf(states, { id: layer, name }, Number(then))
  const found =
    back >= 0 ? await states.snapshotBack(layer, back) : await named(states, layer, name, text)
  if (found === null) throw await noState(states, { id: layer, name }, text)
  return found
}

/** The newest state at a time, in milliseconds since 1970, as `findState` takes it. */
export const nameAt = (time: number): string => `at:${time}`

async function newestOf(states: States, layer: Owner, then: number): Promise<SnapshotRecord> {
  const found = (await states.listed(layer.id)).findLast(({ time }) => time <= then)
  const record = found === undefined ? null : await states.findSnapshot(layer.id, found.id)
  if (record !== null) return record
  throw new Failure(
    'SVS_STATE_NOT_FOUND',
    `of ${new Date(then).toISOString()} or before`,
    layer.name,
  )
}

/** The failure that says so, with the label that was probably meant. */
async function noState(states: States, layer: Owner, text: string): Promise<Failure> {
  const labels = (await states.listed(layer.id)).flatMap(({ label }) => label ?? [])
  const meant = await nearest(text, ['latest', ...labels])
  return new Failure('SVS_STATE_NOT_FOUND', text, layer.name).suggesting(meant)
}

async function named(
  states: States,
  layer: string,
  name: string,
  text: string,
): Promise<SnapshotRecord | null> {
  if (text === '') return null
  const labelled = await states.labelled(layer, text)
  if (labelled !== null) return states.findSnapshot(layer, labelled)
  const [id, further] = await states.idsFrom(layer, text, 2)
  if (further !== undefined) throw new Failure('SVS_STATE_AMBIGUOUS', text, name)
  return id === undefined ? null : states.findSnapshot(layer, id)
}

/**
 * The states from A to B, oldest first, both among them; `A..` goes to the latest, `..B` begins
 * with the first, and one without `..` stands for itself. Throws as findState does.
 */
export async function findStates(
  states: States,
  layer: Owner,
  text: string,
): Promise<ListedState[]> {
  const range = splitRange(text)
  if (range === null) return [await findState(states, layer, text)]
  const all = await states.listed(layer.id)
  const ends = await Promise.all(
    [range.from || null, range.to || 'latest'].map((end) =>
      end === null ? null : findState(states, layer, end),
    ),
  )
  const times = ends.map((end, at) => end?.time ?? (at === 0 ? 0 : Number.MAX_SAFE_INTEGER))
  const [first, last] = [Math.min(...times), Math.max(...times)]
  return all.filter(({ time }) => time >= first && time <= last)
}

/** `A..B` in its two ends, either of which may be ''; null for what is no range. */
export function splitRange(text: string): { from: string; to: string } | null {
  const at = text.indexOf('..')
  return at === -1 ? null : { from: text.slice(0, at), to: text.slice(at + 2) }
}

/** `NAME@STATE` in its two parts; without `@`, the layer alone. */
export function splitName(text: string): { layer: string; state: string | null } {
  const at = text.indexOf('@')
  if (at === -1) return { layer: text, state: null }
  return { layer: text.slice(0, at), state: text.slice(at + 1) }
}

/** A layer and a state given as `NAME@STATE`, or as two words. Throws SVS_USAGE where both name a state. */
export function namedState(
  first: string,
  second: string | null,
): { layer: string; state: string | null } {
  const { layer, state } = splitName(first)
  if (state !== null && second !== null)
    throw new Failure('SVS_USAGE', `${first} names a state already, so ${second} is one too many`)
  return { layer, state: state ?? second }
}
