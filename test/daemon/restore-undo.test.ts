// Going back and forth on a real mount: states as sublayers, and operations taken back.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { RestoreAnswer, UndoLine } from '../../lib/daemon/restore-methods.ts'
import type { SublayerLine } from '../../lib/daemon/sublayer-methods.ts'
import { type StorePlace, storeOf } from './store-of.ts'

async function appOf(t: Parameters<typeof storeOf>[0]): Promise<StorePlace> {
  const place = await storeOf(t)
  await place.layer('app', { conf: 'installed', other: 'other' })
  await place.ask('activate', 'app')
  await place.mount()
  return place
}

const stateOf = async (place: StorePlace): Promise<string> =>
  ((await place.ask('snapshot', 'app', '--allow-empty')) as { id: string }).id

t.test('a state becomes a sublayer; going there and back loses nothing', async (t) => {
  const place = await appOf(t)
  const conf = join(place.at, 'conf')
  const read = () => readFileSync(conf, 'utf8')
  writeFileSync(conf, 'old')
  const id = await stateOf(place)
  writeFileSync(conf, 'newer')
  writeFileSync(join(place.at, 'born'), 'newer')
  const made = (await place.ask('restore', 'app', id, '--as', 'past')) as SublayerLine
  t.match(made, { name: 'past', current: false, state: id })
  t.equal(read(), 'newer', 'until it is activated nothing changes')
  await t.rejects(place.ask('restore', 'app', id, '--as', 'past'), /SVS_SUBLAYER_EXISTS/)
  for (const round of ['first', 'second']) {
    await place.ask('activate', 'app', '--sublayer', 'past')
    t.equal(read(), round === 'first' ? 'old' : 'changed there')
    t.notOk(existsSync(join(place.at, 'born')))
    writeFileSync(conf, 'changed there')
    await place.ask('activate', 'app', '--sublayer', 'main')
    t.equal(read(), 'newer')
    t.equal(readFileSync(join(place.at, 'born'), 'utf8'), 'newer')
  }
  const listed = (await place.ask('layer', 'sublayers', 'app')) as SublayerLine[]
  t.same(
    listed.map(({ name, current }) => [name, current]),
    [
      ['main', true],
      ['past', false],
    ],
  )
  const forget = (name: string) => place.ask('layer', 'sublayers', 'app', '--delete', name, '--yes')
  await t.rejects(forget('main'), /SVS_SUBLAYER_CURRENT/)
  await t.rejects(forget('none'), /SVS_SUBLAYER_NOT_FOUND/)
  await place.ask('reset', 'app', '--yes')
  t.equal(read(), 'installed')
  await place.ask('umount', '--all')
  await place.mount()
  await place.ask('activate', 'app', '--sublayer', 'past')
  t.equal(read(), 'changed there', 'a reset and a restart leave the others')
  await place.ask('undo', 'app')
  t.equal(read(), 'installed', 'a switch is taken back by switching')
  await forget('past')
  await t.rejects(place.ask('activate', 'app', '--sublayer', 'past'), /SVS_SUBLAYER_NOT_FOUND/)
})

t.test('a sublayer lies over the version that its state was made on', async (t) => {
  const place = await appOf(t)
  const id = await stateOf(place)
  const source = join(place.dir, 'app-source')
  writeFileSync(join(source, 'conf'), 'second version')
  await place.ask('layer', 'replace', 'app', '--from', source)
  await place.ask('restore', 'app', id, '--as', 'past')
  await place.ask('gc', '--all')
  await place.ask('activate', 'app', '--sublayer', 'past')
  t.equal(readFileSync(join(place.at, 'conf'), 'utf8'), 'installed')
  await place.ask('activate', 'app', '--sublayer', 'main')
  t.equal(readFileSync(join(place.at, 'conf'), 'utf8'), 'second version')
})

t.test('the last operations are taken back, one after the other', async (t) => {
  const place = await appOf(t)
  const conf = join(place.at, 'conf')
  const read = () => readFileSync(conf, 'utf8')
  await place.ask('deactivate', 'app')
  await place.ask('undo')
  t.equal(read(), 'installed', 'a deactivation')
  writeFileSync(conf, 'one')
  const one = await stateOf(place)
  writeFileSync(conf, 'two')
  writeFileSync(join(place.at, 'new'), 'two')
  await place.ask('restore', 'app', one)
  await place.ask('reset', 'app', '--yes')
  const list = (await place.ask('undo', '--list')) as UndoLine[]
  t.same(
    list.map(({ what }) => what),
    ['reset', 'restore', 'activate'],
  )
  t.equal(read(), 'installed')
  await place.ask('undo', 'app')
  t.equal(read(), 'one', 'a reset')
  t.notOk(existsSync(join(place.at, 'new')))
  writeFileSync(join(place.at, 'later'), 'three')
  const { before } = (await place.ask('undo', 'app')) as { before: string }
  t.equal(read(), 'two', 'the restore before it')
  t.equal(readFileSync(join(place.at, 'new'), 'utf8'), 'two')
  t.notOk(existsSync(join(place.at, 'later')))
  await place.ask('restore', 'app', before)
  t.equal(readFileSync(join(place.at, 'later'), 'utf8'), 'three', 'what came later is a state')
  await place.ask('deactivate', 'app')
  await place.ask('layer', 'delete', 'app', '--with-states', '--yes')
  await place.ask('undo')
  await place.ask('activate', 'app')
  t.equal(readFileSync(join(place.at, 'later'), 'utf8'), 'three', 'a deletion')
  for (let left = 20; left > 0 && ((await place.ask('undo', '--list')) as []).length > 0; left--)
    await place.ask('undo')
  await t.rejects(place.ask('undo'), /SVS_NOTHING_TO_UNDO/)
})

t.test('of a restore of parts, the parts alone are taken back', async (t) => {
  const place = await appOf(t)
  writeFileSync(join(place.at, 'conf'), 'one')
  writeFileSync(join(place.at, 'gone'), 'one')
  const one = await stateOf(place)
  writeFileSync(join(place.at, 'conf'), 'two')
  rmSync(join(place.at, 'gone'))
  const parts = ['--path', 'conf', 'gone']
  const done = (await place.ask('restore', 'app', one, ...parts)) as RestoreAnswer
  t.match(done.changed, { write: 2 })
  writeFileSync(join(place.at, 'other'), 'later')
  await place.ask('undo')
  t.equal(readFileSync(join(place.at, 'conf'), 'utf8'), 'two')
  t.same(readdirSync(place.at), ['conf', 'other'], 'what was not there goes')
  t.equal(readFileSync(join(place.at, 'other'), 'utf8'), 'later')
  await place.ask('restore', 'app', one, '--keep-both', ...parts)
  t.equal(readdirSync(place.at).length, 4)
  await place.ask('undo')
  t.same(readdirSync(place.at), ['conf', 'other'])
})

// Makes files without end, and says the name of each that it has made; a directory that is gone ends it.
const WRITER = `const { writeFileSync } = require('node:fs')
for (let at = 0; ; at++) {
  try { writeFileSync(process.argv[1] + '/' + at, 'x') } catch { process.exit(0) }
  writeFileSync(1, at + '\\n')
}`

t.test('what a program writes until the very end of a reset is in a state', async (t) => {
  const place = await appOf(t)
  const { mkdirSync } = await import('node:fs')
  mkdirSync(join(place.at, 'w'))
  const writer = spawn(process.execPath, ['-e', WRITER, join(place.at, 'w')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => writer.kill('SIGKILL'))
  let said = ''
  writer.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await once(writer.stdout, 'data')
  const closed = once(writer, 'close')
  const { state } = (await place.ask('reset', 'app', '--yes')) as { state: string }
  await closed
  const to = join(place.dir, 'kept')
  await place.ask('restore', 'app', state, '--to', to, '--path', 'w')
  const kept = new Set(readdirSync(join(to, 'w')))
  t.same(
    said
      .trim()
      .split('\n')
      .filter((name) => !kept.has(name)),
    [],
  )
})
