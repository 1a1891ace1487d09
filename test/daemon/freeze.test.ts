// svsfs freeze, freezes, mount --frozen and thaw, on real mounts: what an image shows while the layer
// goes on, what it costs, and what is left of it when the daemon dies or its room ends.

import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CommandFailed } from '../story/svsfs.ts'
import { type StorePlace, storeOf } from './store-of.ts'

t.setTimeout(300_000)

const MIB = 1024 * 1024

interface Line {
  readonly id: string
  readonly state: string
  readonly reason: string
  readonly bytes: number
}

async function frozenPlace(t: Test): Promise<{ place: StorePlace; d: string; shown: string }> {
  const place = await storeOf(t)
  await place.layer('app', { 'd/base': 'base', 'd/other': 'other', 'd/in/deep': 'deep' })
  await place.mount()
  await place.ask('activate', 'app')
  const shown = join(place.dir, 'shown')
  mkdirSync(shown)
  return { place, d: join(place.at, 'd'), shown }
}

const freeze = async (place: StorePlace, ...words: string[]): Promise<string> =>
  ((await place.ask('freeze', 'app', ...words)) as Line).id

async function freezeLine(place: StorePlace, id: string): Promise<Line> {
  const found = ((await place.ask('freezes')) as Line[]).find((line) => line.id === id)
  if (found === undefined) throw new Error(`no freeze ${id}`)
  return found
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'done'
  } catch (err) {
    if (!(err instanceof CommandFailed)) throw err
    return /SVS_[A-Z_]+/.exec(err.message)?.[0] ?? err.message
  }
}

/** Every name below a directory with its content. */
function contentsOf(root: string, path = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const at = join(path, entry.name)
    if (entry.isDirectory()) Object.assign(found, { [at]: 'dir' }, contentsOf(root, at))
    else found[at] = readFileSync(join(root, at), 'latin1')
  }
  return found
}

function changeAll(d: string): void {
  writeFileSync(join(d, 'own'), 'changed')
  writeFileSync(join(d, 'base'), 'changed, too')
  writeFileSync(join(d, 'new'), 'new')
  rmSync(join(d, 'other'))
  renameSync(join(d, 'in'), join(d, 'out'))
  rmSync(join(d, 'out/deep'))
  rmSync(join(d, 'dir'), { recursive: true })
}

function drawOwn(d: string): void {
  writeFileSync(join(d, 'own'), 'own')
  mkdirSync(join(d, 'dir/sub'), { recursive: true })
  writeFileSync(join(d, 'dir/sub/f'), 'f')
  mkdirSync(join(d, 'dir/empty'))
  writeFileSync(join(d, 'in/more'), 'more')
}

t.test('an image shows its instant, and what is written to it goes nowhere else', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  drawOwn(d)
  const was = contentsOf(place.at)
  const id = await freeze(place)
  changeAll(d)
  const now = contentsOf(place.at)
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was)
  t.throws(() => writeFileSync(join(shown, 'd/x'), 'x'), { code: 'EROFS' })
  const writable = join(place.dir, 'writable')
  mkdirSync(writable)
  await place.ask('mount', writable, '--frozen', id, '--writable')
  const own = join(writable, 'd')
  writeFileSync(join(own, 'own'), 'written')
  rmSync(join(own, 'other'))
  renameSync(join(own, 'in'), join(own, 'moved'))
  writeFileSync(join(own, 'moved/deep'), 'written')
  const written = { ...was, 'd/own': 'written', 'd/moved': 'dir', 'd/moved/deep': 'written' }
  for (const path of ['d/other', 'd/in', 'd/in/deep', 'd/in/more'])
    delete (written as Record<string, string>)[path]
  t.same(contentsOf(writable), { ...written, 'd/moved/more': 'more' })
  t.same(contentsOf(shown), was)
  t.same(contentsOf(place.at), now)

  t.equal(await codeOf(place.ask('thaw', id)), 'SVS_FREEZE_SHOWN')
  await place.ask('umount', shown)
  await place.ask('umount', writable)
  await place.ask('thaw', id)
  t.same(await place.ask('freezes'), [])
  t.same(readdirSync(join(place.store, 'frozen')), [])
  t.same(contentsOf(place.at), now)
  t.equal(statSync(join(d, 'own')).nlink, 1)
})

t.test('100 blocks of a file of 1 GiB cost 400 to 600 KiB', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  const big = openSync(join(d, 'big'), 'w+')
  ftruncateSync(big, 1024 * MIB)
  const places = Array.from({ length: 100 }, (_, i) => ((i * 7919) % 262_144) * 4096)
  const write = (text: string) => {
    for (const at of places) writeSync(big, Buffer.alloc(4096, `${text} ${at}.`), 0, 4096, at)
  }
  write('before')
  const id = await freeze(place)
  write('after')
  closeSync(big)
  const { bytes } = await freezeLine(place, id)
  t.ok(bytes >= 400 * 1024 && bytes <= 600 * 1024, `${bytes} bytes`)
  const { area } = JSON.parse(
    readFileSync(join(place.store, 'frozen', id, 'freeze.json'), 'utf8'),
  ) as { area: string }
  const stored = readdirSync(area).reduce((sum, name) => sum + statSync(join(area, name)).blocks, 0)
  t.ok(stored * 512 <= 600 * 1024, `${stored * 512} bytes on the disk`)
  await place.ask('mount', shown, '--frozen', id)
  const file = openSync(join(shown, 'd/big'), 'r')
  const same = places.every((at) => {
    const block = Buffer.alloc(4096)
    readSync(file, block, 0, block.length, at)
    return block.equals(Buffer.alloc(4096, `before ${at}.`))
  })
  t.ok(same, 'and the image has what was there')
  closeSync(file)
})

t.test('images of several instants stand side by side, each with its own', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  const images: { id: string; was: Record<string, string> }[] = []
  for (let round = 0; round < 3; round++) {
    writeFileSync(join(d, 'own'), `round ${round}`)
    writeFileSync(join(d, `f${round}`), 'f')
    if (round > 0) renameSync(join(d, `f${round - 1}`), join(d, `g${round - 1}`))
    const was = contentsOf(place.at)
    images.push({ was, id: await freeze(place, ...(round === 1 ? ['--preserve', 'ram:8M'] : [])) })
  }
  writeFileSync(join(d, 'own'), 'now')
  await place.ask('thaw', images[0]!.id)
  for (const { id, was } of images.slice(1)) {
    await place.ask('mount', shown, '--frozen', id)
    t.same(contentsOf(shown), was)
    await place.ask('umount', shown)
    await place.ask('thaw', id)
  }
})

t.test('an image outlives the daemon, killed or ended in order', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  drawOwn(d)
  const was = contentsOf(place.at)
  const id = await freeze(place, '--block', '64K')
  renameSync(join(d, 'dir'), join(d, 'moved'))
  writeFileSync(join(d, 'own'), 'changed')
  const daemon = await place.daemon()
  process.kill(daemon, 'SIGKILL')
  await place.ended(daemon)
  await place.ask('umount', place.at, '--lazy')
  await place.mount()
  t.equal((await freezeLine(place, id)).state, 'whole')
  rmSync(join(d, 'moved/sub/f'))
  writeFileSync(join(d, 'base'), 'changed')
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'killed')
  await place.ask('umount', '--all')
  t.equal((await freezeLine(place, id)).state, 'whole')
  await place.mount()
  rmSync(join(d, 'moved'), { recursive: true })
  rmSync(join(d, 'in'), { recursive: true })
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'ended')
})

t.test('an image is gone when the machine went down under it, and says so', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  writeFileSync(join(d, 'own'), 'own')
  const ids = [await freeze(place), await freeze(place)]
  await place.ask('umount', '--all')
  const change = (id: string, fields: object) => {
    const file = join(place.store, 'frozen', id, 'freeze.json')
    const record = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...record, ...fields }))
  }
  // As after a boot: one was left in order, the other was not.
  change(ids[0]!, { boot: 'another', clean: true })
  change(ids[1]!, { boot: 'another', clean: false })
  t.equal((await freezeLine(place, ids[0]!)).state, 'whole')
  const gone = await freezeLine(place, ids[1]!)
  t.match(gone, { state: 'gone', reason: /machine/ })
  t.equal(await codeOf(place.ask('mount', shown, '--frozen', ids[1]!)), 'SVS_FREEZE_FAILED')
  for (const id of ids) await place.ask('thaw', id)
  t.same(readdirSync(join(place.store, 'frozen')), [])
})

t.test('where its room ends an image fails, and the layer goes on', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  writeFileSync(join(d, 'seen'), 'seen')
  for (let i = 0; i < 30; i++) writeFileSync(join(d, `f${i}`), Buffer.alloc(20_000, `${i}`))
  const id = await freeze(place, '--preserve', 'ram:256K')
  await place.ask('mount', shown, '--frozen', id)
  for (let i = 0; i < 30; i++) writeFileSync(join(d, `f${i}`), Buffer.alloc(20_000, 'changed'))
  t.match(await freezeLine(place, id), { state: 'failed', reason: /ENOSPC|room/ })
  t.throws(() => readFileSync(join(shown, 'd/f29')), { code: 'EIO' })
  t.equal(readFileSync(join(d, 'f29'), 'latin1').slice(0, 7), 'changed')
  const again = await freeze(place, '--preserve', 'ram:256K')
  writeFileSync(join(d, 'f3'), 'again')
  t.equal((await freezeLine(place, again)).state, 'whole')
  await place.ask('umount', shown)
  await place.ask('mount', shown, '--frozen', again)
  t.equal(readFileSync(join(shown, 'd/f3'), 'latin1').slice(0, 7), 'changed')
  await place.ask('umount', shown)
  for (const each of [id, again]) await place.ask('thaw', each)
})

t.test('a restore and a reset of the layer leave the image as it is', async (t) => {
  const { place, d, shown } = await frozenPlace(t)
  drawOwn(d)
  const { id: state } = (await place.ask('snapshot', 'app')) as { id: string }
  changeAll(d)
  mkdirSync(join(d, 'tree/of/names'), { recursive: true })
  writeFileSync(join(d, 'tree/of/names/f'), 'f')
  const was = contentsOf(place.at)
  const id = await freeze(place)
  await place.ask('restore', 'app', state)
  await place.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was, 'restored while it is mounted')
  const restored = contentsOf(place.at)
  const second = await freeze(place)
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
  t.equal(
    await codeOf(place.ask('layer', 'delete', 'app', '--yes', '--with-states')),
    'SVS_LAYER_FROZEN',
  )
})

t.test('what cannot be frozen or thawed is refused, and changes nothing', async (t) => {
  const { place, shown } = await frozenPlace(t)
  t.equal(await codeOf(place.ask('freeze', 'none')), 'SVS_LAYER_NOT_FOUND')
  t.equal(await codeOf(place.ask('freeze', 'app', '--block', '5K')), 'SVS_BAD_REQUEST')
  t.equal(await codeOf(place.ask('freeze', 'app', '--block', '2M')), 'SVS_BAD_REQUEST')
  t.equal(await codeOf(place.ask('freeze', 'app', '--block', 'x')), 'SVS_USAGE')
  t.equal(await codeOf(place.ask('freeze', 'app', '--preserve', '/none')), 'SVS_DIRECTORY_INVALID')
  t.equal(await codeOf(place.ask('freeze', 'app', '--preserve', 'ram:much')), 'SVS_USAGE')
  t.equal(await codeOf(place.ask('thaw', 'abcdef')), 'SVS_FREEZE_NOT_FOUND')
  t.equal(await codeOf(place.ask('mount', shown, '--frozen', 'ab')), 'SVS_FREEZE_NOT_FOUND')
  t.equal(await codeOf(place.ask('mount', shown, '--writable')), 'SVS_USAGE')
  t.same(await place.ask('freezes'), [])
  t.same(readdirSync(join(place.store, 'frozen')), [])
})
