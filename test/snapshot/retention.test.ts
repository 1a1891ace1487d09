// Retention, as a pure function, in a time zone whose clocks change.

import t from 'tap'
import type { KeepPolicy } from '../../lib/snapshot/records.ts'
import { retain } from '../../lib/snapshot/retention.ts'
import { randomOf } from './fixture.ts'

process.env.TZ = 'Europe/Berlin'

/** States at these local times, called by them. */
const at = (...times: string[]) =>
  times.map((time) => ({
    id: time,
    time: new Date(time).getTime(),
    tags: {} as Record<string, string>,
    pinned: false,
  }))

type State = ReturnType<typeof at>[number]

const kept = (states: readonly State[], policy: KeepPolicy) =>
  retain(states, policy).keep.map(({ state }) => state.id)

t.test('of each hour, day, week and month the last state is kept, so many back', async (t) => {
  const states = at(
    '2026-03-02 09:10',
    '2026-03-02 09:50',
    '2026-03-02 11:05',
    '2026-03-02 11:40',
    '2026-03-02 13:20',
  )
  t.same(kept(states, { hourly: 2 }), ['2026-03-02 13:20', '2026-03-02 11:40'])
  t.same(kept(states, { daily: 5 }), ['2026-03-02 13:20'])
  const days = at('2026-02-28 23:59', '2026-03-01 00:01', '2026-03-01 23:59', '2026-03-02 00:00')
  t.same(kept(days, { daily: 2 }), ['2026-03-02 00:00', '2026-03-01 23:59'])
  // The first of March is a Sunday.
  t.same(kept(days, { weekly: 9 }), ['2026-03-02 00:00', '2026-03-01 23:59'])
  t.same(kept(days, { monthly: 9 }), ['2026-03-02 00:00', '2026-02-28 23:59'])
  const years = at('2025-12-29 12:00', '2026-01-01 12:00', '2026-01-05 12:00')
  t.same(kept(years, { weekly: 2 }), ['2026-01-05 12:00', '2026-01-01 12:00'])
  t.same(kept(years, { last: 2 }), ['2026-01-05 12:00', '2026-01-01 12:00'])
})

t.test('days are those of the local time zone, and a repeated hour is two', async (t) => {
  const utc = at('2026-07-01T22:30:00Z', '2026-07-01T21:30:00Z', '2026-07-01T20:30:00Z')
  t.same(kept(utc, { daily: 9 }), ['2026-07-01T22:30:00Z', '2026-07-01T21:30:00Z'])
  // Clocks go back at 3:00 summer time: 2:30 comes twice.
  const twice = at('2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z')
  t.equal(kept(twice, { hourly: 9 }).length, 2)
  t.equal(kept(twice, { daily: 9 }).length, 1)
})

t.test('pinned and tagged states stay, and each says why', async (t) => {
  const [a, b, c, d] = at('2026-01-01', '2026-01-02', '2026-01-03', '2026-01-04') as [
    State,
    State,
    State,
    State,
  ]
  const states = [
    { ...a, pinned: true },
    { ...b, tags: { release: '1' } },
    { ...c, tags: { release: '2' } },
    d,
  ]
  const { keep, forget } = retain(states, { last: 1, tags: ['release=1'] })
  t.same(
    keep.map(({ state, why }) => [state.id, why]),
    [
      ['2026-01-04', ['last']],
      ['2026-01-02', ['tag release=1']],
      ['2026-01-01', ['pinned']],
    ],
  )
  t.same(
    forget.map(({ id }) => id),
    ['2026-01-03'],
  )
  t.equal(kept(states, { tags: ['release'] }).length, 3)
  t.equal(kept(states, { tags: ['toString'] }).length, 1)
})

t.test(
  'whatever the policy, nothing is kept and forgotten, and applying it again forgets no more',
  async (t) => {
    const random = randomOf(Number(process.env.SEED ?? 17))
    for (let round = 0; round < 300; round++) {
      const states = Array.from({ length: random(40) }, (_, index) => ({
        id: `s${index}`,
        time: 1_760_000_000_000 + random(90 * 86_400) * 1000,
        tags: random(5) === 0 ? { x: '1' } : ({} as Record<string, string>),
        pinned: random(9) === 0,
      }))
      const policy: KeepPolicy = {
        last: random(3),
        hourly: random(5),
        daily: random(5),
        weekly: random(4),
        monthly: random(3),
        ...(random(2) === 0 ? { tags: ['x'] } : {}),
      }
      const { keep, forget } = retain(states, policy)
      t.equal(keep.length + forget.length, states.length)
      const left = keep.map(({ state }) => state)
      t.equal(new Set([...left, ...forget]).size, states.length)
      t.notOk(forget.some(({ pinned }) => pinned))
      t.same(retain(left, policy).forget, [], 'a policy applied twice is the policy applied once')
      const newest = [...states].sort((a, b) => b.time - a.time)[0]
      const wants = (policy.last ?? 0) + (policy.hourly ?? 0) + (policy.daily ?? 0)
      if (newest !== undefined && wants > 0) t.ok(left.includes(newest), 'the newest stays')
    }
  },
)
