// A catalogue of many states, written as snapshots write them, without the trees they would be of.
//
//   state n   a list of 1,024 names ─ one directory of it changed: 16 new contents, new chunks
//             the other pieces of the list are those of state n - 1
//
// Rule: the same bytes for the same numbers; what a state stores goes through SnapshotWriter.

import { type Catalogue, newId } from '../../lib/snapshot/catalogue.ts'
import { putChunks, sha256 } from '../../lib/snapshot/depot.ts'
import type { Entry, Piece, SnapshotRecord } from '../../lib/snapshot/records.ts'
import { TreeWriter } from '../../lib/snapshot/tree.ts'
import type { SnapshotWriter } from '../../lib/snapshot/writer.ts'

export const LAYER = { id: 'l1', name: 'app' }
const DIRS = 64
const FILES = 16
const RO = sha256(Buffer.from('ro'))

export interface Many {
  readonly states: number
  /** New chunks of each state. */
  readonly chunks: number
  /** Bytes of a chunk. */
  readonly bytes: number
}

/** Takes the states. Returns their ids, oldest first. */
export async function fill(catalogue: Catalogue, many: Many): Promise<string[]> {
  const names = namesOf()
  const ids: string[] = []
  let pieces: readonly Piece[] = []
  for (let at = 0; at < many.states; at++) {
    const writer = await catalogue.writer()
    const changed = await change(names, at, writer, many)
    pieces = await listOf(names, changed, pieces, writer)
    const record = recordOf(at, ids.at(-1) ?? null, names.length)
    await writer.publish({ record, pieces })
    writer.end()
    ids.push(record.id)
  }
  return ids
}

const dirAt = (dir: number): string => `d${String(dir).padStart(2, '0')}`

function namesOf(): Entry[] {
  const names: Entry[] = []
  for (let dir = 0; dir < DIRS; dir++) {
    for (let file = 0; file < FILES; file++)
      names.push(entryOf(`${dirAt(dir)}/f${String(file).padStart(2, '0')}`))
  }
  return names
}

/** New contents for the files of one directory, at the first state for all. Returns the paths. */
async function change(
  names: Entry[],
  at: number,
  writer: SnapshotWriter,
  { chunks, bytes }: Many,
): Promise<Set<string>> {
  const changed = new Set<string>()
  const [first, end] =
    at === 0 ? [0, names.length] : [(at % DIRS) * FILES, (at % DIRS) * FILES + FILES]
  for (let n = first; n < end; n++) {
    // 16 files share them as evenly as they can.
    const count =
      Math.floor((chunks * ((n % FILES) + 1)) / FILES) - Math.floor((chunks * (n % FILES)) / FILES)
    const ids: string[] = []
    for (let chunk = 0; chunk < count; chunk++)
      ids.push(
        ...(await putChunks(writer, textOf(`chunk ${chunk} of file ${n} in state ${at} `, bytes))),
      )
    const size = count * bytes
    const content = sha256(Buffer.from(`${n} in ${at}`))
    const parts = count === 0 ? [] : [{ codec: 'raw' as const, length: size, chunks: ids }]
    await writer.putContent(RO, content, { size, depth: 0, stored: size, parts })
    names[n] = { ...names[n]!, size, content, mtime: at + 1 }
    changed.add(names[n]!.path)
  }
  return changed
}

const textOf = (text: string, bytes: number): Buffer => Buffer.alloc(bytes, text)

/** The list of the names; pieces of the list before are taken over where nothing in them changed. */
async function listOf(
  names: readonly Entry[],
  changed: ReadonlySet<string>,
  before: readonly Piece[],
  writer: SnapshotWriter,
): Promise<Piece[]> {
  const tree = new TreeWriter(writer)
  let at = 0
  for (const piece of before.length === 0 ? [{ entries: names.length }] : before) {
    const some = names.slice(at, at + piece.entries)
    at += piece.entries
    const isWhole = 'first' in piece && piece !== before.at(-1) && tree.isBetween
    if (isWhole && !some.some(({ path }) => changed.has(path))) tree.take(piece)
    else for (const entry of some) await tree.add({ entry, stamp: null })
  }
  return tree.end()
}

const entryOf = (path: string): Entry =>
  ({
    path,
    kind: 'file',
    mode: 0o644,
    uid: 1000,
    gid: 1000,
    atime: 1,
    atimeNsec: 0,
    mtime: 1,
    mtimeNsec: 0,
    number: 1,
    size: 0,
  }) as Entry

const recordOf = (at: number, parent: string | null, entries: number): SnapshotRecord => ({
  id: newId(),
  layer: LAYER.id,
  time: 1_700_000_000_000 + at * 60_000,
  message: `what was done in step ${at}`,
  label: at % 100 === 0 ? `label-${at}` : null,
  tags: at % 7 === 0 ? { release: String(at) } : {},
  trigger: 'scheduled',
  pinned: false,
  parent,
  ro: { version: 1, digest: RO },
  rw: 1,
  entries,
  bytes: 1,
  stored: 1,
  counts: { added: 1, changed: 0, deleted: 0, attributes: 0 },
  journal: null,
  dependsOnBase: false,
  owners: { users: { 0: 'root', 1000: 'joe' }, groups: { 0: 'root', 1000: 'joe' } },
  format: 1,
})
