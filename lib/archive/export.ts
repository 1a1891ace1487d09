// Making an archive of states, and of the read-only part where it is wanted.
//
//   states ─▶ lines of entries ─▶ contents that they need ─▶ chunks
//   base   ─▶ (base-out.ts)    ─▶      …                       …      ─▶ manifest ─▶ ZIP, or a repository
//
// Rule: what the states consist of is claimed before it is looked at, so that nothing of it is removed
// meanwhile; the file appears last.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import type { Catalogue } from '../snapshot/catalogue.ts'
import type { Holding } from '../snapshot/claims.ts'
import { Damage, type Depot, type DepotReader, sha256 } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import type { Content, LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { differenceOfStates } from '../snapshot/restore.ts'
import { readTree } from '../snapshot/tree.ts'
import type { BaseOut } from './base-out.ts'
import { canonicalText } from './canonical.ts'
import { Closure, contentLines } from './closure.ts'
import { lineOf, type Numbering } from './entry-lines.ts'
import {
  ARCHIVE_VERSION,
  type ArchiveManifest,
  type ArchiveState,
  archiveManifest,
  CHUNK_FOLDER,
  LIMITS,
  MANIFEST_NAME,
  SIGNATURE_NAME,
} from './format.ts'
import { cutLines, digestOf, LineCutter, type Lines, writeList } from './lists.ts'
import { asItCame, withOwners } from './owners.ts'
import { type Signature, type SigningKey, signedText, signPayload } from './signature.ts'
import { ZipOut } from './zip-out.ts'

export interface ExportOptions {
  readonly catalogue: Catalogue
  readonly layer: LayerRecord
  readonly kind: ArchiveManifest['kind']
  /** Oldest first, all made on the same read-only part. */
  readonly states: readonly SnapshotRecord[]
  /** The state that whoever imports has already. */
  readonly from: SnapshotRecord | null
  /** The read-only part that the states were made on, and its trees. */
  readonly ro: LayerRecord['ro']
  readonly trees: readonly string[]
  /** The read-only part, packed, where the archive brings it. */
  readonly base: BaseOut | null
  /** What the layer's manifest says, with variables. */
  readonly manifest: Readonly<Record<string, unknown>>
  readonly key: SigningKey | null
  readonly made: { readonly by: string; readonly host: string }
  /** Where it goes, as Node takes it. */
  readonly path: string
  readonly replace: boolean
  readonly onProgress?: (text: string) => void
}

/** What a chunk is for: repositories pack those of a kind together. */
export type ChunkUse = 'base' | 'state' | 'list'

/** An archive before it is written anywhere. */
export interface Prepared {
  readonly manifest: ArchiveManifest
  /** The bytes of the entries `manifest.json` and `signature`. */
  readonly text: Buffer
  readonly signed: Buffer
  readonly payload: string
  readonly signatures: readonly Signature[]
  useOf(id: string): ChunkUse
  /** Throws Damage. */
  chunk(id: string): Promise<Buffer>
}

export interface Exported {
  readonly path: string
  /** Bytes of the file. */
  readonly bytes: number
  readonly payload: string
  readonly chunks: number
  /** Names of those who have signed it. */
  readonly signers: readonly string[]
}

export async function exportArchive(options: ExportOptions): Promise<Exported> {
  const { path, replace } = options
  if (!replace && existsSync(path)) throw new Failure('SVS_PATH_EXISTS', path)
  return prepareArchive(options, async (prepared) => {
    const bytes = await writeZip(prepared, options)
    return {
      path,
      bytes,
      payload: prepared.payload,
      chunks: Object.keys(prepared.manifest.chunks).length,
      signers: prepared.signatures.map(({ name }) => name),
    }
  })
}

/** Makes an archive, and has it used while what it consists of is held. */
export async function prepareArchive<T>(
  options: Omit<ExportOptions, 'replace'>,
  use: (prepared: Prepared) => Promise<T>,
): Promise<T> {
  const { catalogue, states, from } = options
  const held = new Map<string, Holding>()
  const writer = await catalogue.writer()
  try {
    for (const state of from === null ? states : [...states, from]) {
      const holding = await catalogue.hold(state)
      if (holding === null) throw new Failure('SVS_STATE_NOT_FOUND', state.id, options.layer.name)
      held.set(state.id, holding)
    }
    return await use(await new Export(options, writer, held).prepare())
  } catch (err) {
    if (!(err instanceof Damage)) throw err
    throw new Failure('SVS_CHUNK_DAMAGED', states.at(-1)?.id ?? '', 'its files', err.message, {
      cause: err,
    })
  } finally {
    writer.end()
    for (const { release } of held.values()) release()
  }
}

async function writeZip(
  { manifest, text, signed, chunk }: Prepared,
  { path, replace, onProgress }: ExportOptions,
): Promise<number> {
  const zip = new ZipOut(path)
  try {
    await zip.add(MANIFEST_NAME, text)
    await zip.add(SIGNATURE_NAME, signed)
    const ids = Object.keys(manifest.chunks).sort()
    for (const [at, id] of ids.entries()) {
      await zip.add(`${CHUNK_FOLDER}${id}`, await chunk(id))
      onProgress?.(`wrote ${at + 1} of ${ids.length} chunks`)
    }
    return await zip.end(replace)
  } catch (err) {
    await zip.abandon()
    throw err
  }
}

/** Lists that are made for the archive, in memory: they are small beside what they list. */
class Lists implements Depot {
  readonly chunks = new Map<string, Buffer>()

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    this.chunks.set(id, bytes)
  }

  async chunk(id: string): Promise<Buffer | null> {
    return this.chunks.get(id) ?? null
  }

  content(): Promise<Content | null> {
    throw new TypeError('lists have no contents')
  }

  putContent(): Promise<void> {
    throw new TypeError('lists have no contents')
  }
}

class Export {
  readonly #options: Omit<ExportOptions, 'replace'>
  readonly #depot: DepotReader
  readonly #held: ReadonlyMap<string, Holding>
  readonly #lists = new Lists()
  readonly #pace = new Pace()
  readonly #kinds = new Set<ArchiveManifest['kinds'][number]>()
  readonly #closure: Closure

  constructor(
    options: Omit<ExportOptions, 'replace'>,
    depot: DepotReader,
    held: ReadonlyMap<string, Holding>,
  ) {
    this.#options = options
    this.#held = held
    this.#depot = depot
    this.#closure = new Closure(depot, options.ro.digest)
  }

  async prepare(): Promise<Prepared> {
    const { base, made } = this.#options
    const manifest = await this.#manifest()
    const text = Buffer.from(canonicalText(archiveManifest.parse(manifest)))
    if (text.length > LIMITS.manifest)
      throw new Failure('SVS_ARCHIVE_UNWRITABLE', this.#options.path, 'it has too many parts')
    const payload = createHash('sha256').update(text).digest('hex')
    const signatures = this.#signatures(payload)
    const signed = signedText({ made: { at: Date.now(), ...made }, signatures })
    const useOf = (id: string): ChunkUse => {
      if (this.#lists.chunks.has(id)) return 'list'
      return base?.chunks.has(id) === true ? 'base' : 'state'
    }
    const chunk = (id: string) => this.#chunk(id)
    return { manifest, text, signed, payload, signatures, useOf, chunk }
  }

  async #manifest(): Promise<ArchiveManifest> {
    const { layer, kind, ro, from, base, states } = this.#options
    const described = await this.#states()
    const contents = contentLines(this.#closure.contents, 'state')
    const more = base === null ? [] : contentLines(base.contents, 'base')
    const list = await writeList(this.#lists, cutLines([...more, ...contents]))
    const tree = base === null ? null : await writeList(this.#lists, base.lines)
    for (const kind of base?.kinds ?? []) this.#kinds.add(kind)
    return {
      format: 'svsfs archive',
      version: ARCHIVE_VERSION,
      kind,
      layer: {
        name: layer.name,
        excludes: layer.excludes,
        manifest: { ...this.#options.manifest },
      },
      base: { digest: ro.digest, entries: ro.entries, bytes: ro.bytes, tree },
      from: from === null ? null : { id: from.id, digest: await this.#digestOf(from) },
      states: described,
      changes: kind === 'patch' ? await this.#changes(states.at(-1)!) : null,
      contents: list,
      codecs: this.#codecs(list.pieces.map(({ codec }) => codec)),
      kinds: [...this.#kinds].sort(),
      chunks: await this.#chunks(),
    }
  }

  async #states(): Promise<ArchiveState[]> {
    const { states, from } = this.#options
    let earlier: Lines | null = null
    if (from !== null) {
      const known = await this.#read(from, null)
      earlier = known
    }
    const described: ArchiveState[] = []
    for (const [at, state] of states.entries()) {
      this.#tell(`reading state ${at + 1} of ${states.length}`)
      const lines: Lines = await this.#read(state, this.#closure)
      described.push(await this.#describe(state, lines, earlier))
      earlier = lines
    }
    return described
  }

  async #describe(
    state: SnapshotRecord,
    lines: Lines,
    earlier: Lines | null,
  ): Promise<ArchiveState> {
    const { id, time, message, label, tags, trigger, parent, counts, dependsOnBase, bytes } = state
    const { added, changed, deleted, attributes } = counts
    const { users, groups } = state.owners
    return {
      id,
      time,
      message,
      label,
      tags,
      trigger,
      parent,
      counts: { added, changed, deleted, attributes },
      dependsOnBase,
      owners: { users, groups },
      bytes,
      entries: await writeList(this.#lists, lines, earlier?.pieces ?? null),
    }
  }

  /** A state's lines; what its files need goes into `closure`, or is left out of the archive's for null. */
  async #read(state: SnapshotRecord, closure: Closure | null): Promise<Lines> {
    const { layer, ro } = this.#options
    const numbering: Numbering = { tag: layer.tag, version: state.ro.version }
    const owners = asItCame(state)
    const lines = new LineCutter()
    const known = closure === null ? new Closure(this.#depot, ro.digest) : null
    for await (const { entry } of readTree(this.#depot, this.#held.get(state.id)!.pieces)) {
      lines.add(lineOf(withOwners(entry, owners), numbering))
      if (entry.content !== undefined) await (closure ?? known)!.add(entry.content)
      if (closure !== null) this.#kinds.add(entry.kind)
      await this.#pace.breathe()
    }
    if (known !== null) this.#closure.leaveOut(known)
    return lines.end()
  }

  async #digestOf(state: SnapshotRecord): Promise<string> {
    return stateDigest(this.#options.catalogue, this.#options.layer, state)
  }

  async #changes(after: SnapshotRecord): Promise<NonNullable<ArchiveManifest['changes']>> {
    const { catalogue, from, trees } = this.#options
    // Owners that have other numbers here may differ from those below here alone.
    const known = after.archive?.changes
    if (known !== undefined && known.from === (from?.id ?? null)) {
      const { added, changed, deleted, attributes } = known
      return { added, changed, deleted, attributes }
    }
    const counts = { added: 0, changed: 0, deleted: 0, attributes: 0 }
    const names = { A: 'added', M: 'changed', D: 'deleted', attr: 'attributes' } as const
    // What was renamed is known by inodes, which are others in each store.
    const wish = { renames: false }
    for (const { mark } of await differenceOfStates(catalogue, from, after, trees, wish))
      if (mark !== 'R') counts[names[mark]] += 1
    return counts
  }

  #codecs(lists: readonly ('zstd' | 'brotli')[]): ArchiveManifest['codecs'] {
    const all = [
      ...this.#closure.contents.values(),
      ...(this.#options.base?.contents.values() ?? []),
    ]
    const codecs = all.flatMap(({ parts }) => parts.map(({ codec }) => codec))
    return [...new Set([...codecs, ...lists])].sort()
  }

  // Each is read here, so that a damaged one is found before the file is begun.
  async #chunks(): Promise<Record<string, number>> {
    const { base } = this.#options
    const ids = new Set([
      ...this.#closure.chunks,
      ...(base?.chunks ?? []),
      ...this.#lists.chunks.keys(),
    ])
    const lengths: Record<string, number> = {}
    let done = 0
    for (const id of [...ids].sort()) {
      lengths[id] = (await this.#chunk(id)).length
      this.#tell(`looked at ${++done} of ${ids.size} chunks`)
      await this.#pace.breathe()
    }
    return lengths
  }

  async #chunk(id: string): Promise<Buffer> {
    const bytes =
      this.#lists.chunks.get(id) ??
      (await this.#options.base?.chunk(id)) ??
      (await this.#depot.chunk(id))
    if (bytes === null) throw new Damage(`chunk ${id.slice(0, 16)} is missing`)
    if (sha256(bytes) !== id) throw new Damage(`chunk ${id.slice(0, 16)} is altered`)
    return bytes
  }

  // Who signed the very same before, where it was imported from them, still does.
  #signatures(payload: string): Signature[] {
    const { states, key } = this.#options
    const kept = new Map<string, Signature>()
    for (const { archive } of states)
      if (archive?.payload === payload) for (const one of archive.signatures) kept.set(one.key, one)
    const own = key === null ? [] : [signPayload(payload, key)]
    for (const one of own) kept.delete(one.key)
    return [...kept.values(), ...own]
  }

  #tell(text: string): void {
    this.#options.onProgress?.(text)
  }
}

/** The lines of a state, as archives have them. Throws Damage. */
export async function stateLines(
  catalogue: Catalogue,
  layer: Pick<LayerRecord, 'tag'>,
  state: SnapshotRecord,
): Promise<Lines> {
  const numbering: Numbering = { tag: layer.tag, version: state.ro.version }
  const owners = asItCame(state)
  const lines = new LineCutter()
  for await (const { entry } of readTree(catalogue, await catalogue.pieces(state.id)))
    lines.add(lineOf(withOwners(entry, owners), numbering))
  return lines.end()
}

/** What two stores that have the same state both say of it. Throws Damage. */
export const stateDigest = async (
  catalogue: Catalogue,
  layer: Pick<LayerRecord, 'tag'>,
  state: SnapshotRecord,
): Promise<string> => digestOf((await stateLines(catalogue, layer, state)).pieces)
