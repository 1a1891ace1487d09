// The store together with what archives that are being taken add to it.
//
//   store ─┐
//   first ─┼▶ chunks, contents, states      a later archive may refer to what an earlier one brings
//   later ─┘
//
// Rule: what the store has already counts, then what came first; nothing is written here.

import type { DepotReader } from '../snapshot/depot.ts'
import type { Content, SnapshotRecord } from '../snapshot/records.ts'
import type { NewSnapshot, SnapshotWriter } from '../snapshot/writer.ts'
import type { Archive } from './archive.ts'
import type { ListBytes } from './lists.ts'

/** A state of an archive that was checked. */
export interface Brought {
  readonly path: string
  /** Of its lines. */
  readonly digest: string
  /** Digest of the read-only part under it. */
  readonly base: string
  /** Its lines, where a later archive comes after it. */
  readonly pieces: ListBytes | null
}

export class Arriving implements DepotReader {
  readonly writer: SnapshotWriter
  /** By id. */
  readonly brought = new Map<string, Brought>()
  readonly #written = new Map<
    string,
    { readonly digest: string; readonly record: SnapshotRecord }
  >()
  readonly #labels = new Set<string | null>()
  readonly #states: NewSnapshot[] = []
  #counted = 0
  readonly #archives: Archive[] = []
  readonly #contents = new Map<string, Content>()

  constructor(writer: SnapshotWriter) {
    this.writer = writer
  }

  /** From here on its chunks are there. */
  add(archive: Archive): void {
    this.#archives.push(archive)
  }

  /** Adds a content that neither the store nor an archive before has. */
  addContent(scope: string, id: string, content: Content): void {
    this.#contents.set(`${scope}/${id}`, content)
  }

  /** What the last batch writes. */
  get states(): readonly NewSnapshot[] {
    return this.#states
  }

  /** `id` and `digest` are those of its archive. */
  addState(state: NewSnapshot, id: string, digest: string): void {
    const { record } = state
    this.#states.push(state)
    this.#labels.add(record.label)
    if (!this.#written.has(id)) this.#written.set(id, { digest, record })
  }

  /** The state that an archive before called so. */
  writtenAs(id: string): { readonly digest: string; readonly record: SnapshotRecord } | null {
    return this.#written.get(id) ?? null
  }

  hasLabel(label: string): boolean {
    return this.#labels.has(label)
  }

  /** Bytes that were stored since this was asked last. */
  storedSince(): number {
    const before = this.#counted
    this.#counted = this.writer.stored
    return this.#counted - before
  }

  async chunk(id: string): Promise<Buffer | null> {
    return (await this.writer.chunk(id)) ?? (await this.chunkOfArchives(id))
  }

  async chunkOfArchives(id: string): Promise<Buffer | null> {
    for (const archive of this.#archives) {
      const bytes = await archive.chunk(id)
      if (bytes !== null) return bytes
    }
    return null
  }

  async content(scope: string, id: string): Promise<Content | null> {
    return this.#contents.get(`${scope}/${id}`) ?? (await this.writer.content(scope, id))
  }
}
