// What becomes of an image when its daemon dies or ends, when the machine goes down, and when the layer
// is restored or reset under it.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { changeAll, contentsOf, DRAWING, drawOwn, failureOf } from './frozen-place.ts'
import { storeOf } from './store-of.ts'

t.setTimeout(300_000)

interface Line {
  readonly id: string
  readonly state: string
}

const place = await storeOf(t)
await place.layer('app', DRAWING)
await place.mount()
await place.ask('activate', 'app')
const d = join(place.at, 'd')
const shown = join(place.dir, 'shown')
mkdirSync(shown)

const freeze = async (...words: string[]): Promise<string> =>
  ((await place.ask('freeze', 'app', ...words)) as Line).id

const states = async (): Promise<string[]> =>
  ((await place.ask('freezes')) as Line[]).map(({ state }) => state)

t.test('an image outlives the daemon, killed or ended in order', async (t) => {
  drawOwn(d)
  const was = contentsOf(place.at)
  const id = await freeze('--block', '64K')
  renameSync(join(d, 'dir'), join(d, 'moved'))
  writeFileSync(join(d, 'own'), 'changed')
  const daemon = await place.daemon()
  process.kill(daemon, 'SIGKILL')
  await place.ended(daemon)
  await place.ask('umount', place.at, '--lazy')
  await place.mount()
  t.same(await states(), ['whole'])
  rmSync(join(d, 'moved/sub/f'))
  writeFileSync(join(d, 'base'), 'changed')
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'killed')
  await place.ask('umount', '--all')
  await place.mount()
  rmSync(join(d, 'moved'), { recursive: true })
  rmSync(join(d, 'in'), { recursive: true })
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'ended')
  await place.ask('umount', shown)
  await place.ask('thaw', id)
})

t.test('a restore and a reset of the layer leave the image as it is', async (t) => {
  await place.ask('reset', 'app')
  drawOwn(d)
  const { id: state } = (await place.ask('snapshot', 'app')) as { id: string }
  changeAll(d)
  mkdirSync(join(d, 'tree/of/names'), { recursive: true })
  writeFileSync(join(d, 'tree/of/names/f'), 'f')
  const was = contentsOf(place.at)
  const id = await freeze()
  await place.ask('restore', 'app', state)
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'restored while it is mounted')
  const restored = contentsOf(place.at)
  const second = await freeze()
  await place.ask('umount', '--all')
  await place.ask('restore', 'app', 'latest')
  await place.mount()
  t.same(contentsOf(place.at), was, 'all of it comes back')
  await place.ask('mount', shown, '--frozen', second)
  t.same(contentsOf(shown), restored, 'and while it is not')
  await place.ask('umount', shown)
  await place.ask('mount', shown, '--frozen', id)
  await place.ask('reset', 'app')
  t.notOk(existsSync(join(d, 'own')))
  t.same(contentsOf(shown), was, 'and after a reset')
  await place.ask('umount', '--all')
  const deleted = place.ask('layer', 'delete', 'app', '--yes', '--with-states')
  t.equal(await failureOf(deleted), 'SVS_LAYER_FROZEN')
  t.same(await states(), ['whole', 'whole'])

  await t.test('and it is gone when the machine went down under it, and says so', async (t) => {
    const change = (of: string, fields: object) => {
      const file = join(place.store, 'frozen', of, 'freeze.json')
      const record = JSON.parse(readFileSync(file, 'utf8')) as object
      writeFileSync(file, JSON.stringify({ ...record, ...fields }))
    }
    // As after a boot: one was left in order, the other was not.
    change(id, { boot: 'another', clean: true })
    change(second, { boot: 'another', clean: false })
    t.match(await place.ask('freezes'), [
      { id, state: 'whole' },
      { id: second, state: 'gone', reason: /machine/ },
    ])
    const asked = place.ask('mount', shown, '--frozen', second)
    t.equal(await failureOf(asked), 'SVS_FREEZE_FAILED')
    for (const each of [id, second]) await place.ask('thaw', each)
    t.same(readdirSync(join(place.store, 'frozen')), [])
  })
})
