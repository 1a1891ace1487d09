// Repositories: states and layers brought to a registry, a directory or a file server, and taken from there.
//
//   push   what export makes ─▶ packs ─▶ blobs that are not there yet ─▶ a tag     lib/repository/push.ts
//   pull   a tag ─▶ chunks that are not here yet ─▶ what import does with an archive
//
// Rule: what is pulled is an archive from anybody: the same checks as for a file, before anything is written.

import type { z } from 'zod'
import type { Archive } from '../archive/archive.ts'
import type { Prepared } from '../archive/export.ts'
import type { ImportedState } from '../archive/import.ts'
import { Failure } from '../base/failure.ts'
import { layerName } from '../layer/layer.ts'
import type { Summary } from '../repository/format.ts'
import { type Listed, listRepository } from '../repository/list.ts'
import { openRepository } from '../repository/open.ts'
import { type Place, placeOf, placeText } from '../repository/place.ts'
import type { Pulled } from '../repository/pulled.ts'
import { type Pushed, push, type Relative } from '../repository/push.ts'
import { Damage } from '../snapshot/depot.ts'
import {
  answerWith,
  type ExportWish,
  exported,
  exportedShape,
  exporting,
  type ImportAnswer,
  signalOf,
  takeArchives,
  takenShape,
  tellExported,
} from './archive-methods.ts'
import type { Control } from './control.ts'
import { relativesOf, rememberRepository } from './known-repositories.ts'
import { type Call, method } from './method.ts'
import { type At, atShape, opened } from './repository-at.ts'

const pushShape = exportedShape.extend(atShape.shape)
const pullShape = takenShape.extend(atShape.shape)

export interface PushAnswer extends Pushed {
  readonly place: string
  readonly payload: string
  readonly signers: readonly string[]
  readonly layer: string
  readonly kind: 'patch' | 'layer'
  readonly states: readonly string[]
  readonly from: string | null
}

export interface PullAnswer extends ImportAnswer {
  readonly place: string
  readonly payload: string
  /** Bytes of chunks that were fetched. */
  readonly fetched: number
}

export interface RepositoryAnswer {
  readonly place: string
  readonly tags: readonly Listed[]
}

export const repositoryMethods = {
  push: method(pushShape, pushStates),
  pull: method(pullShape, pullArchive),
  'repo.list': method(atShape, listTags),
} as const

const MOST_RELATIVES = 4

async function pushStates(
  control: Control,
  { place: text, credentials, plainHttp, ...wish }: z.infer<typeof pushShape>,
  call: Call,
): Promise<PushAnswer> {
  return pushTo(control, wish, { place: text, credentials, plainHttp }, call)
}

/** Brings what a wish names to a place. */
export async function pushTo(
  control: Control,
  wish: ExportWish,
  at: At,
  call: Call,
): Promise<PushAnswer> {
  const place = placeOf(at.place)
  if (place.pick?.digest != null)
    throw new Failure('SVS_REPOSITORY_NAME', at.place, 'what is pushed gets a tag, not a digest')
  const tag = place.pick?.tag ?? (place.kind === 'directory' ? wish.layer : 'latest')
  const named = placeText({ ...place, pick: { tag, digest: null } })
  return exporting(control, wish, call, async (options) => {
    const { prepareArchive } = await import('../archive/export.ts')
    const repository = await opened(control, place, at, signalOf(control, call), true)
    const relatives = relatedTo(control, place, at, call)
    try {
      return await prepareArchive({ ...options, path: named }, async (prepared) => {
        const pushing = await pushingOf(prepared)
        const told = { relatives, onProgress: call.progress }
        const done = await push(repository, tag, pushing, told)
        rememberRepository(control, place)
        if (done.fresh) tellExported(control, options, named)
        const { payload, signers } = { payload: prepared.payload, signers: pushing.signers }
        return { ...done, ...exported(options), place: named, payload, signers: [...signers] }
      })
    } finally {
      for (const each of [repository, ...relatives.map((one) => one.repository)]) await each.close()
    }
  })
}

async function pushingOf({ manifest, text, signed, payload, signatures, ...rest }: Prepared) {
  const { readSigned } = await import('../archive/signature.ts')
  const keys = signatures.map(({ key }) => key)
  const isSigned = (there: Buffer): boolean => {
    try {
      const known = new Set(readSigned(there, payload, '').signatures.map(({ key }) => key))
      return keys.every((key) => known.has(key))
    } catch (err) {
      if (!(err instanceof Failure)) throw err
      return false
    }
  }
  return {
    ...rest,
    summary: summaryOf(manifest, payload),
    text,
    signed,
    signers: signatures.map(({ name }) => name),
    chunks: new Map(Object.entries(manifest.chunks)),
    isSigned,
  }
}

const STATES_NAMED = 20

function summaryOf({ kind, layer, base, from, states }: Prepared['manifest'], payload: string) {
  const summary: Summary = {
    version: 1,
    kind,
    layer: layer.name,
    payload,
    base: { digest: base.digest, bytes: base.bytes, included: base.tree !== null },
    from: from?.id ?? null,
    count: states.length,
    states: states
      .slice(-STATES_NAMED)
      .map(({ id, time, label, message }) => ({ id, time, label, message })),
  }
  return summary
}

function relatedTo(control: Control, place: Place, at: At, call: Call): Relative[] {
  const { credentials, plainHttp } = at
  const options = { credentials, plainHttp, signal: signalOf(control, call), create: false }
  if (place.kind !== 'registry') return []
  return relativesOf(control, place)
    .slice(0, MOST_RELATIVES)
    .map((path) => ({
      path,
      repository: openRepository({ ...place, repository: path, pick: null }, options),
    }))
}

async function listTags(control: Control, at: At, call: Call): Promise<RepositoryAnswer> {
  const place = placeOf(at.place)
  const repository = await opened(control, place, at, signalOf(control, call), false)
  try {
    const wanted = place.pick?.tag ?? null
    const tags = await listRepository(repository, wanted, call.progress)
    return { place: placeText({ ...place, pick: null }), tags }
  } finally {
    await repository.close()
  }
}

async function pullArchive(
  control: Control,
  { place: text, credentials, plainHttp, ...wish }: z.infer<typeof pullShape>,
  call: Call,
): Promise<PullAnswer> {
  const at = { place: text, credentials, plainHttp }
  const place = placeOf(text)
  const { Pulled } = await import('../repository/pulled.ts')
  const repository = await opened(control, place, at, signalOf(control, call), false)
  try {
    const shared = { repository, pick: place.pick, place: text, onProgress: call.progress }
    const artifact = await Pulled.look(shared)
    const { payload } = artifact.summary
    const named = { place: placeText(place), payload }
    const there = await statesOf(
      control,
      wish.as ?? artifact.summary.layer,
      payload,
      artifact.summary,
    )
    if (there !== null) {
      await judge(control, text, there[0]!.snapshot.archive!.signatures, wish.allowUnsigned)
      const answer = await answerWith(control, there[0]!.layer, there, wish.restore, call)
      return { ...answer, ...named, fetched: 0 }
    }
    const local = (id: string) => control.catalogue.chunk(id)
    const temporary = control.store.places.run
    const pulled = await Pulled.open({ ...shared, temporary, local }, artifact)
    const { answer, real } = await take(control, pulled, wish, call)
    rememberRepository(control, place)
    return { ...answer, place: named.place, payload: real, fetched: pulled.fetched }
  } finally {
    await repository.close()
  }
}

async function judge(
  { store }: Control,
  path: string,
  signatures: Archive['signed']['signatures'],
  allowUnsigned: boolean,
): Promise<void> {
  const { Keys } = await import('../archive/keys.ts')
  new Keys(store.places.keys).judge(path, signatures, allowUnsigned)
}

/** The states of that very archive, where the layer has taken it before. */
async function statesOf(
  { catalogue }: Control,
  name: string,
  payload: string,
  { count, kind }: Summary,
): Promise<(ImportedState & { readonly layer: string })[] | null> {
  const layer = (await catalogue.layers()).find((record) => record.name === name)
  if (layer === undefined || count === 0 || kind === 'layer') return null
  const states = await catalogue.snapshots(layer.id)
  const found = states.filter(({ archive }) => archive?.payload === payload)
  if (found.length !== count) return null
  return found.map((snapshot) => ({ snapshot, fresh: false, layer: name }))
}

async function take(
  control: Control,
  pulled: Pulled,
  wish: z.infer<typeof takenShape>,
  call: Call,
): Promise<{ answer: ImportAnswer; real: string }> {
  const { Archive } = await import('../archive/archive.ts')
  const { archiveFailure } = await import('../archive/import.ts')
  const archive = await Archive.from(pulled)
  try {
    await judge(control, archive.path, archive.signed.signatures, wish.allowUnsigned)
    const name = layerName(wish.as ?? archive.manifest.layer.name)
    await bring(control, archive, pulled, name).catch((err: unknown) => {
      throw err instanceof Damage ? archiveFailure(err, archive.path) : err
    })
    return { answer: await takeArchives(control, [archive], wish, call), real: archive.payload }
  } finally {
    await archive.close()
  }
}

/** Fetches what this store lacks; nothing for an archive that it cannot take. */
async function bring(
  { catalogue }: Control,
  archive: Archive,
  pulled: Pulled,
  name: string,
): Promise<void> {
  const { listChunks, neededChunks } = await import('../archive/needed.ts')
  const { base, from, kind } = archive.manifest
  const layer = (await catalogue.layers()).find((record) => record.name === name)
  const hasBase = layer?.versions.some(({ digest }) => digest === base.digest) ?? false
  const hasFrom =
    from === null ||
    (layer !== undefined && (await catalogue.findSnapshot(layer.id, from.id)) !== null)
  // Who takes it says why it cannot be taken.
  if ((layer !== undefined && kind === 'layer') || !hasFrom) return
  if (!hasBase && base.tree === null) return
  await pulled.bring(listChunks(archive, !hasBase))
  const has = async (id: string) => (await catalogue.content(base.digest, id)) !== null
  const needed = await neededChunks(archive, !hasBase, has)
  pulled.without = new Set(Object.keys(archive.manifest.chunks).filter((id) => !needed.has(id)))
  await pulled.bring(needed)
}
