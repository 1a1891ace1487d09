// Freezes on real mounts: what an image shows while the layer goes on, what it costs and where that lies,
// and how it ends when its room does. By the command line once, else by the daemon's API.

import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
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
import t from 'tap'
import { sharedMapping } from '../behaviour/libc.ts'
import { changeAll, contentsOf, drawOwn, failureOf, frozenPlace } from './frozen-place.ts'

t.setTimeout(300_000)

const MIB = 1024 * 1024

const place = await frozenPlace(t)
const { store } = place

t.test('an image shows its instant, and what is written to it goes nowhere else', async (t) => {
  const d = join(store.at, 'd')
  drawOwn(d)
  chmodSync(join(d, 'large'), 0o600)
  const was = contentsOf(store.at)
  const { id } = (await store.ask('freeze', 'app')) as { id: string }
  changeAll(d)
  chmodSync(join(d, 'large'), 0o644)
  const now = contentsOf(store.at)
  const shown = join(store.dir, 'shown')
  mkdirSync(shown)
  await store.ask('mount', shown, '--frozen', id)
  t.same(contentsOf(shown), was)
  t.equal(statSync(join(shown, 'd/large')).mode & 0o777, 0o600)
  t.throws(() => writeFileSync(join(shown, 'd/x'), 'x'), { code: 'EROFS' })
  const writable = await place.show(id, true)
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
  t.same(contentsOf(store.at), now)

  t.equal(await failureOf(place.thaw(id)), 'SVS_FREEZE_SHOWN')
  await place.hide(writable)
  await store.ask('umount', shown)
  await store.ask('thaw', id)
  t.same(await store.ask('freezes'), [])
  t.same(readdirSync(join(store.store, 'frozen')), [])
  t.same(contentsOf(store.at), now)
  t.equal(statSync(join(d, 'own')).nlink, 1)
})

t.test('100 blocks of a file of 1 GiB cost 400 to 600 KiB', async (t) => {
  const path = join(place.room(), 'big')
  const big = openSync(path, 'w+')
  ftruncateSync(big, 1024 * MIB)
  const places = Array.from({ length: 100 }, (_, i) => ((i * 7919) % 262_144) * 4096)
  const write = (text: string) => {
    for (const at of places) writeSync(big, Buffer.alloc(4096, `${text} ${at}.`), 0, 4096, at)
  }
  write('before')
  const id = await place.freeze()
  write('after')
  closeSync(big)
  const { bytes } = await place.line(id)
  t.ok(bytes >= 400 * 1024 && bytes <= 600 * 1024, `${bytes} bytes`)
  const { area } = JSON.parse(
    readFileSync(join(store.store, 'frozen', id, 'freeze.json'), 'utf8'),
  ) as { area: string }
  const stored = readdirSync(area).reduce((sum, name) => sum + statSync(join(area, name)).blocks, 0)
  t.ok(stored * 512 <= 600 * 1024, `${stored * 512} bytes on the disk`)
  const same = await place.shown(id, (at) => {
    const file = openSync(path.replace(store.at, at), 'r')
    const equal = places.every((offset) => {
      const block = Buffer.alloc(4096)
      readSync(file, block, 0, block.length, offset)
      return block.equals(Buffer.alloc(4096, `before ${offset}.`))
    })
    closeSync(file)
    return equal
  })
  t.ok(same, 'and the image has what was there')
  await place.thaw(id)
  rmSync(path)
})

t.test('images of several instants stand side by side, each where it was told', async (t) => {
  const d = place.room()
  const elsewhere = join(store.dir, 'elsewhere')
  mkdirSync(elsewhere)
  const images: { id: string; was: Record<string, string> }[] = []
  for (const [round, wish] of [
    {},
    { preserve: `ram:${8 * MIB}` },
    { preserve: elsewhere },
  ].entries()) {
    writeFileSync(join(d, 'own'), `round ${round}`)
    writeFileSync(join(d, `f${round}`), 'f')
    if (round > 0) renameSync(join(d, `f${round - 1}`), join(d, `g${round - 1}`))
    images.push({ was: contentsOf(store.at), id: await place.freeze(wish) })
  }
  writeFileSync(join(d, 'own'), 'now')
  const [area] = readdirSync(elsewhere)
  t.ok(readdirSync(join(elsewhere, area!)).some((name) => name.startsWith('data-')))
  await place.thaw(images[0]!.id)
  for (const { id, was } of images.slice(1)) {
    t.same(await place.shown(id, contentsOf), was)
    await place.thaw(id)
  }
  t.same(readdirSync(elsewhere), [], 'and the directory is left as it was')
})

t.test('what was written through memory before the instant is in the image, no more', async (t) => {
  const path = join(place.room(), 'mapped')
  const size = 256 * 4096
  writeFileSync(path, Buffer.alloc(size, 'drawn'))
  const fd = openSync(path, 'r+')
  const mapped = sharedMapping(fd, size)
  const write = (text: string, pages: readonly number[]) => {
    for (const page of pages) mapped.bytes.write(text, page * 4096, 'latin1')
  }
  write('flushed', [0, 100, 255])
  t.equal(mapped.sync(), 0)
  write('before', [1, 101, 254])
  const was = Buffer.from(mapped.bytes)
  const id = await place.freeze()
  write('after', [0, 1, 2, 254])
  const early = await place.shown(id, (at) => readFileSync(path.replace(store.at, at)))
  t.ok(early.equals(was), 'while the pages are the kernel’s alone')
  write('later', [101, 200])
  t.equal(mapped.sync(), 0)
  const late = await place.shown(id, (at) => readFileSync(path.replace(store.at, at)))
  t.ok(late.equals(was), 'and when they have been written')
  t.ok(readFileSync(path).equals(mapped.bytes), 'and the file has what memory has')
  mapped.free()
  closeSync(fd)
  await place.thaw(id)
})

t.test('where its room ends an image fails, and the layer goes on', async (t) => {
  const d = place.room()
  const files = (text: string) => {
    for (let i = 0; i < 30; i++) writeFileSync(join(d, `f${i}`), Buffer.alloc(20_000, text))
  }
  files('first')
  const preserve = `ram:${256 * 1024}`
  const id = await place.freeze({ preserve })
  const shown = await place.show(id)
  files('changed')
  t.match(await place.line(id), { state: 'failed', reason: /ENOSPC|room/ })
  t.throws(() => readFileSync(join(d.replace(store.at, shown), 'f29')), { code: 'EIO' })
  t.equal(readFileSync(join(d, 'f29'), 'latin1').slice(0, 7), 'changed')
  const again = await place.freeze({ preserve })
  writeFileSync(join(d, 'f3'), 'again')
  t.equal((await place.line(again)).state, 'whole')
  const read = (at: string) => readFileSync(join(d.replace(store.at, at), 'f3'), 'latin1')
  t.equal((await place.shown(again, read)).slice(0, 7), 'changed')
  await place.hide(shown)
  await place.thaw(id, again)
})

t.test('what is written to an image counts against its area, and ends there', async (t) => {
  const d = place.room()
  const files = (at: string, names: string, count: number, text: string) => {
    for (let i = 0; i < count; i++)
      writeFileSync(join(at, `${names}${i}`), Buffer.alloc(20_000, text))
  }
  files(d, 'f', 4, 'first')
  writeFileSync(join(d, 'large'), Buffer.alloc(MIB, 'large'))
  const was = contentsOf(store.at)
  const limit = 512 * 1024
  const id = await place.freeze({ preserve: `ram:${limit}` })
  const at = await place.show(id, true)
  const own = d.replace(store.at, at)
  files(own, 'own', 4, 'written')
  t.ok((await place.line(id)).bytes >= 80_000, 'it is listed with it')
  const full = { code: 'ENOSPC' }
  t.throws(() => files(own, 'more', 40, 'written'), full)
  t.throws(() => writeFileSync(join(own, 'much'), Buffer.alloc(MIB)), full)
  t.throws(() => appendFileSync(join(own, 'large'), Buffer.alloc(MIB)), full)
  t.throws(() => {
    for (let i = 0; i < 200; i++) mkdirSync(join(own, `dir${i}`))
  }, full)
  const unlinked = openSync(join(own, 'own3'), 'r+')
  rmSync(join(own, 'own3'))
  t.throws(() => files(own, 'again', 40, 'written'), full, 'what is open is there')
  closeSync(unlinked)
  const used = () =>
    Number(execFileSync('du', ['-s', '--block-size=1', area]).toString().split('\t')[0])
  const { area } = JSON.parse(
    readFileSync(join(store.store, 'frozen', id, 'freeze.json'), 'utf8'),
  ) as { area: string }
  t.ok(used() <= limit, `${used()} bytes of ${limit}`)
  t.same(contentsOf(store.at), was, 'the live layer is what it was')
  t.equal((await place.line(id)).state, 'whole')

  // What is deleted makes room again, also after the image was mounted anew.
  for (const name of readdirSync(own))
    if (/^(more|again|dir|much)/.test(name)) rmSync(join(own, name), { recursive: true })
  await new Promise((resolve) => setTimeout(resolve, 1200))
  files(own, 'own', 5, 'anew')
  await place.hide(at)
  const second = await place.show(id, true)
  const there = d.replace(store.at, second)
  t.equal(readFileSync(join(there, 'own4'), 'latin1').slice(0, 4), 'anew')
  t.throws(() => files(there, 'more', 40, 'written'), full)
  // The layer needs room to preserve in the same area: it goes on all the same, the image does not.
  files(d, 'f', 4, 'changed')
  t.equal((await place.line(id)).state, 'failed')
  t.equal(readFileSync(join(d, 'f3'), 'latin1').slice(0, 7), 'changed')
  t.throws(() => writeFileSync(join(there, 'late'), Buffer.alloc(20_000)))
  await place.hide(second)
  await place.thaw(id)
})

t.test(
  'images of all layers share one area in memory: who finds it full fails alone',
  async (t) => {
    // Made before the other layer is on top.
    const d = place.room()
    await store.layer('other', { 'o/file': 'other' })
    await store.ask('activate', 'other')
    const o = join(store.at, 'o')
    const files = (dir: string, count: number, text: string) => {
      for (let i = 0; i < count; i++) writeFileSync(join(dir, `f${i}`), Buffer.alloc(20_000, text))
    }
    files(d, 10, 'first')
    files(o, 10, 'first')
    const preserve = `ram:${384 * 1024}`
    const mine = await place.freeze({ preserve })
    const others = await place.freeze({ layer: 'other', preserve })
    const inStore = await place.freeze({ layer: 'other' })
    files(o, 2, 'changed')
    files(d, 9, 'changed')
    const states = async () =>
      Promise.all([mine, others, inStore].map(async (id) => (await place.line(id)).state))
    t.same(await states(), ['whole', 'whole', 'whole'])
    files(o, 10, 'changed')
    t.same(await states(), ['whole', 'failed', 'whole'], 'alone, though it has the less')
    writeFileSync(join(d, 'f9'), 'changed')
    t.same(await states(), ['whole', 'failed', 'whole'], 'and its part of the area is free again')
    const read = (dir: string) => (at: string) =>
      readdirSync(dir.replace(store.at, at))
        .filter((name) => name.startsWith('f') && name !== 'file')
        .map((name) => readFileSync(join(dir.replace(store.at, at), name), 'latin1').slice(0, 5))
    const first = Array.from({ length: 10 }, () => 'first')
    t.same(await place.shown(mine, read(d)), first)
    t.same(await place.shown(inStore, read(o)), first)
    await place.thaw(mine, others, inStore)
  },
)

t.test('what cannot be frozen or thawed is refused, and changes nothing', async (t) => {
  const shown = join(store.dir, 'shown')
  t.equal(await failureOf(place.freeze({ layer: 'none' })), 'SVS_LAYER_NOT_FOUND')
  for (const block of [5 * 1024, 2 * MIB, 2048])
    t.equal(await failureOf(place.freeze({ block })), 'SVS_BAD_REQUEST')
  t.equal(await failureOf(place.freeze({ preserve: 'none' })), 'SVS_BAD_REQUEST')
  t.equal(await failureOf(place.freeze({ preserve: '/none' })), 'SVS_DIRECTORY_INVALID')
  t.equal(await failureOf(place.thaw('abcdef')), 'SVS_FREEZE_NOT_FOUND')
  t.equal(await failureOf(place.show('ab')), 'SVS_FREEZE_NOT_FOUND')
  for (const words of [
    ['freeze', 'app', '--block', 'x'],
    ['freeze', 'app', '--preserve', 'ram:much'],
    ['mount', shown, '--writable'],
  ])
    t.equal(await failureOf(store.ask(...words)), 'SVS_USAGE')
  t.same(readdirSync(join(store.store, 'frozen')), [])
})
