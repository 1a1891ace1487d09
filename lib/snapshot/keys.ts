// The keys of the catalogue: text, parts joined by `/`. Values are JSON (records.ts) unless said
// otherwise.
//
//   meta                                  { version: 3, made, named? }
//   counter/<name>                        last number given, as text
//   layer/<layer>                         LayerRecord
//   removed/<layer>                       RemovedLayer: deleted, and may still be brought back
//   head/<layer>                          id of the state that the writable sublayer came from
//   snapshot/<layer>/<time>/<id>          SnapshotRecord
//   id/<layer>/<snapshot id>              its time in the key above, as text
//   label/<layer>/<label>                 id of the state that has it, as text
//   tree/<snapshot id>                    Piece[] (table.ts): where the list of its entries lies (tree.ts)
//   content/<ro digest>/<content id>      Content: how to make a file (delta.ts)
//   chunk/<sha256>                        bytes, at most 1 MiB, compressed already where it helps; or
//                                         the place (place.ts) of its value
//   settled                               values below this number have a place or are in `gone/…`
//   gone/<number>/<sha256>                nothing: a value that is being removed
//   recoded/<layer>                       time of the last state that was recoded by itself, as text
//   plan/<layer>                          RedoPlan that is being applied (redo.ts)
//   schedule/<id>                         Schedule: when the daemon takes states by itself
//   host/<name>                           HostRecord: a machine that layers are deployed to
//   deployed/<layer>                      Deployment: the last one to this store
//   undo/<time>                           UndoRecord: what an operation on a layer replaced
//   swept                                 when garbage was last looked for
//
// In a database of its own (chunks.ts), below the catalogue's directory:
//
//   <number>/<sha256>                     bytes of a chunk that has a place
//
// Times and numbers in keys are 16 hex digits, so that the order of text is the order of time. A content lies
// under the digest of the read-only sublayer whose files it may refer to ('-' where it has none);
// how often anything is used is not counted but found by following records (gc.ts).
// Later versions may add keys and fields; a catalogue with a higher `version` is refused.
//
// Rule: a list reads the records that it shows, and one state is found by its key: no command
// goes through all states of a store to open one.

import type { SnapshotRecord } from './records.ts'

const hex16 = (number: number): string => number.toString(16).padStart(16, '0')
const join = (...parts: string[]): string => parts.join('/')

/** `time` as the keys of states have it. */
export const timeText = hex16

const contents = (scope: string): string => join('content', scope === '' ? '-' : scope)

export const key = {
  meta: 'meta',
  swept: 'swept',
  settled: 'settled',
  counter: (name: string) => join('counter', name),
  layer: (layer: string) => join('layer', layer),
  removed: (layer: string) => join('removed', layer),
  head: (layer: string) => join('head', layer),
  snapshot: ({ layer, time, id }: Pick<SnapshotRecord, 'layer' | 'time' | 'id'>) =>
    join('snapshot', layer, hex16(time), id),
  /** `time` as text. */
  snapshotAt: (layer: string, time: string, id: string) => join('snapshot', layer, time, id),
  id: (layer: string, id: string) => join('id', layer, id),
  label: (layer: string, label: string) => join('label', layer, label),
  tree: (snapshot: string) => join('tree', snapshot),
  contents,
  content: (scope: string, id: string) => join(contents(scope), id),
  chunk: (id: string) => join('chunk', id),
  /** In the database of values; '' for the first that there can be of a number. */
  value: (number: number, chunk: string) => join(hex16(number), chunk),
  /** Of such a key. */
  numberOf: (value: string) => Number.parseInt(value.slice(0, value.indexOf('/')), 16),
  gone: (value: string) => join('gone', value),
  recoded: (layer: string) => join('recoded', layer),
  plan: (layer: string) => join('plan', layer),
  undo: (time: number) => join('undo', hex16(time)),
  schedule: (id: string) => join('schedule', id),
  host: (name: string) => join('host', name),
  deployed: (layer: string) => join('deployed', layer),
}

/** Keys from `gte` on and before `lt`. */
export interface Range {
  readonly gte: string
  readonly lt: string
}

/** Keys that begin with `prefix` and `/`: `0` is the character after it. */
export const below = (prefix: string): Range => ({ gte: `${prefix}/`, lt: `${prefix}0` })

/** Keys that begin with `text`: their next character comes before every one that UTF-8 cannot have. */
export const beginning = (text: string): Range => ({ gte: text, lt: `${text}\u{10ffff}` })

/** What stands after the last `/` of a key. */
export const lastPart = (at: string): string => at.slice(at.lastIndexOf('/') + 1)
