// A snapshot that nobody waits for: pending from its instant on, then stored.

import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import t from 'tap'
import { storeOf } from './store-of.ts'

interface Line {
  readonly id: string
  readonly status: string
  readonly counts: { readonly added: number; readonly changed: number }
}

t.test('a snapshot without waiting is pending, then stored as of its instant', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { program: 'one' })
  await place.ask('activate', 'app')
  await place.mount()
  mkdirSync(join(place.at, 'd'))
  for (let file = 0; file < 300; file++) writeFileSync(join(place.at, `d/f${file}`), `${file}`)
  const begun = (await place.ask('snapshot', 'app', '--no-wait')) as Line
  t.equal(begun.status, 'pending')
  writeFileSync(join(place.at, 'd/late'), 'after the instant')
  appendFileSync(join(place.at, 'd/f7'), ' and more')

  const list = async () => (await place.ask('snapshots', 'app')) as Line[]
  let lines = await list()
  while (lines[0]?.status !== 'stored') {
    t.match(lines, [{ id: begun.id, status: 'pending' }])
    await later(20)
    lines = await list()
  }
  t.match(lines, [{ id: begun.id, counts: { added: 301 } }], 'it kept its id, and its instant')

  const next = (await place.ask('snapshot', 'app')) as Line
  t.match(next, { status: 'stored', counts: { added: 1, changed: 1 } })

  const none = await place.ask('snapshot', 'app', '--no-wait')
  t.match(none, { id: next.id, status: 'stored', taken: false }, 'nothing was written: no new id')
  writeFileSync(join(place.at, 'd/f8'), '8')
  const same = (await place.ask('snapshot', 'app', '--no-wait')) as Line
  t.not(same.id, next.id)
  do {
    await later(20)
    lines = await list()
  } while (lines[0]?.status !== 'stored')
  t.equal(lines[0]?.id, same.id, 'an id that was told becomes a state')
  t.equal(lines.length, 3)
})
