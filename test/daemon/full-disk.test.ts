// A store on a disk that is full: nothing is called damaged, and space can be freed.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { perform } from '../../lib/daemon/api.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { layerPlaces, storePlaces } from '../../lib/daemon/store-path.ts'
import { nobody, type Test, throwAway } from './place.ts'

const MIB = 1 << 20
const root = process.geteuid?.() === 0

/** A disk of 24 MiB, or the reason why there is none. */
function smallDisk(t: Test): string {
  const disk = join(throwAway(t), 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'svsfs-test', disk])
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  return disk
}

/** Fills what is left, to the last byte. */
function fill(file: string): void {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=4k'], { stdio: 'ignore' })
  } catch {
    // dd says that the disk is full.
  }
}

const open = (disk: string) =>
  openControl({ root: join(disk, 'store'), doing: 'a test', create: true })

t.test('on a full disk', { skip: root ? false : 'needs root: a disk of its own' }, async (t) => {
  const disk = smallDisk(t)
  const places = storePlaces(join(disk, 'store'))
  const first = await open(disk)
  for (const layer of ['a', 'b'])
    await perform(first, 'layer.create', { layer, source: { kind: 'empty' } }, nobody)
  const { id: state } = (await perform(
    first,
    'snapshot',
    { layer: 'a', always: true },
    nobody,
  )) as { id: string }
  const { id, rw } = await first.layer('a')
  await first.close()
  t.equal(statSync(places.spare).size, 8 * MIB, 'room is kept')
  t.ok(statSync(places.spare).blocks * 512 >= 8 * MIB, 'really')
  const grown = join(layerPlaces(places, id).rw(rw), 'grown')
  fill(grown)

  await t.test('the store opens, again and again, and keeps what room it has', async (t) => {
    for (let time = 0; time < 5; time++) {
      const control = await open(disk)
      t.equal((await control.catalogue.layers()).length, 2)
      await control.close()
    }
    t.ok(statSync(places.spare).size > 4 * MIB)
    t.ok(existsSync(grown))
  })

  await t.test('a restore and a reset say how it goes without a state, and it goes', async (t) => {
    const control = await open(disk)
    // What cannot be compressed does not fit into the catalogue.
    rmSync(grown)
    execFileSync('dd', ['if=/dev/urandom', `of=${grown}`, 'bs=4k', 'count=1800'], {
      stdio: 'ignore',
    })
    fill(join(disk, 'other'))
    await t.rejects(perform(control, 'reset', { layer: 'a' }, nobody), {
      code: 'SVS_RESET_NO_ROOM',
      message: /--no-snapshot/,
    })
    const restore = () => perform(control, 'restore', { layer: 'a', state }, nobody)
    await t.rejects(restore(), { code: 'SVS_RESTORE_NO_ROOM', message: /reset a --no-snapshot/ })
    t.ok(existsSync(grown), 'nothing is changed')
    await perform(control, 'reset', { layer: 'a', snapshot: false }, nobody)
    t.notOk(existsSync(grown))
    await restore()
    await control.close()
  })

  await t.test('a layer can be deleted', async (t) => {
    const { id, rw } = await (async () => {
      const control = await open(disk)
      const record = await control.layer('b')
      await control.close()
      return record
    })()
    const file = join(layerPlaces(places, id).rw(rw), 'grown')
    writeFileSync(file, '')
    fill(file)
    const control = await open(disk)
    await perform(control, 'layer.delete', { layer: 'b' }, nobody)
    t.notOk(existsSync(file))
    await control.close()
  })

  await t.test('without spare room it is called full, not damaged', async (t) => {
    rmSync(places.spare, { force: true })
    fill(join(disk, 'rest'))
    await t.rejects(open(disk), { code: 'SVS_DISK_FULL' })
    rmSync(join(disk, 'rest'))
    rmSync(join(disk, 'other'))
    const control = await open(disk)
    t.equal((await control.catalogue.layers()).length, 1)
    await control.close()
  })
})
