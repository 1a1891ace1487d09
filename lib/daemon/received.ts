// An archive that another machine sends: its parts as they came, and what is still wanted of it.
//
//   incoming/<payload> + catalogue ─▶ Archive ─▶ wanted: lists first, then chunks of what is new
//
// Rule: a chunk that the store has is not asked for; nor is one of a content, or of a read-only part,
// that it has.

import { Archive, type ArchiveSource } from '../archive/archive.ts'
import type { ArchiveManifest } from '../archive/format.ts'
import { CHUNK_FOLDER, MANIFEST_NAME, SIGNATURE_NAME } from '../archive/format.ts'
import { archiveFailure, readContents } from '../archive/import.ts'
import { Failure } from '../base/failure.ts'
import { Incoming } from '../deploy/incoming.ts'
import { MOST_WANTED, type Wanted } from '../deploy/messages.ts'
import { key } from '../snapshot/keys.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'

export interface Received {
  readonly archive: Archive
  readonly incoming: Incoming
}

/** Throws SVS_ARCHIVE_DAMAGED and what Archive.from throws. */
export async function withReceived<T>(
  control: Control,
  payload: string,
  use: (received: Received) => Promise<T>,
): Promise<T> {
  const { incoming: dir } = control.store.places
  const name = `the archive ${payload.slice(0, 16)}`
  if (!Incoming.isThere(dir, payload))
    throw new Failure('SVS_ARCHIVE_DAMAGED', name, 'nothing of it has come')
  const incoming = new Incoming(dir, payload, true)
  const archive = await Archive.from(entriesOf(control, incoming, name))
  try {
    if (archive.payload !== payload)
      throw new Failure('SVS_ARCHIVE_DAMAGED', name, 'it is another one')
    return await use({ archive, incoming })
  } catch (err) {
    throw archiveFailure(err, name)
  } finally {
    await archive.close()
  }
}

function entriesOf({ catalogue }: Control, incoming: Incoming, path: string): ArchiveSource {
  return {
    path,
    size: incoming.size,
    isPartial: true,
    names: [],
    lengthOf: (name) => incoming.lengthOf(name.slice(CHUNK_FOLDER.length)),
    async read(name) {
      if (name === MANIFEST_NAME) return incoming.text('manifest')
      if (name === SIGNATURE_NAME) return incoming.text('signature')
      const id = name.slice(CHUNK_FOLDER.length)
      return incoming.chunk(id) ?? catalogue.chunk(id)
    },
    close: async () => incoming.close(),
  }
}

/** What a layer of this store lacks for an archive to be taken into it. Throws SVS_ARCHIVE_BASE and the like. */
export async function refuseUnfit(
  control: Control,
  layer: LayerRecord | null,
  name: string,
  { path, manifest }: Archive,
): Promise<void> {
  const { base, from, kind } = manifest
  if (layer === null && base.tree === null) throw new Failure('SVS_LAYER_NOT_FOUND', name)
  if (layer !== null && kind === 'layer') throw new Failure('SVS_LAYER_EXISTS', name)
  if (base.tree === null && !hasBase(layer, manifest)) {
    const here = (layer?.versions ?? []).map(({ digest }) => digest.slice(0, 16)).join(', ')
    const wanted = base.digest.slice(0, 16)
    throw new Failure('SVS_ARCHIVE_BASE', path, wanted, manifest.layer.name, here)
  }
  const known = layer === null || from === null
  if (
    from !== null &&
    (known || (await control.catalogue.findSnapshot(layer.id, from.id)) === null)
  )
    throw new Failure('SVS_ARCHIVE_GAP', path, from.id, name, 'is not there')
}

const hasBase = (layer: LayerRecord | null, { base }: ArchiveManifest): boolean =>
  layer?.versions.some(({ digest }) => digest === base.digest) ?? false

/** What has to be sent next. */
export async function wantedOf(
  control: Control,
  layer: LayerRecord | null,
  { archive, incoming }: Received,
): Promise<Wanted> {
  const { manifest } = archive
  const skipBase = hasBase(layer, manifest)
  const lists = skipBase
    ? archive.lists.filter((list) => list !== manifest.base.tree)
    : archive.lists
  const ofLists = lists.flatMap(({ pieces }) => pieces.flatMap(({ chunks }) => chunks))
  const lacking = await lackingOf(control, incoming, ofLists)
  if (lacking.length > 0) return wanted(manifest, lacking)
  const { digest } = manifest.base
  const needed: string[] = skipBase ? [] : await chunksOf(archive, 'base', async () => true)
  needed.push(
    ...(await chunksOf(
      archive,
      'state',
      async (id) => !(await control.catalogue.has(key.content(digest, id))),
    )),
  )
  return wanted(manifest, await lackingOf(control, incoming, needed))
}

async function chunksOf(
  archive: Archive,
  scope: 'state' | 'base',
  isNew: (id: string) => Promise<boolean>,
): Promise<string[]> {
  const chunks: string[] = []
  for (const { id, content } of await readContents(archive, scope))
    if (await isNew(id)) chunks.push(...content.parts.flatMap(({ chunks = [] }) => chunks))
  return chunks
}

async function lackingOf(
  { catalogue }: Control,
  incoming: Incoming,
  ids: readonly string[],
): Promise<string[]> {
  const lacking: string[] = []
  for (const id of new Set(ids))
    if (!incoming.has(id) && !(await catalogue.has(key.chunk(id)))) lacking.push(id)
  return lacking
}

function wanted({ chunks }: ArchiveManifest, ids: readonly string[]): Wanted {
  const bytes = ids.reduce((sum, id) => sum + (chunks[id] ?? 0), 0)
  return { wanted: ids.slice(0, MOST_WANTED), chunks: ids.length, bytes }
}
