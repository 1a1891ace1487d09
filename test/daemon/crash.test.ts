// A daemon that is killed: the store opens again with what was acknowledged, and the dead mount
// point is replaced.

import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type StorePlace, storeOf } from './store-of.ts'

t.setTimeout(240_000)

async function killed(place: StorePlace): Promise<void> {
  const pid = await place.daemon()
  process.kill(pid, 'SIGKILL')
  await place.ended(pid)
}

t.test(
  'after kill -9 the next mount replaces the dead one, and nothing written is lost',
  async (t) => {
    const place = await storeOf(t)
    await place.layer('app', { 'etc/conf': 'original', 'etc/gone': 'g' })
    await place.mount()
    await place.ask('activate', 'app')
    writeFileSync(join(place.at, 'etc/conf'), 'changed')
    const fd = openSync(join(place.at, 'etc/synced'), 'w')
    writeSync(fd, 'synced')
    fsyncSync(fd)
    closeSync(fd)
    const { id } = (await place.ask('snapshot', 'app')) as { id: string }
    await killed(place)
    t.throws(() => readdirSync(place.at), { code: 'ENOTCONN' })
    await place.mount()
    t.equal(readFileSync(join(place.at, 'etc/conf'), 'utf8'), 'changed')
    t.equal(readFileSync(join(place.at, 'etc/synced'), 'utf8'), 'synced')
    const states = (await place.ask('snapshots', 'app')) as { id: string }[]
    t.ok(states.some((state) => state.id === id))
  },
)

t.test('killed while it snapshots and restores, the layer is whole', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'd/base': 'b' })
  await place.mount()
  await place.ask('activate', 'app')
  const names = Array.from({ length: 200 }, (_, i) => `f${i}`)
  const fill = (text: string) => {
    for (const name of names) writeFileSync(join(place.at, 'd', name), `${text} ${name}`)
  }
  const text = () => {
    const found = new Set(
      names.map((name) => readFileSync(join(place.at, 'd', name), 'utf8').split(' ')[0]),
    )
    return [...found].join()
  }
  fill('one')
  const { id } = (await place.ask('snapshot', 'app')) as { id: string }
  // One part kills at other moments than the other.
  const delays = process.geteuid?.() === 0 ? [0, 80, 160, 200] : [40, 120]
  for (const delay of delays) {
    fill('two')
    const restoring = place.ask('restore', 'app', id, '--force').catch(() => null)
    await new Promise((resolve) => setTimeout(resolve, 150 + delay))
    await killed(place)
    await restoring
    await place.mount()
    t.match(text(), /^(one|two)$/, `after ${delay} ms: one state or the other, never a mixture`)
  }
})
