// The machines that layers are deployed to, and what one of this store's states needs to get there.
//
// Rule: nothing here speaks to a host: who deploys does (lib/cli), as the user whose keys ssh has.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { addressOf, hostName, sshOptions, stateOf } from '../deploy/host.ts'
import { MOST_CANDIDATES } from '../deploy/messages.ts'
import { nearest } from '../layer/nearest.ts'
import { type HostRecord, hostRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import { warmThread } from '../snapshot/thread.ts'
import type { Control } from './control.ts'
import { method } from './method.ts'
import { nameShape, stateShape } from './shapes.ts'

const hostShape = z.string().min(1).max(100)

const addShape = z.strictObject({
  host: hostShape,
  url: z.string().max(400),
  group: z.string().max(64).nullable().default(null),
  /** `KEY=VALUE` of ssh. */
  options: z.array(z.string().max(1100)).max(50).default([]),
  program: z.string().min(1).max(1000).default('svsfs'),
  store: z.string().min(1).max(4095).nullable().default(null),
})

export interface HostLine extends HostRecord {
  readonly state: ReturnType<typeof stateOf>
}

/** A state of this store, as a host is asked whether it has what it needs. */
export interface Choice {
  readonly layer: string
  readonly state: string
  /** Digest of the read-only part that it lies over. */
  readonly base: string
  /** Earlier states over the same, the newest first: where the host has one, only what is new is sent. */
  readonly candidates: readonly string[]
}

const line = (record: HostRecord): HostLine => ({ ...record, state: stateOf(record) })

async function hostOf({ catalogue }: Control, name: string): Promise<HostRecord> {
  const found = await catalogue.host(name)
  if (found !== null) return found
  const names = (await catalogue.hosts()).map((one) => one.name)
  throw new Failure('SVS_HOST_NOT_FOUND', name).suggesting(await nearest(name, names))
}

export const hostMethods = {
  'host.add': method(addShape, add),
  'host.list': method(z.strictObject({}), async ({ catalogue }) =>
    (await catalogue.hosts()).map(line),
  ),
  'host.remove': method(z.strictObject({ host: hostShape }), async (control, { host }) => {
    const record = await hostOf(control, host)
    await control.catalogue.deleteHost(host)
    return line(record)
  }),
  'host.maintenance': method(
    z.strictObject({ host: hostShape, on: z.boolean() }),
    (control, { host, on }) => rewrite(control, host, { maintenance: on }),
  ),
  /** What it was when it was asked. */
  'host.seen': method(
    z.strictObject({ host: hostShape, seen: hostRecord.shape.seen }),
    (control, { host, seen }) => rewrite(control, host, { seen }),
  ),
  'deploy.choose': method(
    z.strictObject({ layer: nameShape, state: stateShape.nullable() }),
    choose,
  ),
} as const

async function add(control: Control, wish: z.infer<typeof addShape>): Promise<HostLine> {
  const name = hostName(wish.host)
  const group = wish.group === null ? null : hostName(wish.group)
  addressOf(wish.url)
  if ((await control.catalogue.host(name)) !== null) throw new Failure('SVS_HOST_EXISTS', name)
  const { url, program, store } = wish
  const options = sshOptions(wish.options)
  const rest = { maintenance: false, added: Date.now(), seen: null }
  const record: HostRecord = { name, url, group, options, program, store, ...rest }
  await control.catalogue.putHost(record)
  return line(record)
}

async function rewrite(
  control: Control,
  host: string,
  fields: Partial<HostRecord>,
): Promise<HostLine> {
  const record = { ...(await hostOf(control, host)), ...fields } as HostRecord
  await control.catalogue.putHost(record)
  return line(record)
}

async function choose(
  control: Control,
  { layer: name, state }: { layer: string; state: string | null },
): Promise<Choice> {
  const { catalogue } = control
  // An archive is about to be made.
  warmThread()
  const layer = await control.layer(name)
  const last = await catalogue.snapshotBack(layer.id, 0)
  if (state === null && last === null) throw new Failure('SVS_STATE_NONE', name)
  const target = state === null ? last! : await findState(catalogue, layer, state)
  const candidates = (await catalogue.listed(layer.id))
    .filter(({ id, ro }) => id !== target.id && ro.digest === target.ro.digest)
    .map(({ id }) => id)
    .reverse()
    .slice(0, MOST_CANDIDATES)
  return { layer: name, state: target.id, base: target.ro.digest, candidates }
}
