// Schedules and forgetting: on stores opened by the test, and run by a daemon of its own.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import type { Control } from '../../lib/daemon/control.ts'
import { nextRun } from '../../lib/daemon/next-run.ts'
import type { StateLine } from '../../lib/daemon/state-methods.ts'
import type { Schedule } from '../../lib/snapshot/records.ts'
import { newStore, nobody } from './place.ts'
import { storeOf } from './store-of.ts'

process.env.TZ = 'Europe/Berlin'

const ask = <Name extends MethodName>(
  control: Control,
  name: Name,
  params: Params<Name>,
): Promise<Answer<Name>> => perform(control, name, params, nobody) as Promise<Answer<Name>>

const EMPTY = { kind: 'empty' } as const
const local = (text: string) => new Date(text).getTime()

const schedule = (when: Schedule['when'], created: string, last: string | null): Schedule => ({
  id: 'a'.repeat(10),
  layer: 'l',
  when,
  keep: null,
  paused: false,
  created: local(created),
  last: last === null ? null : { at: local(last), state: '', failure: null },
})

async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 50))
}

t.test('a schedule is due so long after the last time, or when its pattern says', async (t) => {
  const hourly = { every: 3_600_000 }
  t.equal(nextRun(schedule(hourly, '2026-01-01 10:00', null)), local('2026-01-01 11:00'))
  t.equal(
    nextRun(schedule(hourly, '2026-01-01 10:00', '2026-01-03 10:20')),
    local('2026-01-03 11:20'),
  )
  const nine = { cron: '0 9 * * 1-5' }
  // Friday, and the next workday.
  t.equal(nextRun(schedule(nine, '2026-01-02 09:00', null)), local('2026-01-05 09:00'))
  t.equal(nextRun(schedule(nine, '2026-01-01', '2026-01-05 09:00')), local('2026-01-06 09:00'))
  t.equal(nextRun(schedule({ cron: '0 0 30 2 *' }, '2026-01-01', null)), null)
})

t.test('a pattern that is none, and a policy that keeps nothing, are refused', async (t) => {
  const control = await newStore(t)
  await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  for (const cron of ['sometimes', '99 * * * *', '0 0 30 2 *'])
    await t.rejects(
      ask(control, 'schedule.add', { layer: 'a', when: { cron } }),
      { code: 'SVS_SCHEDULE_INVALID' },
      cron,
    )
  const every = { every: 60_000 }
  await t.rejects(ask(control, 'schedule.add', { layer: 'none', when: every }), {
    code: 'SVS_LAYER_NOT_FOUND',
  })
  await t.rejects(ask(control, 'schedule.add', { layer: 'a', when: { every: 10 } }), {
    code: 'SVS_BAD_REQUEST',
  })
  await t.rejects(ask(control, 'forget', { layer: 'a', keep: {} }), { code: 'SVS_BAD_REQUEST' })
  t.same(await ask(control, 'schedule.list', {}), [])
  await t.rejects(ask(control, 'schedule.remove', { id: 'ff' }), { code: 'SVS_SCHEDULE_NOT_FOUND' })
})

t.test('forgetting deletes what no rule keeps, after telling it if wanted', async (t) => {
  const control = await newStore(t)
  await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  const ids: string[] = []
  for (let round = 0; round < 5; round++)
    ids.push((await ask(control, 'snapshot', { layer: 'a', always: true })).id)
  await ask(control, 'state.pin', { layer: 'a', state: ids[0]!, pinned: true })
  const told = await ask(control, 'forget', { layer: 'a', keep: { last: 2 }, dryRun: true })
  t.same(
    told.forgotten.map(({ id }) => id),
    [ids[2], ids[1]],
  )
  t.equal((await ask(control, 'snapshots', { layer: 'a' })).length, 5)
  await ask(control, 'forget', { layer: 'a', keep: { last: 2 } })
  const left = (await ask(control, 'snapshots', { layer: 'a' })).map(({ id }) => id)
  t.same(left, [ids[4], ids[3], ids[0]])
})

t.test('what was slept over is made up for once, and only where something changed', async (t) => {
  const control = await newStore(t)
  await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  const made = await ask(control, 'schedule.add', { layer: 'a', when: { every: 3_600_000 } })
  const states = () => ask(control, 'snapshots', { layer: 'a' })
  const asleep = async () => {
    const [each] = await control.catalogue.schedules()
    await control.catalogue.putSchedule({ ...each!, created: 1, last: null })
    control.scheduler.wake()
    await until(async () => (await control.catalogue.schedules())[0]!.last !== null)
  }
  control.scheduler.start()
  await asleep()
  t.match(await states(), [{ trigger: 'scheduled' }])
  await asleep()
  t.equal((await states()).length, 1, 'nothing had changed')
  const [line] = await ask(control, 'schedule.list', {})
  t.match(line!.last, { state: '', failure: null })
  t.ok(line!.next! > Date.now(), 'once')
  await ask(control, 'schedule.pause', { id: made.id.slice(0, 4) })
  t.match(await ask(control, 'schedule.list', {}), [{ paused: true, next: null }])
})

t.test('a daemon takes states by itself, and forgets by the schedule’s policy', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { file: 'first' })
  await place.ask('activate', 'app')
  await place.mount()
  await place.ask('schedule', 'add', 'app', '--every', '1s', '--keep-last', '2')
  const states = async () => (await place.ask('snapshots', 'app')) as StateLine[]
  const seen = new Set<string>()
  for (let round = 0; round < 4; round++) {
    writeFileSync(join(place.at, 'file'), `round ${round}`)
    await until(async () => (await states()).some(({ id }) => !seen.has(id)))
    for (const { id, trigger } of await states()) {
      seen.add(id)
      t.equal(trigger, 'scheduled')
    }
  }
  t.ok(seen.size >= 4)
  // A new state is listed a moment before those that it makes too many are forgotten.
  await until(async () => (await states()).length <= 2)
  const [line] = (await place.ask('schedule', 'list')) as { id: string; last: object | null }[]
  t.ok(line!.last !== null)
  await place.ask('schedule', 'remove', line!.id)
  t.same(await place.ask('schedule', 'list'), [])
})
