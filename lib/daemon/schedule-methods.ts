// When states come and go by themselves: schedules, and policies applied by hand.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { newId } from '../snapshot/catalogue.ts'
import type { KeepPolicy, Schedule } from '../snapshot/records.ts'
import { keepsSomething } from '../snapshot/retention.ts'
import type { Control } from './control.ts'
import { forgetStates } from './forgetting.ts'
import { method } from './method.ts'
import { cronOf, nextRun } from './next-run.ts'
import { nameShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'

export interface ForgetAnswer {
  readonly layer: string
  readonly kept: readonly (StateLine & { readonly why: readonly string[] })[]
  readonly forgotten: readonly StateLine[]
  readonly dryRun: boolean
}

export interface ScheduleLine {
  readonly id: string
  readonly layer: string
  readonly when: Schedule['when']
  readonly keep: KeepPolicy | null
  readonly paused: boolean
  /** Milliseconds since 1970; null while paused. */
  readonly next: number | null
  readonly last: Schedule['last']
}

const most = z.number().int().min(1).max(100_000)
const keepShape = z
  .strictObject({
    last: most.optional(),
    hourly: most.optional(),
    daily: most.optional(),
    weekly: most.optional(),
    monthly: most.optional(),
    tags: z.array(z.string().min(1).max(330)).max(64).optional(),
  })
  .refine((policy) => keepsSomething(policy as KeepPolicy), 'must keep something')

const SECOND = 1000
const YEAR = 366 * 24 * 3600 * SECOND
const whenShape = z.union([
  z.strictObject({ every: z.number().int().min(SECOND).max(YEAR) }),
  z.strictObject({ cron: z.string().min(1).max(256) }),
])

const forgetShape = z.strictObject({
  layer: nameShape,
  keep: keepShape,
  dryRun: z.boolean().default(false),
})
const addShape = z.strictObject({
  layer: nameShape,
  when: whenShape,
  keep: keepShape.nullable().default(null),
})
const one = z.strictObject({ id: z.string().min(1).max(64) })

export const scheduleMethods = {
  forget: method(forgetShape, forget),
  'schedule.add': method(addShape, add),
  'schedule.list': method(z.strictObject({}), async (control) => lines(control)),
  'schedule.remove': method(one, remove),
  'schedule.pause': method(one, (control, { id }) =>
    change(control, id, (found) => ({ ...found, paused: true })),
  ),
  'schedule.resume': method(one, (control, { id }) =>
    // What was due meanwhile was not wanted.
    change(control, id, (found) => ({ ...found, paused: false, created: Date.now() })),
  ),
} as const

async function forget(
  control: Control,
  { layer: name, keep, dryRun }: z.infer<typeof forgetShape>,
): Promise<ForgetAnswer> {
  return control.alone(name, async (layer) => {
    const head = await control.catalogue.head(layer.id)
    const found = await forgetStates(control, layer, keep as KeepPolicy, dryRun)
    return {
      layer: name,
      kept: found.keep.map(({ state, why }) => ({ ...stateLine(layer, state, head), why })),
      forgotten: found.forget.map((state) => stateLine(layer, state, head)),
      dryRun,
    }
  })
}

async function add(
  control: Control,
  { layer, when, keep }: z.infer<typeof addShape>,
): Promise<ScheduleLine> {
  if ('cron' in when) cronOf(when.cron)
  const record = await control.layer(layer)
  const made: Schedule = {
    id: newId(),
    layer: record.id,
    when,
    keep: keep as KeepPolicy | null,
    paused: false,
    created: Date.now(),
    last: null,
  }
  if (nextRun(made) === null)
    throw new Failure('SVS_SCHEDULE_INVALID', 'cron' in when ? when.cron : '', 'it never comes')
  await control.catalogue.putSchedule(made)
  control.scheduler.wake()
  return lineOf(made, layer)
}

async function lines({ catalogue }: Control): Promise<ScheduleLine[]> {
  const names = new Map((await catalogue.layers()).map(({ id, name }) => [id, name]))
  return (await catalogue.schedules()).flatMap((each) => {
    const name = names.get(each.layer)
    // Of a layer that was deleted and may come back.
    return name === undefined ? [] : [lineOf(each, name)]
  })
}

const lineOf = (schedule: Schedule, layer: string): ScheduleLine => ({
  id: schedule.id,
  layer,
  when: schedule.when,
  keep: schedule.keep,
  paused: schedule.paused,
  next: schedule.paused ? null : nextRun(schedule),
  last: schedule.last,
})

/** By its id or the beginning of it. */
async function scheduleOf(control: Control, id: string): Promise<ScheduleLine> {
  const found = (await lines(control)).filter((line) => line.id.startsWith(id))
  if (found.length !== 1 || found[0] === undefined) throw new Failure('SVS_SCHEDULE_NOT_FOUND', id)
  return found[0]
}

async function change(
  control: Control,
  id: string,
  to: (found: Schedule) => Schedule,
): Promise<ScheduleLine> {
  const line = await scheduleOf(control, id)
  return control.alone(line.layer, async () => {
    const found = (await control.catalogue.schedules()).find((each) => each.id === line.id)
    if (found === undefined) throw new Failure('SVS_SCHEDULE_NOT_FOUND', id)
    const changed = to(found)
    await control.catalogue.putSchedule(changed)
    control.scheduler.wake()
    return lineOf(changed, line.layer)
  })
}

async function remove(control: Control, { id }: { id: string }): Promise<ScheduleLine> {
  const line = await scheduleOf(control, id)
  return control.alone(line.layer, async () => {
    await control.catalogue.deleteSchedule(line.id)
    return line
  })
}
