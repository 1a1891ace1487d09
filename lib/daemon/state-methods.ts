// States of layers: taking, listing, naming, deleting.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { LayerRecord, ListedState, SnapshotRecord } from '../snapshot/records.ts'
import { type Sizes, sizesOf } from '../snapshot/sizes.ts'
import { findState, findStates } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import type { PendingState } from './pending.ts'
import type { Settled } from './settle.ts'
import { nameShape, stateShape } from './shapes.ts'
import { takeState } from './states.ts'

/** A state as lists show it. */
export interface StateLine {
  readonly id: string
  /** Name of its layer. */
  readonly layer: string
  /** Milliseconds since 1970. */
  readonly time: number
  readonly message: string
  readonly label: string | null
  readonly tags: Readonly<Record<string, string>>
  readonly pinned: boolean
  readonly trigger: SnapshotRecord['trigger']
  /** Names in it, bytes of its files, bytes it added to the store. */
  readonly entries: number
  readonly bytes: number
  readonly stored: number
  /** Bytes of the store that it alone needs, and that others need too; null unless asked for. */
  readonly sizes: Sizes | null
  readonly counts: {
    readonly added: number
    readonly changed: number
    readonly deleted: number
    readonly attributes: number
    readonly renamed: number
  }
  /** The layer came from this state: taken of it, or restored to it. */
  readonly current: boolean
  /** `pending`: its instant has come, and it is being stored; the counts follow. */
  readonly status: 'stored' | 'pending'
}

export interface SnapshotAnswer extends StateLine {
  /** False where nothing changed since this state, so that none was made. */
  readonly taken: boolean
}

export interface SettleAnswer extends Settled {
  readonly layer: string
}

const labelShape = z
  .string()
  .regex(/^[^\s/@:-][^\s/@:]{0,63}$/, 'must be one word, without "/", "@" and ":"')
  .refine((text) => text !== 'latest', 'must not be "latest"')
  .refine((text) => !text.includes('..'), 'must not hold ".."')

const tagsShape = z
  .record(
    z.string().regex(/^[^\s/@:=]{1,64}$/, 'must be one word, without "/", "@", ":" and "="'),
    z.string().max(256),
  )
  .refine((tags) => Object.keys(tags).length <= 64, 'must be at most 64')

const snapshotShape = z.strictObject({
  layer: nameShape,
  message: z.string().max(4096).default(''),
  label: labelShape.nullable().default(null),
  tags: tagsShape.default({}),
  /** Make a state although nothing changed. */
  always: z.boolean().default(false),
  /** False: answer when the instant has come, and go on storing it; made also where that turns out equal. */
  wait: z.boolean().default(true),
  /** What it is made for. */
  trigger: z.enum(['manual', 'before-update']).default('manual'),
})

const one = z.strictObject({ layer: nameShape, state: stateShape })

const listShape = z.strictObject({
  layer: nameShape.nullable().default(null),
  /** One state of that layer, or a range `A..B`. */
  state: stateShape.nullable().default(null),
  /** Only so many, the newest. */
  last: z.number().int().min(1).nullable().default(null),
  /** With the sizes that take going through all states. */
  sizes: z.boolean().default(false),
})

export const stateMethods = {
  snapshot: method(snapshotShape, snapshot),
  snapshots: method(listShape, snapshots),
  settle: method(z.strictObject({ layer: nameShape.nullable().default(null) }), settle),
  'state.label': method(one.extend({ label: labelShape.nullable() }), label),
  'state.tag': method(
    one.extend({ set: tagsShape.default({}), remove: z.array(z.string().max(64)).default([]) }),
    (control, { set, remove, ...wish }) =>
      rewrite(control, wish, ({ tags }) => {
        const kept = Object.entries({ ...tags, ...set }).filter(([name]) => !remove.includes(name))
        return { tags: Object.fromEntries(kept) }
      }),
  ),
  'state.pin': method(one.extend({ pinned: z.boolean() }), (control, { pinned, ...wish }) =>
    rewrite(control, wish, () => ({ pinned })),
  ),
  'state.delete': method(one, remove),
} as const

async function snapshot(
  control: Control,
  { wait, ...wish }: z.infer<typeof snapshotShape>,
  call: Call,
): Promise<SnapshotAnswer> {
  if (wait) return takeNow(control, wish, call)
  return new Promise((resolve, reject) => {
    let answered = false
    const onPending = (state: PendingState) => {
      answered = true
      resolve({ ...pendingLine(state), taken: true })
    }
    takeNow(control, wish, null, onPending).then(resolve, (err: unknown) => {
      if (answered) tellFailed(control, wish.layer, err)
      else reject(err)
    })
  })
}

function takeNow(
  control: Control,
  { layer: name, always, ...wish }: Omit<z.infer<typeof snapshotShape>, 'wait'>,
  call: Call | null,
  onPending?: (state: PendingState) => void,
): Promise<SnapshotAnswer> {
  return control.alone(name, async (layer) => {
    if (wish.label !== null) await refuseLabel(control, layer, wish.label)
    // Whoever names a state wants one that is so named.
    const allowEmpty = always || wish.label !== null
    const told = onPending === undefined ? {} : { onPending }
    const taken = await takeState(control, layer, { ...wish, allowEmpty, ...told }, call)
    return { ...stateLine(layer, taken.snapshot, taken.snapshot.id), taken: taken.kind === 'taken' }
  })
}

// Nobody waits for it any more.
function tellFailed({ events, log }: Control, layer: string, err: unknown): void {
  log.error(`the pending state of layer ${layer}`, err)
  const why = err instanceof Error ? err.message : String(err)
  events.tell('failed', `the pending state of layer ${layer} could not be stored: ${why}`, {
    layer,
  })
}

async function refuseLabel(control: Control, layer: LayerRecord, label: string): Promise<void> {
  const holder = await control.catalogue.labelled(layer.id, label)
  if (holder !== null) throw new Failure('SVS_LABEL_TAKEN', holder, layer.name, label)
}

/** Newest first. */
async function snapshots(
  control: Control,
  wish: z.infer<typeof listShape>,
  call: Call,
): Promise<StateLine[]> {
  const { catalogue } = control
  if (wish.layer === null && wish.state !== null)
    throw new Failure('SVS_BAD_REQUEST', 'snapshots', 'a state without its layer')
  const layers = wish.layer === null ? await catalogue.layers() : [await control.layer(wish.layer)]
  const sizes = wish.sizes ? await sizesOf(catalogue, call.progress) : null
  const lines: StateLine[] = []
  for (const layer of layers) {
    const head = await catalogue.head(layer.id)
    if (wish.state === null) lines.push(...control.pending.of(layer).map(pendingLine))
    for (const state of await statesOf(control, layer, wish))
      lines.push({ ...stateLine(layer, state, head), sizes: sizes?.get(state.id) ?? null })
  }
  lines.sort((a, b) => b.time - a.time)
  return wish.last === null ? lines : lines.slice(0, wish.last)
}

function statesOf(
  { catalogue }: Control,
  layer: LayerRecord,
  { state, last }: z.infer<typeof listShape>,
): Promise<ListedState[]> {
  if (state !== null) return findStates(catalogue, layer, state)
  return last === null ? catalogue.listed(layer.id) : catalogue.lastListed(layer.id, last)
}

interface One {
  readonly layer: string
  readonly state: string
}

/** Writes a state's record with other fields. */
function rewrite(
  control: Control,
  { layer: name, state }: One,
  fields: (
    record: SnapshotRecord,
    layer: LayerRecord,
  ) => Partial<SnapshotRecord> | Promise<Partial<SnapshotRecord>>,
): Promise<StateLine> {
  return control.alone(name, async (layer) => {
    const { catalogue } = control
    const record = await findState(catalogue, layer, state)
    const renewed = { ...record, ...(await fields(record, layer)) } as SnapshotRecord
    await catalogue.putSnapshot(renewed)
    return stateLine(layer, renewed, await catalogue.head(layer.id))
  })
}

function label(
  control: Control,
  { label: wanted, ...wish }: One & { label: string | null },
): Promise<StateLine> {
  return rewrite(control, wish, async (record, layer) => {
    if (wanted !== null && record.label !== wanted) await refuseLabel(control, layer, wanted)
    return { label: wanted }
  })
}

/** One state, or all of a range; a pinned one among them and none is. */
async function remove(control: Control, { layer: name, state }: One): Promise<StateLine[]> {
  return control.alone(name, async (layer) => {
    const { catalogue } = control
    const states = await findStates(catalogue, layer, state)
    const pinned = states.find((each) => each.pinned)
    if (pinned !== undefined) {
      const full = `${name}@${pinned.id}`
      throw new Failure('SVS_STATE_PINNED', full, full)
    }
    const head = await catalogue.head(layer.id)
    await catalogue.deleteSnapshots(states)
    const ids = states.map(({ id }) => id).join(', ')
    control.events.tell('forgotten', `state ${ids} of layer ${name} was deleted`, { layer: name })
    control.upkeep.garbage()
    return states.map((each) => stateLine(layer, each, head))
  })
}

/** One layer, or all, one after the other. */
async function settle(
  control: Control,
  { layer: name }: { layer: string | null },
  call: Call,
): Promise<SettleAnswer[]> {
  const layers = name === null ? await control.catalogue.layers() : [await control.layer(name)]
  const answers: SettleAnswer[] = []
  for (const layer of layers) {
    call.progress(`settling layer ${layer.name}`)
    const { settleLayer } = await import('./settle.ts')
    const done = await control.alone(layer.name, (record) => settleLayer(control, record))
    answers.push({ layer: layer.name, ...done })
  }
  return answers
}

/** `head`: the state that the layer came from. */
export const stateLine = (
  layer: LayerRecord,
  state: ListedState,
  head: string | null,
): StateLine => ({
  id: state.id,
  layer: layer.name,
  time: state.time,
  message: state.message,
  label: state.label,
  tags: state.tags,
  pinned: state.pinned,
  trigger: state.trigger,
  entries: state.entries,
  bytes: state.bytes,
  stored: state.stored,
  sizes: null,
  counts: {
    added: state.counts.added,
    changed: state.counts.changed,
    deleted: state.counts.deleted,
    attributes: state.counts.attributes,
    renamed: state.counts.renamed ?? 0,
  },
  current: state.id === head,
  status: 'stored',
})

const pendingLine = ({ layer, ...state }: PendingState): StateLine => ({
  ...state,
  layer: layer.name,
  pinned: false,
  entries: 0,
  bytes: 0,
  stored: 0,
  sizes: null,
  counts: { added: 0, changed: 0, deleted: 0, attributes: 0, renamed: 0 },
  current: false,
  status: 'pending',
})
