// An archive that is read: its manifest, its signatures, its chunks.
//
//   file       ─▶ ZipIn  ─┐
//   host       ─▶ parts   ─┤
//   repository ─▶ Pulled ─┴▶ manifest (schema, bounds) ─▶ signature (each of them) ─▶ chunks (length, digest)
//
// Rule: it may come from anybody. Opening it checks all but the chunks; `check` holds every chunk against
// its digest, and must have passed before anything is written.

import { createHash } from 'node:crypto'
import { Failure } from '../base/failure.ts'
import { isLayerName } from '../layer/layer.ts'
import { isPattern } from '../layer/manifest.ts'
import { Damage, type DepotReader, sha256 } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import { wantedBy } from '../snapshot/wanted.ts'
import { canonicalText } from './canonical.ts'
import {
  ARCHIVE_VERSION,
  type ArchiveList,
  type ArchiveManifest,
  archiveManifest,
  CHUNK_FOLDER,
  MANIFEST_NAME,
  SIGNATURE_NAME,
} from './format.ts'
import { readSigned, type Signed } from './signature.ts'
import { ZipIn } from './zip-in.ts'

/** Where the entries of an archive are read: a file, or what was fetched of a repository. */
export interface ArchiveSource {
  /** What failures call it. */
  readonly path: string
  /** Bytes of all of it. */
  readonly size: number
  /** Manifest and signature first, then the chunks. */
  readonly names: readonly string[]
  lengthOf(name: string): number
  /** The bytes of an entry; null where there is none. */
  read(name: string): Promise<Buffer | null>
  /** Chunks that were not brought, because nobody needs them here. */
  readonly without?: ReadonlySet<string>
  /** Chunks may be missing that the store has; the others were held against their names when they came. */
  readonly isPartial?: true
  close(): Promise<void>
}

export class Archive implements DepotReader {
  readonly path: string
  readonly manifest: ArchiveManifest
  /** Digest of the manifest, which names all that is in it. */
  readonly payload: string
  readonly signed: Signed
  /** Bytes of the file. */
  readonly size: number
  readonly #source: ArchiveSource

  private constructor(
    source: ArchiveSource,
    manifest: ArchiveManifest,
    payload: string,
    signed: Signed,
  ) {
    this.path = source.path
    this.size = source.size
    this.#source = source
    this.manifest = manifest
    this.payload = payload
    this.signed = signed
  }

  /** Throws SVS_SOURCE_NOT_FOUND, SVS_ARCHIVE_DAMAGED, SVS_ARCHIVE_NEWER, SVS_SIGNATURE_INVALID. */
  static async open(path: string): Promise<Archive> {
    return Archive.from(await ZipIn.open(path))
  }

  /** The same of another source, which is closed where this fails, and with the archive. */
  static async from(source: ArchiveSource): Promise<Archive> {
    const { path } = source
    try {
      const text = (await source.read(MANIFEST_NAME))!
      const manifest = readManifest(text, path)
      if (source.isPartial !== true) mustFit(source, manifest)
      const payload = createHash('sha256').update(text).digest('hex')
      const signed = readSigned((await source.read(SIGNATURE_NAME))!, payload, path)
      return new Archive(source, manifest, payload, signed)
    } catch (err) {
      await source.close()
      throw err
    }
  }

  /** The bytes of a chunk, held against its name. Throws Damage. */
  async chunk(id: string): Promise<Buffer | null> {
    const bytes = await this.#source.read(`${CHUNK_FOLDER}${id}`)
    if (bytes !== null && sha256(bytes) !== id)
      throw new Damage(`chunk ${id.slice(0, 16)} is altered`)
    return bytes
  }

  has(id: string): boolean {
    return Object.hasOwn(this.manifest.chunks, id)
  }

  content(): Promise<null> {
    throw new TypeError('an archive has contents in a list')
  }

  /** The bytes of manifest and signature, as they lie in it. */
  async texts(): Promise<{ manifest: Buffer; signature: Buffer }> {
    const [manifest, signature] = [MANIFEST_NAME, SIGNATURE_NAME].map((name) =>
      this.#source.read(name),
    )
    return { manifest: (await manifest)!, signature: (await signature)! }
  }

  /** Holds every chunk against its digest. Throws Damage. */
  async check(onProgress: (text: string) => void, signal: AbortSignal | null): Promise<void> {
    if (this.#source.isPartial === true) return
    const { without } = this.#source
    const ids = Object.keys(this.manifest.chunks).filter((id) => without?.has(id) !== true)
    const pace = new Pace(1, signal)
    for (const [at, id] of ids.entries()) {
      await this.chunk(id)
      onProgress(`checked ${at + 1} of ${ids.length} chunks`)
      await pace.breathe()
    }
  }

  /** The same, for whoever does nothing with it. Throws SVS_ARCHIVE_DAMAGED. */
  async checkAll(onProgress: (text: string) => void): Promise<void> {
    try {
      await this.check(onProgress, null)
    } catch (cause) {
      if (!(cause instanceof Damage)) throw cause
      throw new Failure('SVS_ARCHIVE_DAMAGED', this.path, cause.message, { cause })
    }
  }

  /** All lists that it has. */
  get lists(): ArchiveList[] {
    const { states, base, contents } = this.manifest
    return [
      ...states.map(({ entries }) => entries),
      ...(base.tree === null ? [] : [base.tree]),
      contents,
    ]
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

function readManifest(bytes: Buffer, path: string): ArchiveManifest {
  const damaged = (why: string, cause?: unknown) =>
    new Failure('SVS_ARCHIVE_DAMAGED', path, `its manifest: ${why}`, { cause })
  const raw = parsed(bytes)
  const { format, version } = (raw ?? {}) as { format?: unknown; version?: unknown }
  if (format !== 'svsfs archive') throw damaged('it is not one of an svsfs archive')
  if (typeof version === 'number' && version > ARCHIVE_VERSION)
    throw new Failure('SVS_ARCHIVE_NEWER', path, version, ARCHIVE_VERSION)
  const read = archiveManifest.safeParse(raw)
  if (!read.success) throw damaged(wantedBy(read.error))
  const manifest = read.data
  // One text for one meaning: fields that are there twice are not seen by everybody alike.
  if (canonicalText(manifest) !== bytes.toString()) throw damaged('it is not in its one form')
  if (!isLayerName(manifest.layer.name)) throw damaged('the layer has no name')
  if (!manifest.layer.excludes.every(isPattern))
    throw damaged('the layer has excludes that are none')
  checkStates(manifest, damaged)
  return manifest
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}

function checkStates(
  { kind, states, from, base }: ArchiveManifest,
  damaged: (why: string) => Failure,
): void {
  const ids = new Set<string>()
  let before = from?.id ?? null
  for (const { id, time } of states) {
    if (ids.has(id) || id === from?.id) throw damaged(`state ${id} is there twice`)
    if (!Number.isSafeInteger(time)) throw damaged(`state ${id} has no time`)
    ids.add(id)
    before = id
  }
  for (const { id, parent } of states)
    if (parent !== null && ids.has(parent) && isLater(states, parent, id))
      throw damaged(`state ${id} comes before its own parent`)
  if (kind === 'patch' && before === null) throw damaged('a patch without a state')
  if (kind === 'patch' && states.length === 0) throw damaged('a patch without a state')
  if (kind === 'layer' && base.tree === null) throw damaged('a layer without its read-only part')
  if (kind === 'layer' && from !== null) throw damaged('a layer that comes after a state')
}

const isLater = (states: readonly { id: string }[], one: string, other: string): boolean =>
  states.findIndex(({ id }) => id === one) >= states.findIndex(({ id }) => id === other)

// The entries are those that the manifest names, each as long as it says.
function mustFit(source: ArchiveSource, { chunks }: ArchiveManifest): void {
  const damaged = (why: string) => new Failure('SVS_ARCHIVE_DAMAGED', source.path, why)
  const there = source.names.slice(2)
  for (const name of there)
    if (!Object.hasOwn(chunks, name.slice(CHUNK_FOLDER.length)))
      throw damaged(`entry ${name} is not in its manifest`)
  for (const [id, length] of Object.entries(chunks)) {
    const name = `${CHUNK_FOLDER}${id}`
    if (source.lengthOf(name) !== length)
      throw damaged(`entry ${name} is missing, or has another length`)
  }
}
