// A read-only sublayer from what the user named: `--from`, `--recipe`, or nothing.
//
//   source ─▶ work/import-<version> ─▶ index beside it ─▶ ro/<version>.index, ro/<version>
//             └────── in a thread (import-job.ts) ─────┘
//
// Rule: the tree appears under its final name whole and flushed, after its index; until a
// record names the version it is garbage. Broken off when the caller goes or the process ends.

import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf, isWithin } from '../base/path.ts'
import { syncDirectory } from '../host/file.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { accessesOf } from '../layer/accesses.ts'
import type { Source } from '../layer/import.ts'
import type { Waiter } from '../layer/import-job.ts'
import { placeOf } from '../repository/place.ts'
import type { ReadOnlyVersion } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { realPath } from './host-path.ts'
import type { Call } from './method.ts'
import { refuseOwnMount } from './own-mounts.ts'
import { PACKAGES } from './queue.ts'
import { atShape, opened } from './repository-at.ts'
import { pathShape } from './shapes.ts'
import type { LayerPlaces } from './store-path.ts'

export const sourceShape = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('empty') }),
  z.strictObject({
    kind: z.literal('from'),
    /** A directory, a tar archive, or Debian packages. */
    paths: z.array(pathShape).min(1).max(1000),
    /** Packages: take along what they need and `base` lacks. */
    withDepends: z.boolean().default(false),
    /** The tree that the layer will lie over; null for none. */
    base: pathShape.nullable().default(null),
  }),
  /** A container image. */
  atShape.extend({ kind: z.literal('image') }),
  z.strictObject({
    kind: z.literal('recipe'),
    recipe: z.string().min(1).max(64),
    base: pathShape.nullable().default(null),
  }),
])
export type LayerSource = z.infer<typeof sourceShape>

export interface ImportedVersion {
  readonly ro: ReadOnlyVersion
  readonly excludes: string[]
  readonly manifest: Record<string, unknown>
  readonly warnings: readonly string[]
}

/** Imports `source` as version `version` of a layer's read-only sublayer. Throws SVS_CANCELLED when broken off. */
export async function importVersion(
  control: Control,
  places: LayerPlaces,
  version: number,
  source: LayerSource,
  call: Call,
): Promise<ImportedVersion> {
  const waiter = waiterOf(control, call)
  const tree = join(places.work, `import-${version}`)
  const [index, fetched] = [`${tree}.index`, `${tree}.fetched`]
  try {
    const found = await resolveSource(control, source, fetched, waiter)
    const options = {
      privileged: process.geteuid?.() === 0,
      base: found.base === null ? null : bytesOf(found.base),
      folders: found.folders.map(bytesOf),
      leaveOut: [bytesOf(control.store.places.root)],
    }
    const job = { source: found.source, tree: bytesOf(tree), index: bytesOf(index), options }
    const { importInThread } = await import('../layer/import-job.ts')
    const { facts, warnings } = await importInThread(job, waiter)
    // One whose record was never written, because of a crash.
    removeVersion(places, version)
    renameSync(index, places.index(version))
    renameSync(tree, places.ro(version))
    syncDirectory(bytesOf(join(places.root, 'ro')))
    const { excludes, manifest } = found
    return { ro: { version, ...facts }, excludes, manifest, warnings }
  } finally {
    for (const path of [tree, index, fetched]) removeTree(AT_FDCWD, bytesOf(path))
  }
}

/** Removes a version that no record names. */
export function removeVersion(places: LayerPlaces, version: number): void {
  const index = places.index(version)
  for (const path of [index, accessesOf(index), places.ro(version)])
    removeTree(AT_FDCWD, bytesOf(path))
}

function waiterOf(control: Control, call: Call): Waiter {
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  return {
    signal: AbortSignal.any([gone.signal, control.ending.signal]),
    onProgress: (text) => call.progress(text),
  }
}

interface FoundSource {
  readonly source: Source
  readonly base: string | null
  readonly excludes: string[]
  readonly manifest: Record<string, unknown>
  /**
   * Home and profile, made with the layer and owned by the caller: an ordinary user could not make
   * them in a view, where the directory above is the system's.
   */
  readonly folders: string[]
}

async function resolveSource(
  control: Control,
  source: LayerSource,
  fetched: string,
  waiter: Waiter,
): Promise<FoundSource> {
  const nothing = { base: null, excludes: [], manifest: {}, folders: [] }
  switch (source.kind) {
    case 'empty':
      return { ...nothing, source: { kind: 'empty' } }
    case 'from':
      return { ...nothing, ...(await resolvePaths(control, source, waiter)) }
    case 'image':
      return { ...nothing, source: await resolveImage(control, source, fetched, waiter) }
    case 'recipe':
      return resolveRecipe(control, source, waiter)
  }
}

async function resolvePaths(
  control: Control,
  { paths, withDepends, base }: Extract<LayerSource, { kind: 'from' }>,
  waiter: Waiter,
): Promise<Pick<FoundSource, 'source' | 'base'>> {
  for (const path of paths) await refuseSource(control, path)
  if (base !== null) await refuseOwnMount(control, base)
  const { sourceOf } = await import('../layer/import.ts')
  const source = sourceOf(paths.map(bytesOf))
  if (source.kind !== 'packages') {
    if (withDepends) throw new Failure('SVS_USAGE', '--with-depends is for Debian packages')
    return { source, base }
  }
  const under = base ?? '/'
  if (!withDepends) return { source, base: under }
  const all = await fetchInto(control, paths, under, waiter)
  return { source: { kind: 'packages', paths: all.map(bytesOf) }, base: under }
}

/** Fetches an image into a directory that is made for it, and removed by whoever asked. */
async function resolveImage(
  control: Control,
  { kind: _, ...at }: Extract<LayerSource, { kind: 'image' }>,
  into: string,
  { signal, onProgress }: Waiter,
): Promise<Source> {
  const { fetchImage } = await import('../repository/image.ts')
  const place = placeOf(at.place)
  const repository = await opened(control, place, at, signal, false)
  try {
    mkdirSync(into, { mode: 0o700 })
    const layers = await fetchImage(repository, place.pick, into, { place: at.place, onProgress })
    return {
      kind: 'image',
      name: at.place,
      layers: layers.map(({ path, diffId }) => ({ path: bytesOf(path), diffId })),
    }
  } finally {
    await repository.close()
  }
}

async function refuseSource(control: Control, path: string): Promise<void> {
  await refuseOwnMount(control, path)
  const store = await realPath(control.store.places.root)
  const place = await realPath(path).catch(() => path)
  if (isWithin(place, store))
    throw new Failure('SVS_SOURCE_NOT_FOUND', path, 'a store is not imported into itself')
}

async function resolveRecipe(
  control: Control,
  { recipe, base }: Extract<LayerSource, { kind: 'recipe' }>,
  waiter: Waiter,
): Promise<FoundSource> {
  const { loadRecipe } = await import('../layer/recipe.ts')
  const manifest = loadRecipe(recipe)
  const under = base ?? '/'
  await refuseOwnMount(control, under)
  const packages = await fetchInto(control, manifest.packages, under, waiter)
  return {
    source: { kind: 'packages', paths: packages.map(bytesOf) },
    base: under,
    excludes: [...manifest.excludes],
    manifest,
    folders: [manifest.home, manifest.profile ?? manifest.home],
  }
}

/** Packages with what they need and the base lacks. What was downloaded before is used again. */
async function fetchInto(
  control: Control,
  packages: readonly string[],
  base: string,
  waiter: Waiter,
): Promise<string[]> {
  const { fetchInThread } = await import('../layer/import-job.ts')
  const options = { withDepends: true, base, folder: control.store.places.packages }
  return control.queue.run(PACKAGES, () => fetchInThread({ packages, options }, waiter))
}
