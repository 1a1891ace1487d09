// Layers as such: making, listing, renaming, removing, and exchanging the read-only part.
//
// Rule: directories exist before the record that names them, and go after it; a failure before
// the record leaves nothing behind.

import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { layerName } from '../layer/layer.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { byName, type LayerLine, layerLine } from './layer-line.ts'
import { importVersion, type LayerSource, removeVersion, sourceShape } from './layer-source.ts'
import { type Call, method } from './method.ts'
import { refuseMounted } from './mounts.ts'
import { nameKey, STACKS, TAGS } from './queue.ts'
import { remember } from './remember.ts'
import { takeOut } from './removal.ts'
import { nameShape } from './shapes.ts'
import { withRoom } from './spare.ts'
import { takeState } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { makeLayerDirectories, makeWritable } from './sublayers.ts'
import { plural } from './text.ts'
import { markFinished, markUnfinished, removeLayer } from './unfinished.ts'

const one = z.strictObject({ layer: nameShape })
const createShape = z.strictObject({
  layer: nameShape,
  source: sourceShape,
  /** Active from the start. */
  activate: z.boolean().default(false),
  priority: z.number().int().min(-1_000_000).max(1_000_000).default(0),
})

export interface CreateAnswer extends LayerLine {
  /** What was left out or not kept, in sentences. */
  readonly warnings: readonly string[]
  /** Mount points that show it. */
  readonly mounts: readonly string[]
}

export interface LayerDetails extends LayerLine {
  readonly mounts: readonly string[]
  readonly excludes: readonly string[]
  readonly manifest: Readonly<Record<string, unknown>>
  readonly states: number
  /** What refers to its read-only versions: states by version. */
  readonly references: Readonly<Record<string, number>>
  readonly pinned: number
  readonly schedules: number
  /** Where its sublayers lie. */
  readonly places: { readonly ro: string; readonly rw: string; readonly scratch: string }
}

export const layerMethods = {
  'layer.create': method(createShape, create),
  'layer.list': method(z.strictObject({}), async (control) =>
    (await control.catalogue.layers()).map(layerLine).sort(byName),
  ),
  'layer.show': method(one, show),
  'layer.rename': method(one.extend({ to: nameShape }), rename),
  'layer.delete': method(
    one.extend({
      /** With its states; without, a layer that has some is not deleted. */
      withStates: z.boolean().default(false),
      /** For good: it cannot be brought back. */
      now: z.boolean().default(false),
    }),
    remove,
  ),
  'layer.replace': method(one.extend({ source: sourceShape }), replace),
} as const

async function create(
  control: Control,
  params: z.infer<typeof createShape>,
  call: Call,
): Promise<CreateAnswer> {
  const name = layerName(params.layer)
  const id = randomBytes(5).toString('hex')
  return control.queue.run(nameKey(name), async () => {
    await refuseTaken(control, name)
    const places = layerPlaces(control.store.places, id)
    markUnfinished(places)
    makeLayerDirectories(places)
    try {
      const imported = await importVersion(control, places, 1, params.source, call)
      makeWritable(places, 1, 1)
      const { ro, excludes, manifest, warnings } = imported
      const made = await control.queue.run(TAGS, async () => {
        const record: LayerRecord = {
          id,
          name,
          tag: await control.catalogue.nextTag(),
          created: Date.now(),
          ro,
          versions: [ro],
          rw: 1,
          active: params.activate,
          priority: params.priority,
          excludes,
          manifest,
        }
        return { record, mounts: await control.publish(record) }
      })
      markFinished(places)
      control.events.tell('created', `layer ${name} was created`, { layer: name })
      return { ...layerLine(made.record), warnings, mounts: made.mounts }
    } catch (err) {
      if ((await control.catalogue.layer(id)) === null) removeLayer(places)
      throw err
    }
  })
}

async function refuseTaken(control: Control, name: string): Promise<void> {
  const taken = (await control.catalogue.layers()).some((record) => record.name === name)
  if (taken) throw new Failure('SVS_LAYER_EXISTS', name)
}

async function show(control: Control, { layer }: { layer: string }): Promise<LayerDetails> {
  const record = await control.layer(layer)
  const places = layerPlaces(control.store.places, record.id)
  const states = await control.catalogue.snapshots(record.id)
  const schedules = await control.catalogue.schedules()
  return {
    ...layerLine(record),
    mounts: (control.mounts?.showing(record.id) ?? []).map(({ mountPoint }) => mountPoint),
    excludes: record.excludes,
    manifest: record.manifest,
    states: states.length,
    references: countBy(states.map(({ ro }) => String(ro.version))),
    pinned: states.filter(({ pinned }) => pinned).length,
    schedules: schedules.filter((each) => each.layer === record.id).length,
    places: {
      ro: places.ro(record.ro.version),
      rw: places.rw(record.rw),
      scratch: places.scratch(record.rw),
    },
  }
}

function countBy(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

async function rename(
  control: Control,
  { layer, to }: { layer: string; to: string },
): Promise<LayerLine> {
  const name = layerName(to)
  return control.queue.run(nameKey(name), () =>
    control.alone(layer, async (record) => {
      if (name === record.name) return layerLine(record)
      await refuseTaken(control, name)
      const renamed = { ...record, name }
      await control.publish(renamed)
      control.events.tell('renamed', `layer ${layer} is now ${name}`, { layer: name })
      return layerLine(renamed)
    }),
  )
}

export interface DeleteAnswer {
  readonly layer: string
  readonly states: number
  /** Whether svsfs undo brings it back. */
  readonly kept: boolean
}

async function remove(
  control: Control,
  { layer, withStates, now }: { layer: string; withStates: boolean; now: boolean },
): Promise<DeleteAnswer> {
  const removal = async (record: LayerRecord) => {
    const states = await control.catalogue.countSnapshots(record.id)
    if (states > 0 && !withStates)
      throw new Failure('SVS_LAYER_HAS_STATES', layer, plural(states, 'state'))
    const kept = await control.queue.run(STACKS, async () => {
      refuseMounted(control.mounts, record)
      control.frozen.refuse(record)
      control.shown.refuse(record)
      return takeOut(control, record, now)
    })
    control.events.tell('deleted', `layer ${layer} was deleted`, { layer })
    return { layer, states, kept }
  }
  const { places } = control.store
  return control.alone(layer, (record) => withRoom(places, () => removal(record)))
}

/** A new version of the read-only sublayer, shown by all mounts at once; states keep the one they were made on. */
async function replace(
  control: Control,
  { layer, source }: { layer: string; source: LayerSource },
  call: Call,
): Promise<CreateAnswer> {
  return control.alone(layer, async (record) => {
    const places = layerPlaces(control.store.places, record.id)
    const version = Math.max(...record.versions.map((known) => known.version)) + 1
    const imported = await importVersion(control, places, version, source, call)
    const { ro, excludes, manifest, warnings } = imported
    // What has the changed blocks alone means those of the version that goes.
    const { settleLayer } = await import('./settle.ts')
    await settleLayer(control, record).catch((err: unknown) => {
      removeVersion(places, version)
      throw err
    })
    // After what takes long: it is the state that is replaced, and one broken off leaves none.
    const wish = { message: 'before replace', label: null, trigger: 'before-update' } as const
    const before = await takeState(control, record, wish, call).catch((err: unknown) => {
      removeVersion(places, version)
      throw err
    })
    const renewed = { ...record, ro, versions: [...record.versions, ro], excludes, manifest }
    const mounts = await control.publish(renewed)
    await remember(control, 'replace', record, { state: before.snapshot.id })
    const text = `layer ${layer} has version ${version} of its read-only part`
    control.events.tell('replaced', text, { layer, state: before.snapshot.id })
    return { ...layerLine(renewed), warnings, mounts }
  })
}
