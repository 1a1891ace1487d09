// The log of events: what is told, what is read back, what is followed.

import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { EventLog, followEvents, lastEvents, type StoreEvent } from '../../lib/daemon/events.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import { directory, throwAway } from './place.ts'

function newLog(t: Parameters<typeof throwAway>[0]) {
  const root = throwAway(t)
  directory(root, 'run')
  const places = storePlaces(root)
  return { places, log: new EventLog(places) }
}

t.test('events are read back in order, with what they are about', async (t) => {
  const { places, log } = newLog(t)
  log.tell('activated', 'layer a is active', { layer: 'a' })
  log.tell('mounted', 'mounted at /m', { mountPoint: '/m' })
  const events = lastEvents(places, 10)
  t.same(
    events.map(({ kind, layer, mountPoint }) => ({ kind, layer, mountPoint })),
    [
      { kind: 'activated', layer: 'a', mountPoint: undefined },
      { kind: 'mounted', layer: undefined, mountPoint: '/m' },
    ],
  )
  t.equal(lastEvents(places, 1)[0]?.kind, 'mounted')
  t.same(lastEvents(places, 0), [])
})

t.test('a line that a crash cut short is passed over', async (t) => {
  const { places, log } = newLog(t)
  log.tell('reset', 'one')
  appendFileSync(places.events, '{"at":"2026-01-01T00:00:00Z","kind":"re\n\0\0\nnull\n')
  log.tell('reset', 'two')
  t.same(
    lastEvents(places, 10).map(({ text }) => text),
    ['one', 'two'],
  )
})

t.test('a long log is exchanged for a new one', async (t) => {
  const { places, log } = newLog(t)
  writeFileSync(places.events, 'x'.repeat(1_100_000))
  log.tell('reset', 'after')
  t.ok(statSync(places.events).size < 1000)
  t.equal(readFileSync(`${places.events}.1`).length, 1_100_000)
})

t.test('a log that cannot be written fails no operation, and listeners still hear', async (t) => {
  const log = new EventLog(storePlaces(join(throwAway(t), 'absent')))
  const heard: string[] = []
  log.listen(({ text }) => heard.push(text))
  log.tell('reset', 'said')
  t.same(heard, ['said'])
})

t.test('following tells what comes, also over an exchange of the file', async (t) => {
  const { places, log } = newLog(t)
  log.tell('reset', 'before')
  const heard: StoreEvent[] = []
  const stop = new AbortController()
  const followed = followEvents(places, (event) => heard.push(event), stop.signal)
  log.tell('reset', 'one')
  await until(() => heard.length === 1)
  appendFileSync(places.events, `${' '.repeat(1_100_000)}\n`)
  log.tell('reset', 'two')
  await until(() => heard.length === 2)
  stop.abort()
  await followed
  t.same(
    heard.map(({ text }) => text),
    ['one', 'two'],
  )
})

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await sleep(10)
}
