// The bytes of one file: of a state, of the layer as it was installed, or of the layer as it is now.
//
//   small  ─▶ in the answer
//   large  ─▶ its size alone; asked again with `into`, a file that the caller has made and opened
//
// Rule: nothing is changed; the layer as it is now is frozen while its file is read.

import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf, type RelPath, shown } from '../base/path.ts'
import { ownPrefix } from '../layer/marks.ts'
import type { FileOut, FileOutJob } from '../snapshot/file-out.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import { runJob } from '../snapshot/thread.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { insideOf } from './restore-methods.ts'
import { versionOf } from './restoring.ts'
import { nameShape, stateShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { indexOf, readOnly, withImage } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { redoDirs } from './sublayers.ts'
import { size as sizeWords } from './text.ts'

/** Files up to this size come in the answer. */
const MOST_ANSWERED = 1024 * 1024

const catShape = z.strictObject({
  layer: nameShape,
  /** A state, `ro` for the layer as it was installed, `now` for the layer as it is. */
  state: stateShape.default('now'),
  /** Inside the layer, or in a mount that shows it. */
  path: z.string().min(1).max(8192),
  /** An empty file in the run directory of the store: it takes the bytes, and loses its name. */
  into: z
    .string()
    .regex(/^cat-[0-9a-f-]{8,64}$/)
    .nullable()
    .default(null),
})

export interface CatAnswer {
  readonly layer: string
  /** Null for the layer as it was installed, and as it is now. */
  readonly state: StateLine | null
  /** As the layer has it, from its root on. */
  readonly path: string
  readonly size: number
  /** Base64; null where the file is too large to be answered. */
  readonly bytes: string | null
}

export const catMethods = {
  cat: method(catShape, cat),
} as const

async function cat(
  control: Control,
  { layer: name, state, path, into }: z.infer<typeof catShape>,
  call: Call,
): Promise<CatAnswer> {
  return control.alone(name, async (layer) => {
    const inside = insideOf(control, layer, path)
    const { catalogue } = control
    const isState = state !== 'ro' && state !== 'now'
    const record = isState ? await findState(catalogue, layer, state) : null
    const { version, digest } = record === null ? layer.ro : versionOf(layer, record)
    const job: FileOutJob = {
      path: inside,
      of: record?.id ?? state,
      pieces: record === null ? [] : await catalogue.pieces(record.id),
      now: null,
      ro: readOnly(control, layer, version),
      index: indexOf(control, layer, version),
      scope: digest,
      temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
      most: MOST_ANSWERED,
      into: into === null ? null : bytesOf(join(control.store.places.run, into)),
    }
    const read = (wanted: FileOutJob) =>
      runJob('fileOut', wanted, catalogue, ({ bytes }) => call.progress(`read ${sizeWords(bytes)}`))
    const out = state === 'now' ? await readNow(control, layer, job, read) : await read(job)
    const line = record && stateLine(layer, record, await catalogue.head(layer.id))
    return answerOf(name, line, inside, out)
  })
}

function readNow(
  control: Control,
  layer: LayerRecord,
  job: FileOutJob,
  read: (job: FileOutJob) => Promise<FileOut>,
): Promise<FileOut> {
  return withImage(control, layer, (frozen) => {
    const { rw, numbers } = redoDirs(control.store.places, layer)
    const dirs = { rw, numbers, ro: job.ro, area: frozen?.area ?? null }
    return read({ ...job, now: { dirs, prefix: ownPrefix() } })
  })
}

const answerOf = (
  layer: string,
  state: StateLine | null,
  path: RelPath,
  { size, bytes }: FileOut,
): CatAnswer => ({
  layer,
  state,
  path: `/${shown(path)}`,
  size,
  bytes: bytes === null ? null : Buffer.from(bytes).toString('base64'),
})
