// Taking the states of archives into a layer of this store.
//
//   archives ─▶ lists read and checked ─▶ contents followed, every one made once (a snapshot thread)
//            ├────── nothing is written before this line, of any of them ──────
//            └▶ chunks, contents, lists ─▶ one batch: all states, and the layer where they bring it
//
// Rule: what the store has already counts, not what an archive says of it; so what is checked is what
// will be there. A failure or a crash leaves no state, at most chunks that gc removes.

import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import type { Accounts } from '../host/accounts.ts'
import { type Catalogue, newId } from '../snapshot/catalogue.ts'
import { Damage } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import type { Content, LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { runJob } from '../snapshot/thread.ts'
import { Totals, TreeWriter } from '../snapshot/tree.ts'
import type { Archive } from './archive.ts'
import { Arriving } from './arriving.ts'
import { readContentLine, refuseCircles, type Scope } from './closure.ts'
import { type Allowed, EntryReader, Escape } from './entry-lines.ts'
import { stateDigest, stateLines } from './export.ts'
import type { ArchiveState } from './format.ts'
import { type ListBytes, linesOf, readList } from './lists.ts'
import { type Renumbering, renumberingOf, wayBack, withOwners } from './owners.ts'

/** An archive, and what its states lie over: the read-only part's version here, and its trees. */
export interface ImportPart {
  readonly archive: Archive
  readonly ro: LayerRecord['ro']
  readonly trees: readonly string[]
}

export interface ImportOptions {
  readonly catalogue: Catalogue
  readonly layer: LayerRecord
  /** Each after the one that brings the state it comes after. */
  readonly parts: readonly ImportPart[]
  /** Write the layer's record along with the states: it is new, or has a version that they bring. */
  readonly withLayer: boolean
  /** A directory on a disk with room. */
  readonly temporary: string
  readonly allowed: Allowed
  /** Whose numbers owners of the same name get; null: they keep those of the archive. */
  readonly accounts: Accounts | null
  readonly signal: AbortSignal | null
  readonly onProgress: (text: string) => void
}

export interface ImportedState {
  readonly snapshot: SnapshotRecord
  /** False where the layer had it already. */
  readonly fresh: boolean
}

/** Throws SVS_ARCHIVE_DAMAGED, SVS_ARCHIVE_ESCAPES, SVS_ARCHIVE_DEVICE, SVS_ARCHIVE_GAP. */
export async function importStates(options: ImportOptions): Promise<ImportedState[]> {
  const { catalogue, layer, withLayer } = options
  const writer = await catalogue.writer()
  try {
    const arriving = new Arriving(writer)
    const comesAfter = new Set(options.parts.map(({ archive }) => archive.manifest.from?.id))
    const parts = options.parts.map((part) => new PartImport(options, part, arriving, comesAfter))
    for (const part of parts) await part.check()
    const imported: ImportedState[] = []
    for (const part of parts) imported.push(...(await part.write()))
    await writer.publishAll(arriving.states, withLayer ? layer : null)
    return imported
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

/** One of the archives. */
class PartImport {
  readonly #options: ImportOptions
  readonly #part: ImportPart
  readonly #arriving: Arriving
  /** Ids of states that archives come after. */
  readonly #comesAfter: ReadonlySet<string | undefined>
  readonly #pace: Pace
  readonly #contents = new Map<string, Content>()
  /** Those of the archive that the store lacks. */
  readonly #fresh = new Set<string>()
  /** By state. */
  readonly #owners = new Map<string, Renumbering>()
  /** The lines of the state that it comes after. */
  #from: ListBytes | null = null

  constructor(
    options: ImportOptions,
    part: ImportPart,
    arriving: Arriving,
    comesAfter: ReadonlySet<string | undefined>,
  ) {
    this.#options = options
    this.#part = part
    this.#arriving = arriving
    this.#comesAfter = comesAfter
    this.#pace = new Pace(1, options.signal)
  }

  get #scope(): string {
    return this.#part.archive.manifest.base.digest
  }

  /** Throws what is wrong with it, before anything is written. */
  check(): Promise<void> {
    return this.#named(async () => {
      const { archive } = this.#part
      const { onProgress, signal } = this.#options
      await archive.check(onProgress, signal)
      this.#from = await this.#linesBefore()
      this.#arriving.add(archive)
      const wanted = await this.#readStates()
      await this.#readContents()
      await this.#checkContents(wanted)
    })
  }

  /** Writes all that its states consist of, and leaves their records to the last batch. */
  write(): Promise<ImportedState[]> {
    return this.#named(async () => {
      const { archive } = this.#part
      await this.#writeContents()
      const done: ImportedState[] = []
      let earlier = this.#from
      for (const state of archive.manifest.states) {
        this.#options.onProgress(`writing state ${state.id}`)
        const pieces = await readList(archive, state.entries, earlier)
        done.push(await this.#writeState(state, pieces))
        earlier = pieces
      }
      return done
    })
  }

  async #named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (err) {
      throw archiveFailure(err, this.#part.archive.path)
    }
  }

  async #linesBefore(): Promise<ListBytes | null> {
    const { archive } = this.#part
    const { catalogue, layer } = this.#options
    const { from } = archive.manifest
    if (from === null) return null
    const brought = this.#arriving.brought.get(from.id)
    if (brought?.digest === from.digest && brought.base === this.#scope) return brought.pieces
    const state = await catalogue.findSnapshot(layer.id, from.id)
    const gap = (why: string) =>
      new Failure('SVS_ARCHIVE_GAP', archive.path, from.id, layer.name, why)
    if (state === null && brought === undefined) throw gap('is not there')
    if (state === null) throw gap(`is another one in ${brought!.path}`)
    if (state.ro.digest !== this.#scope) throw gap('lies over another read-only part')
    if ((await stateDigest(catalogue, layer, state)) !== from.digest)
      throw gap('is another one here')
    return (await stateLines(catalogue, layer, state)).pieces
  }

  /** Reads all lists. Answers the contents that their files have, with their sizes. */
  async #readStates(): Promise<Map<string, number>> {
    const { archive } = this.#part
    const wanted = new Map<string, number>()
    let earlier = this.#from
    for (const state of archive.manifest.states) {
      const pieces = await readList(archive, state.entries, earlier)
      await this.#readState(state, pieces, wanted)
      earlier = pieces
      this.#arriving.brought.set(state.id, {
        path: archive.path,
        digest: state.entries.digest,
        base: this.#scope,
        pieces: this.#comesAfter.has(state.id) ? pieces : null,
      })
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
    const { bytes, base, users, groups } = totals.sum
    this.#owners.set(
      state.id,
      renumberingOf(state.owners, { users, groups }, this.#options.accounts),
    )
    if (bytes !== state.bytes || base !== state.dependsOnBase)
      throw new Damage(`state ${state.id} is not what its manifest says`)
  }

  async *#entries({ entries }: ArchiveState, pieces: ListBytes) {
    const { layer, allowed } = this.#options
    const { archive, ro } = this.#part
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

  /** Reads how contents are made; where it comes after a state, that may have brought some. */
  async #readContents(): Promise<void> {
    this.#options.onProgress('reading how files are made')
    for (const { id, content } of await readContents(this.#part.archive, 'state'))
      this.#contents.set(id, content)
    const isThere = async (id: string) => (await this.#arriving.content(this.#scope, id)) !== null
    await refuseCircles(this.#contents, async (id) => this.#from !== null && (await isThere(id)))
    for (const id of this.#contents.keys()) {
      if (!(await isThere(id))) this.#fresh.add(id)
      await this.#pace.breathe()
    }
    for (const id of this.#fresh)
      this.#arriving.addContent(this.#scope, id, this.#contents.get(id)!)
  }

  /** Makes every content once, as it will be in the store; what an earlier state brought was made then. */
  async #checkContents(wanted: ReadonlyMap<string, number>): Promise<void> {
    const { temporary, onProgress, signal } = this.#options
    const { trees } = this.#part
    const scope = this.#scope
    for (const [id, size] of wanted) {
      const content = await this.#arriving.content(scope, id)
      if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
      if (content.size !== size) throw new Damage(`content ${id.slice(0, 16)} has another size`)
    }
    const first = this.#from === null ? wanted.keys() : []
    const ids = [...new Set([...first, ...this.#contents.keys()])]
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      if (signal?.aborted === true) throw new Failure('SVS_CANCELLED')
      const some = ids.slice(at, at + AT_ONCE)
      const job = { scope, ro: trees, temporary, ids: some }
      const [broken] = await runJob('check', job, this.#arriving)
      if (broken !== undefined) throw new Damage(broken.why)
      onProgress(`made ${at + some.length} of ${ids.length} files`)
    }
  }

  async #writeContents(): Promise<void> {
    const { writer } = this.#arriving
    for (const id of this.#fresh) {
      const content = this.#contents.get(id)!
      for (const { chunks = [] } of content.parts) {
        for (const chunk of chunks) {
          const bytes = await this.#arriving.chunkOfArchives(chunk)
          if (bytes !== null) await writer.putChunk(chunk, bytes)
        }
      }
      await writer.putContent(this.#scope, id, content)
    }
  }

  async #writeState(state: ArchiveState, pieces: ListBytes): Promise<ImportedState> {
    const { catalogue, layer } = this.#options
    const { id } = state
    const { digest } = state.entries
    const before = this.#arriving.writtenAs(id)
    if (before?.digest === digest && before.record.ro.digest === this.#scope)
      return { snapshot: before.record, fresh: false }
    const there = await catalogue.findSnapshot(layer.id, id)
    if (there?.ro.digest === this.#scope && (await stateDigest(catalogue, layer, there)) === digest)
      return { snapshot: there, fresh: false }
    const tree = new TreeWriter(this.#arriving.writer)
    const owners = this.#owners.get(id)!
    for await (const entry of this.#entries(state, pieces))
      await tree.add({ entry: withOwners(entry, owners), stamp: null })
    const list = await tree.end()
    const isTaken = there !== null || before !== null
    const record = await this.#recordOf(state, isTaken ? newId() : id)
    this.#arriving.addState({ record, pieces: list, head: false }, id, digest)
    return { snapshot: record, fresh: true }
  }

  async #recordOf(state: ArchiveState, id: string): Promise<SnapshotRecord> {
    const { catalogue, layer } = this.#options
    const { ro, archive } = this.#part
    const { label, time, message, tags, trigger, parent, counts, dependsOnBase, owners, bytes } =
      state
    const taken =
      label !== null &&
      (this.#arriving.hasLabel(label) || (await catalogue.labelled(layer.id, label)) !== null)
    const there = wayBack(this.#owners.get(state.id)!)
    const { from, changes, states } = archive.manifest
    const counted = there !== undefined && changes !== null && states.at(-1) === state
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
      stored: this.#arriving.storedSince(),
      counts,
      journal: null,
      dependsOnBase,
      owners,
      format: 1,
      archive: {
        payload: archive.payload,
        signatures: archive.signed.signatures,
        ...(there === undefined ? {} : { owners: there }),
        ...(counted ? { changes: { from: from?.id ?? null, ...changes } } : {}),
      },
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
