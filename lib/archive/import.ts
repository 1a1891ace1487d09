// Taking the states of an archive into a layer of this store.
//
//   archive ─▶ lists read and checked ─▶ contents followed, every one made once (a snapshot thread)
//                                              └────── nothing is written before this line ──────
//           ─▶ chunks, contents, lists ─▶ records, one after the other
//
// Rule: what the store has already counts, not what the archive says of it; so what is checked is what
// will be there. A failure leaves no state, at most chunks that gc removes.

import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { type Catalogue, newId } from '../snapshot/catalogue.ts'
import { Damage, type DepotReader } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import type { Content, LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { runJob } from '../snapshot/thread.ts'
import { Totals, TreeWriter } from '../snapshot/tree.ts'
import type { SnapshotWriter } from '../snapshot/writer.ts'
import type { Archive } from './archive.ts'
import { readContentLine, refuseCircles, type Scope } from './closure.ts'
import { type Allowed, EntryReader, Escape } from './entry-lines.ts'
import { stateDigest, stateLines } from './export.ts'
import type { ArchiveState } from './format.ts'
import { type ListBytes, linesOf, readList } from './lists.ts'

export interface ImportOptions {
  readonly catalogue: Catalogue
  readonly archive: Archive
  readonly layer: LayerRecord
  /** The read-only part that the states lie over: its version here, and its trees. */
  readonly ro: LayerRecord['ro']
  readonly trees: readonly string[]
  /** A directory on a disk with room. */
  readonly temporary: string
  readonly allowed: Allowed
  readonly signal: AbortSignal | null
  /** Called once all of it was checked, before anything is written. */
  readonly beforeWrite?: () => Promise<void>
  readonly onProgress: (text: string) => void
}

export interface ImportedState {
  readonly snapshot: SnapshotRecord
  /** False where the layer had it already. */
  readonly fresh: boolean
}

/** Throws SVS_ARCHIVE_DAMAGED, SVS_ARCHIVE_ESCAPES, SVS_ARCHIVE_DEVICE, SVS_ARCHIVE_GAP. */
export async function importStates(options: ImportOptions): Promise<ImportedState[]> {
  const writer = await options.catalogue.writer()
  try {
    return await new Import(options, writer).run()
  } catch (err) {
    throw archiveFailure(err, options.archive.path)
  } finally {
    writer.end()
  }
}

/** What is wrong with an archive, in the words of the table. */
export function archiveFailure(err: unknown, path: string): unknown {
  if (err instanceof Escape)
    return new Failure(
      err.why === 'device' ? 'SVS_ARCHIVE_DEVICE' : 'SVS_ARCHIVE_ESCAPES',
      shown(err.path),
      path,
      { cause: err },
    )
  if (err instanceof Damage)
    return new Failure('SVS_ARCHIVE_DAMAGED', path, err.message, { cause: err })
  return err
}

/** Contents that a thread is given at once. */
const AT_ONCE = 200
const DAY_MS = 24 * 3600 * 1000

class Import {
  readonly #options: ImportOptions
  readonly #writer: SnapshotWriter
  readonly #pace: Pace
  readonly #contents = new Map<string, Content>()
  /** Those of the archive that the store lacks. */
  readonly #fresh = new Set<string>()

  constructor(options: ImportOptions, writer: SnapshotWriter) {
    this.#options = options
    this.#writer = writer
    this.#pace = new Pace(1, options.signal)
  }

  async run(): Promise<ImportedState[]> {
    const { archive, signal, onProgress } = this.#options
    await archive.check(onProgress, signal)
    const from = await this.#from()
    const wanted = await this.#readStates(from)
    await this.#readContents(from !== null)
    await this.#checkContents(wanted, from !== null)
    await this.#options.beforeWrite?.()
    return this.#write(from)
  }

  /** The lines of the state that the archive comes after. */
  async #from(): Promise<ListBytes | null> {
    const { archive, catalogue, layer } = this.#options
    const { from } = archive.manifest
    if (from === null) return null
    const state = await catalogue.findSnapshot(layer.id, from.id)
    const gap = (why: string) =>
      new Failure('SVS_ARCHIVE_GAP', archive.path, from.id, layer.name, why)
    if (state === null) throw gap('is not there')
    if (state.ro.digest !== archive.manifest.base.digest)
      throw gap('lies over another read-only part')
    if ((await stateDigest(catalogue, layer, state)) !== from.digest)
      throw gap('is another one here')
    return (await stateLines(catalogue, layer, state)).pieces
  }

  /** Reads all lists. Answers the contents that their files have, with their sizes. */
  async #readStates(from: ListBytes | null): Promise<Map<string, number>> {
    const { archive } = this.#options
    const wanted = new Map<string, number>()
    let earlier = from
    for (const state of archive.manifest.states) {
      const pieces = await readList(archive, state.entries, earlier)
      await this.#readState(state, pieces, wanted)
      earlier = pieces
    }
    return wanted
  }

  async #readState(
    state: ArchiveState,
    pieces: ListBytes,
    wanted: Map<string, number>,
  ): Promise<void> {
    const totals = new Totals()
    for await (const entry of this.#entries(state, pieces)) {
      totals.add(entry)
      const { content, size = 0 } = entry
      if (content === undefined) continue
      const known = wanted.get(content) ?? size
      if (known !== size) throw new Damage(`${shown(entry.path)} has another size than its content`)
      wanted.set(content, size)
    }
    const { bytes, base } = totals.sum
    if (bytes !== state.bytes || base !== state.dependsOnBase)
      throw new Damage(`state ${state.id} is not what its manifest says`)
  }

  async *#entries({ entries }: ArchiveState, pieces: ListBytes) {
    const { layer, ro, allowed, archive } = this.#options
    const reader = new EntryReader({ tag: layer.tag, version: ro.version }, allowed)
    const kinds = new Set(archive.manifest.kinds)
    for (const line of linesOf(pieces, entries.lines)) {
      const entry = reader.read(line)
      if (!kinds.has(entry.kind))
        throw new Damage(`a ${entry.kind} that its manifest does not name`)
      yield entry
      await this.#pace.breathe()
    }
  }

  /** Reads how contents are made. `open`: some may be there from an earlier state. */
  async #readContents(open: boolean): Promise<void> {
    const { archive } = this.#options
    this.#options.onProgress('reading how files are made')
    for (const { id, content } of await readContents(archive, 'state'))
      this.#contents.set(id, content)
    const scope = archive.manifest.base.digest
    await refuseCircles(
      this.#contents,
      async (id) => open && (await this.#writer.content(scope, id)) !== null,
    )
    for (const id of this.#contents.keys()) {
      if ((await this.#writer.content(scope, id)) === null) this.#fresh.add(id)
      await this.#pace.breathe()
    }
  }

  /** Makes every content once, as it will be in the store; what an earlier state brought was made then. */
  async #checkContents(wanted: ReadonlyMap<string, number>, isLater: boolean): Promise<void> {
    const { archive, trees, temporary, onProgress, signal } = this.#options
    const scope = archive.manifest.base.digest
    for (const [id, size] of wanted) {
      const content = await this.#depot.content(scope, id)
      if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
      if (content.size !== size) throw new Damage(`content ${id.slice(0, 16)} has another size`)
    }
    const ids = [...new Set([...(isLater ? [] : wanted.keys()), ...this.#contents.keys()])]
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      if (signal?.aborted === true) throw new Failure('SVS_CANCELLED')
      const some = ids.slice(at, at + AT_ONCE)
      const job = { scope, ro: trees, temporary, ids: some }
      const [broken] = await runJob('check', job, this.#depot)
      if (broken !== undefined) throw new Damage(broken.why)
      onProgress(`made ${at + some.length} of ${ids.length} files`)
    }
  }

  /** The store with what the archive adds. */
  readonly #depot: DepotReader = {
    chunk: async (id) => (await this.#writer.chunk(id)) ?? (await this.#options.archive.chunk(id)),
    content: async (scope, id) =>
      this.#fresh.has(id) ? this.#contents.get(id)! : await this.#writer.content(scope, id),
  }

  async #write(from: ListBytes | null): Promise<ImportedState[]> {
    const { archive } = this.#options
    await this.#writeContents()
    const done: ImportedState[] = []
    let earlier = from
    try {
      for (const state of archive.manifest.states) {
        this.#options.onProgress(`writing state ${state.id}`)
        const pieces = await readList(archive, state.entries, earlier)
        done.push(await this.#writeState(state, pieces))
        earlier = pieces
      }
      return done
    } catch (err) {
      await this.#options.catalogue.deleteSnapshots(
        done.filter(({ fresh }) => fresh).map(({ snapshot }) => snapshot),
      )
      throw err
    }
  }

  async #writeContents(): Promise<void> {
    const { archive } = this.#options
    const scope = archive.manifest.base.digest
    for (const id of this.#fresh) {
      const content = this.#contents.get(id)!
      for (const { chunks = [] } of content.parts) {
        for (const chunk of chunks) {
          const bytes = await archive.chunk(chunk)
          if (bytes !== null) await this.#writer.putChunk(chunk, bytes)
        }
      }
      await this.#writer.putContent(scope, id, content)
    }
  }

  async #writeState(state: ArchiveState, pieces: ListBytes): Promise<ImportedState> {
    const { catalogue, layer } = this.#options
    const there = await catalogue.findSnapshot(layer.id, state.id)
    if (there !== null && (await stateDigest(catalogue, layer, there)) === state.entries.digest)
      return { snapshot: there, fresh: false }
    const tree = new TreeWriter(this.#writer)
    for await (const entry of this.#entries(state, pieces)) await tree.add({ entry, stamp: null })
    const record = await this.#recordOf(state, there === null ? state.id : newId())
    await this.#writer.publish({ record, pieces: await tree.end(), head: false })
    return { snapshot: record, fresh: true }
  }

  async #recordOf(state: ArchiveState, id: string): Promise<SnapshotRecord> {
    const { catalogue, layer, ro, archive } = this.#options
    const { label, time, message, tags, trigger, parent, counts, dependsOnBase, owners, bytes } =
      state
    const taken = label !== null && (await catalogue.labelled(layer.id, label)) !== null
    const now = Date.now()
    return {
      id,
      layer: layer.id,
      // A clock that is far ahead would make all later states come before this one.
      time: time > now + DAY_MS ? now : time,
      message,
      label: taken ? null : label,
      tags,
      trigger,
      pinned: false,
      parent,
      ro: { version: ro.version, digest: ro.digest },
      // Of no writable sublayer here.
      rw: 0,
      entries: state.entries.lines,
      bytes,
      stored: this.#writer.stored,
      counts,
      journal: null,
      dependsOnBase,
      owners,
      format: 1,
      archive: { payload: archive.payload, signatures: archive.signed.signatures },
    }
  }
}

/** The contents of one scope. Throws Damage where chunks and lists are not each other's. */
export async function readContents(
  archive: Archive,
  wanted: Scope,
): Promise<{ id: string; content: Content }[]> {
  const { contents } = archive.manifest
  const pieces = await readList(archive, contents)
  const found: { id: string; content: Content }[] = []
  const named = new Set(
    archive.lists.flatMap((list) => list.pieces.flatMap(({ chunks }) => chunks)),
  )
  let before = ''
  for (const line of linesOf(pieces, contents.lines)) {
    if (line <= before) throw new Damage('contents out of order')
    before = line
    const { scope, id, content } = readContentLine(line)
    for (const { chunks = [] } of content.parts) for (const chunk of chunks) named.add(chunk)
    if (scope === wanted) found.push({ id, content })
  }
  for (const id of named)
    if (!archive.has(id)) throw new Damage(`chunk ${id.slice(0, 16)} is missing`)
  for (const id of Object.keys(archive.manifest.chunks))
    if (!named.has(id)) throw new Damage(`chunk ${id.slice(0, 16)} is nobody's`)
  return found
}
