// Holding everything in the catalogue against what it says it is.
//
//   records  each by its schema, and the names of states against them
//   chunks   each by its SHA-256
//   lists    read whole; contents made whole in a snapshot thread, with what they refer to in `ro`
//   faults   ─▶ the states and paths that they hurt
//
// Rule: it changes nothing, and goes on after a fault; what several states share is looked at once.

import { Failure } from '../base/failure.ts'
import type { Catalogue } from './catalogue.ts'
import type { Broken, CheckJob } from './check.ts'
import type { Holding } from './claims.ts'
import { Damage, sha256 } from './depot.ts'
import { below, key, lastPart } from './keys.ts'
import { Pace } from './pace.ts'
import { checkRecords } from './record-check.ts'
import type { Piece, SnapshotRecord } from './records.ts'
import { runJob } from './thread.ts'
import { listChunks, readTree, stampChunks } from './tree.ts'

export interface Hurt {
  readonly layer: string
  readonly state: string
  /** The first few, and how many there are. */
  readonly paths: readonly string[]
  readonly count: number
}

export interface BrokenContent {
  /** Paths that have it in some state. */
  readonly paths: ReadonlySet<string>
  /** It needs what is damaged itself, not by way of another content. */
  readonly direct: boolean
}

export interface Fault {
  readonly kind: 'record' | 'chunk' | 'list' | 'content' | 'read-only'
  /** Key in the catalogue. */
  readonly at: string
  readonly why: string
  readonly hurts: readonly Hurt[]
  /** What it breaks, by the keys of contents. */
  readonly broken: ReadonlyMap<string, BrokenContent>
}

export interface Verified {
  readonly states: number
  readonly entries: number
  readonly contents: number
  readonly chunks: number
  readonly bytes: number
  readonly faults: readonly Fault[]
}

export interface VerifyOptions {
  readonly catalogue: Catalogue
  /** Id of the layer whose states are looked at; null for all. */
  readonly layer: string | null
  /** The trees of a read-only part by its digest; none where it is not there. */
  ro(digest: string): readonly string[]
  /** A directory on a disk with room. */
  readonly temporary: string
  readonly pace?: Pace
  readonly onProgress?: (text: string) => void
}

const PATHS_SHOWN = 10
/** Contents that a thread is given at once. */
const AT_ONCE = 200

export async function verify(options: VerifyOptions): Promise<Verified> {
  return new Verification(options).run()
}

const chunksOf = (piece: Piece): string[] => [...listChunks(piece), ...stampChunks(piece)]

/** A fault while its victims are being found. */
interface Open {
  readonly kind: Fault['kind']
  readonly at: string
  readonly why: string
  readonly hurts: Map<string, { layer: string; state: string; paths: string[]; count: number }>
  readonly broken: Map<string, { paths: Set<string>; direct: boolean }>
}

interface List {
  readonly scope: string
  readonly piece: Piece
  readonly states: SnapshotRecord[]
}

class Verification {
  readonly #options: VerifyOptions
  readonly #catalogue: Catalogue
  readonly #pace: Pace
  readonly #faults = new Map<string, Open>()
  /** By scope and chunks. */
  readonly #lists = new Map<string, List>()
  /** Contents by their keys; what is wrong with them, by key of the chunk or content. */
  readonly #contents = new Map<string, string[]>()
  /** What something needs, and what nothing that was found does. */
  readonly #chunks = new Set<string>()
  readonly #garbage = new Set<string>()
  /** Lists that could not be read, and why. */
  readonly #unread: { readonly piece: Piece; readonly why: string }[] = []
  readonly #held: Holding[] = []
  #states = 0
  #entries = 0
  #bytes = 0

  constructor(options: VerifyOptions) {
    this.#options = options
    this.#catalogue = options.catalogue
    this.#pace = options.pace ?? new Pace()
  }

  async run(): Promise<Verified> {
    try {
      return await this.#run()
    } finally {
      for (const held of this.#held) held.release()
    }
  }

  async #run(): Promise<Verified> {
    const { layer } = this.#options
    for (const { at, why } of await checkRecords(this.#catalogue, layer))
      this.#fault('record', at, why)
    const states = await this.#statesThere()
    for (const [at, state] of states.entries()) {
      this.#tell(`reading the list of state ${at + 1} of ${states.length}`)
      await this.#gather(state)
    }
    if (layer === null)
      for await (const at of this.#catalogue.keys(below('chunk')))
        if (!this.#chunks.has(lastPart(at))) this.#garbage.add(lastPart(at))
    await this.#checkChunks()
    this.#checkLists()
    await this.#checkContents()
    for (const list of this.#lists.values()) await this.#blame(list)
    return {
      states: this.#states,
      entries: this.#entries,
      contents: this.#contents.size,
      chunks: this.#chunks.size + this.#garbage.size,
      bytes: this.#bytes,
      faults: [...this.#faults.values()].map(closed),
    }
  }

  async #statesThere(): Promise<SnapshotRecord[]> {
    const { layer } = this.#options
    const range = layer === null ? below('snapshot') : below(`snapshot/${layer}`)
    const states: SnapshotRecord[] = []
    for await (const at of this.#catalogue.keys(range)) {
      const [of, , id] = at.split('/').slice(1) as [string, string, string]
      try {
        const found = await this.#catalogue.findSnapshot(of, id)
        if (found !== null) states.push(found)
      } catch (err) {
        // checkRecords has named it.
        if (!(err instanceof Failure)) throw err
      }
    }
    return states
  }

  async #gather(state: SnapshotRecord): Promise<void> {
    const held = await this.#hold(state)
    if (held === null) return
    this.#states += 1
    const lists = held.pieces.map((piece) => this.#listOf(state, piece))
    // What many states have alike is remembered once.
    const pieces = lists.map(({ piece }) => piece)
    this.#held.push({ pieces, release: this.#catalogue.claims.hold({ snapshot: state, pieces }) })
    held.release()
    for (const list of lists) {
      list.states.push(state)
      if (list.states.length > 1) continue
      for (const id of chunksOf(list.piece)) this.#chunks.add(id)
      await this.#readList(list)
    }
  }

  #listOf({ ro }: SnapshotRecord, piece: Piece): List {
    const name = `${ro.digest} ${listChunks(piece).join(' ')} ${stampChunks(piece).join(' ')}`
    const known = this.#lists.get(name) ?? { scope: ro.digest, piece, states: [] }
    this.#lists.set(name, known)
    return known
  }

  /** Null for a state that was deleted since, and where the damage is told. */
  async #hold(state: SnapshotRecord): Promise<Holding | null> {
    try {
      return await this.#catalogue.hold(state)
    } catch (err) {
      if (!(err instanceof Failure && err.code === 'SVS_CATALOGUE_DAMAGED')) throw err
      this.#states += 1
      this.#fault('list', key.tree(state.id), err.message)
      this.#hurt(key.tree(state.id), [state], '')
      return null
    }
  }

  async #readList({ scope, piece }: List): Promise<void> {
    const entries = await this.#entriesOf(piece)
    this.#entries += entries.length
    for (const { content } of entries)
      if (content !== undefined) await this.#follow(key.content(scope, content))
  }

  /** Of a list that can be read; an unreadable one is a fault of its own, or one of its chunks is. */
  async #entriesOf(piece: Piece): Promise<{ path: string; content?: string | undefined }[]> {
    const entries: { path: string; content?: string | undefined }[] = []
    try {
      for await (const { entry } of readTree(this.#catalogue, [piece])) {
        entries.push({ path: entry.path, content: entry.content })
        await this.#pace.breathe()
      }
    } catch (err) {
      if (!(err instanceof Damage)) throw err
      this.#unread.push({ piece, why: err.message })
    }
    return entries
  }

  /** Takes a content in, with those it refers to and their chunks. */
  async #follow(first: string): Promise<void> {
    const left = [first]
    const named = first.slice('content/'.length, first.lastIndexOf('/'))
    const scope = named === '-' ? '' : named
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (this.#contents.has(at)) continue
      const needs: string[] = []
      this.#contents.set(at, needs)
      const content = await this.#contentAt(scope, lastPart(at))
      for (const part of content?.parts ?? []) {
        for (const chunk of part.chunks ?? []) {
          this.#chunks.add(chunk)
          needs.push(key.chunk(chunk))
        }
        for (const { content: other } of part.references ?? []) {
          if (other === undefined) continue
          needs.push(key.content(scope, other))
          left.push(key.content(scope, other))
        }
      }
      await this.#pace.breathe()
    }
  }

  async #contentAt(scope: string, id: string) {
    try {
      return await this.#catalogue.content(scope, id)
    } catch (err) {
      if (!(err instanceof Failure)) throw err
      this.#fault('content', key.content(scope, id), err.message)
      return null
    }
  }

  async #checkChunks(): Promise<void> {
    let done = 0
    const count = this.#chunks.size + this.#garbage.size
    for (const id of [...this.#chunks, ...this.#garbage]) {
      const bytes = await this.#catalogue.chunk(id)
      this.#bytes += bytes?.length ?? 0
      if (bytes === null) this.#missing(id)
      else if (sha256(bytes) !== id) this.#badChunk(id, 'its bytes are others')
      this.#tell(`checked ${++done} of ${count} chunks`)
      await this.#pace.breathe()
    }
  }

  // Garbage may be removed at any time.
  #missing(id: string): void {
    if (!this.#garbage.delete(id)) this.#badChunk(id, 'it is missing')
  }

  #badChunk(id: string, why: string): void {
    this.#fault('chunk', key.chunk(id), why)
  }

  /** Lists whose chunks are what they say, and that cannot be read all the same. */
  #checkLists(): void {
    for (const { piece, why } of this.#unread) {
      const [first = ''] = piece.list
      if (!listChunks(piece).some((id) => this.#faults.has(key.chunk(id))))
        this.#fault('list', key.chunk(first), why)
    }
  }

  // Those whose chunks are damaged are known to be broken.
  async #checkContents(): Promise<void> {
    const scopes = new Map<string, string[]>()
    for (const at of this.#contents.keys()) {
      if (this.#wrongWith(at).size > 0) continue
      const scope = at.slice('content/'.length, at.lastIndexOf('/'))
      scopes.set(scope, [...(scopes.get(scope) ?? []), lastPart(at)])
    }
    let done = 0
    for (const [scope, ids] of scopes) {
      for (let from = 0; from < ids.length; from += AT_ONCE) {
        await this.#make(scope, ids.slice(from, from + AT_ONCE))
        done += Math.min(AT_ONCE, ids.length - from)
        this.#tell(`made ${done} of ${this.#contents.size} contents`)
      }
    }
  }

  async #make(named: string, ids: readonly string[]): Promise<void> {
    const scope = named === '-' ? '' : named
    const job: CheckJob = {
      scope,
      ro: this.#options.ro(scope),
      temporary: this.#options.temporary,
      ids,
    }
    const broken: Broken[] = await runJob('check', job, this.#catalogue)
    for (const { id, why, readOnly } of broken)
      this.#fault(readOnly ? 'read-only' : 'content', key.content(scope, id), why)
  }

  /** Faults that hurt a content: its own, its chunks', those of what it refers to. */
  #wrongWith(first: string): ReadonlySet<string> {
    const wrong = new Set<string>()
    if (this.#faults.size === 0) return wrong
    const seen = new Set<string>()
    const left = [first]
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (seen.has(at)) continue
      seen.add(at)
      if (this.#faults.has(at)) wrong.add(at)
      left.push(...(this.#contents.get(at) ?? []))
    }
    return wrong
  }

  /** A content, and those on its way to a fault. */
  #between(first: string, fault: string): string[] {
    const needs = this.#contents.get(first) ?? []
    const others = needs.filter((at) => at.startsWith('content/') && this.#wrongWith(at).has(fault))
    return [first, ...others.flatMap((at) => this.#between(at, fault))]
  }

  async #blame({ scope, piece, states }: List): Promise<void> {
    if (this.#faults.size === 0) return
    for (const id of chunksOf(piece))
      if (this.#faults.has(key.chunk(id))) this.#hurt(key.chunk(id), states, piece.first)
    for (const { path, content } of await this.#entriesOf(piece)) {
      if (content === undefined) continue
      for (const at of this.#wrongWith(key.content(scope, content))) {
        this.#hurt(at, states, path)
        const { broken } = this.#faults.get(at)!
        for (const one of this.#between(key.content(scope, content), at)) {
          const direct = one === at || (this.#contents.get(one)?.includes(at) ?? false)
          if (!broken.has(one)) broken.set(one, { paths: new Set(), direct })
        }
        broken.get(key.content(scope, content))?.paths.add(path)
      }
    }
  }

  #fault(kind: Fault['kind'], at: string, why: string): void {
    if (!this.#faults.has(at))
      this.#faults.set(at, { kind, at, why, hurts: new Map(), broken: new Map() })
  }

  #hurt(at: string, states: readonly SnapshotRecord[], path: string): void {
    const { hurts } = this.#faults.get(at)!
    for (const { layer, id: state } of states) {
      const hurt = hurts.get(state) ?? { layer, state, paths: [], count: 0 }
      hurts.set(state, hurt)
      hurt.count += 1
      if (hurt.paths.length < PATHS_SHOWN) hurt.paths.push(path)
    }
  }

  #tell(text: string): void {
    this.#options.onProgress?.(text)
  }
}

const closed = (open: Open): Fault => ({ ...open, hurts: [...open.hurts.values()] })
