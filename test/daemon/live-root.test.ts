// What is mounted inside a view, and the kernel's own reading of the sublayers.
// Needs root: it mounts

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { storeOf } from './store-of.ts'

t.setTimeout(120_000)

function mount(...words: string[]): void {
  const done = spawnSync('mount', words, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(done.stderr)
}

t.test('a mount inside the view outlives activation, priority and restore', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'data/mnt/below': 'b', 'etc/app': 'x' })
  await place.layer('tool', { 'data/tool': 't', 'etc/app': 'y' })
  await place.mount()
  await place.ask('activate', 'app')
  const inside = join(place.at, 'data/mnt')
  const outside = join(place.dir, 'outside')
  mkdirSync(outside)
  writeFileSync(join(outside, 'seen'), 's')
  mount('--bind', outside, inside)
  t.teardown(() => void spawnSync('umount', ['-l', inside]))
  const seen = () => existsSync(join(inside, 'seen'))
  await place.ask('activate', 'tool')
  t.ok(existsSync(join(place.at, 'data/tool')) && seen())
  await place.ask('priority', 'tool', '7')
  t.ok(seen())
  const { id } = (await place.ask('snapshot', 'app')) as { id: string }
  writeFileSync(join(place.at, 'etc/app'), 'changed')
  await place.ask('restore', 'app', id, '--force')
  await place.ask('deactivate', 'tool')
  t.ok(seen())
  t.equal(readFileSync(join(place.at, 'etc/app'), 'utf8'), 'x')
})

t.test('/proc/mounts shows the type, the source and who may enter', async (t) => {
  const place = await storeOf(t)
  await place.mount('--read-only')
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((one) => one.includes(place.at))
  t.match(line, / fuse\.svsfs ro,/)
  t.match(line, /default_permissions/)
  t.throws(() => writeFileSync(join(place.at, 'f'), 'x'), { code: 'EROFS' })
})

t.test('a mount over its own base shows the layers as if they were installed there', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'etc/app': 'x' })
  mkdirSync(join(place.at, 'etc'))
  writeFileSync(join(place.at, 'etc/host'), 'h')
  await place.mount('--base', place.at)
  await place.ask('activate', 'app')
  t.equal(readFileSync(join(place.at, 'etc/app'), 'utf8'), 'x')
  t.equal(readFileSync(join(place.at, 'etc/host'), 'utf8'), 'h')
  writeFileSync(join(place.at, 'etc/host'), 'changed')
  await place.ask('umount', place.at)
  t.equal(readFileSync(join(place.at, 'etc/host'), 'utf8'), 'h', 'the base is as it was')
})
