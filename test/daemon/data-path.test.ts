// The data path of a mount: through the kernel's cache and the daemon, or past it. What nobody asks
// the daemon any more is true all the same.

import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import { mapFile } from '../behaviour/libc.ts'
import { type RealFile, RealPlace } from '../behaviour/real-place.ts'
import { type StorePlace, storeOf } from './store-of.ts'

t.setTimeout(240_000)

const root = process.geteuid?.() === 0
/** Longer than what a reader gets through the cache. */
const LONG = 'low '.repeat(50_000)

interface Told {
  readonly mountPoint: string
  readonly dataPath: string
}

async function dataPaths(store: StorePlace): Promise<string[]> {
  const { mounts } = (await store.ask('status')) as { mounts: Told[] }
  return mounts.map(({ dataPath }) => dataPath)
}

/** A store whose one layer, of these files, is mounted past the daemon. */
async function passed(
  t: Pick<Test, 'teardown'>,
  files: Record<string, string>,
): Promise<[StorePlace, RealPlace]> {
  const store = await storeOf(t)
  await store.layer('low', files)
  await store.ask('activate', 'low')
  await store.mount('--data-path', 'passthrough')
  const place = new RealPlace(store.at)
  t.teardown(() => place.close())
  return [store, place]
}

/** A shared mapping of a file's first page, which outlives the descriptor. */
function mapping({ fd }: RealFile, writable: boolean) {
  const map = mapFile(fd, { length: 4096, shared: true, writable })
  return {
    text: (length: number) => {
      const into = Buffer.alloc(length)
      map.read(0, into)
      return into.toString()
    },
    put: (words: string) => map.write(0, Buffer.from(words)),
    flush: () => map.sync(),
    end: () => map.free(),
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(10)
}

await t.test(
  'read-only mounts of root are passed through, others where it is asked for',
  async (t) => {
    const store = await storeOf(t)
    await store.layer('low', { f: LONG })
    await store.ask('activate', 'low')
    const past = root ? 'passthrough' : 'cached'
    const ways = [
      { words: [], is: 'cached' },
      { words: ['--read-only'], is: past },
      { words: ['--data-path', 'passthrough'], is: past },
      { words: ['--read-only', '--data-path', 'cached'], is: 'cached' },
    ]
    for (const [i, { words }] of ways.entries()) {
      const at = join(store.dir, `way${i}`)
      mkdirSync(at)
      await store.ask('mount', at, ...words)
      t.equal(readFileSync(join(at, 'f'), 'latin1'), LONG, words.join(' '))
    }
    t.same(
      await dataPaths(store),
      ways.map(({ is }) => is),
    )
  },
)

if (root) {
  const names = ['f', 'cut', 'mode', 'mapped']
  const files = [...names, 'written', 'suid'].map((name) => [name, LONG])
  const [store, place] = await passed(t, Object.fromEntries(files))

  await t.test('nothing is written to a file below that somebody has open', async (t) => {
    const { places } = (await store.ask('layer', 'show', 'low')) as { places: { ro: string } }
    const [file, cut, mode, mapped] = names.map((name) => place.open(name))
    const map = mapping(mapped!, false)
    const writer = place.open('f', O.RDWR)
    writer.pwrite('new', 0)
    place.truncate('cut', 3)
    mode!.chmod(0o600)
    t.equal(place.stat('mode').mode, 0o600, 'set by the descriptor')
    t.equal(text(place, 'mode'), LONG)
    put(place, 'mode', 'written')
    put(place, 'mapped', 'other')
    t.equal(writer.pread(7, 0).toString(), 'new low')
    t.same(
      ['cut', 'mode', 'mapped'].map((name) => text(place, name)),
      ['low', 'written', 'other'],
    )
    t.equal(file!.stat().ino, place.stat('f').ino, 'one file by its number')
    for (const old of [file, cut, mode, mapped]) {
      t.equal(whole(old!), LONG, 'who had it open goes on with what it was')
    }
    t.equal(map.text(4), 'low ', 'and who had it mapped')
    map.end()
    for (const name of names) {
      t.equal(readFileSync(join(places.ro, name), 'latin1'), LONG, `${name}, below`)
    }
  })

  await t.test('attributes are true, whoever writes in which way', async (t) => {
    const file = place.open('written', O.RDWR)
    const told = () => place.stat('written')
    const before = told()
    file.pwrite('x', LONG.length + 99)
    t.equal(told().size, before.size + 100)
    t.ok(told().mtime > before.mtime, 'by a write')
    const map = mapping(file, true)
    file.close()
    for (const moment of ['open', 'later']) {
      const was = told().mtime
      await pause(20)
      map.put(`mapped ${moment}`)
      t.ok(told().mtime > was, 'by a mapping of what is closed')
      await pause(20)
      // What has been on the way to the disk is told anew when it is written to.
      map.flush()
    }
    map.end()
    t.equal(text(place, 'written').slice(0, 12), 'mapped later')
    place.truncate('written', 10)
    t.equal(text(place, 'written'), 'mapped lat')
    t.equal(told().size, 10)
  })

  await t.test('a file that is written past the daemon is set-user-id no more', async (t) => {
    const file = place.open('suid', O.RDWR)
    file.chmod(0o4755)
    t.equal(place.stat('suid').mode, 0o4755)
    file.pwrite('x', 0)
    t.equal(place.stat('suid').mode, 0o755)
    file.close()
  })

  await t.test(
    'another mount sees what was written past the daemon when it is flushed or closed',
    async (t) => {
      const [store, place] = await passed(t, { f: LONG })
      const file = place.open('f', O.RDWR)
      file.pwrite('begun', 0)
      const second = join(store.dir, 'second')
      mkdirSync(second)
      await store.ask('mount', second)
      const other = new RealPlace(second)
      t.teardown(() => other.close())
      t.equal(text(other, 'f').slice(0, 5), 'begun')
      file.pwrite('x', LONG.length)
      file.pwrite('flush', 0)
      file.sync()
      t.equal(text(other, 'f'), `flush${LONG.slice(5)}x`)
      file.pwrite('close', 0)
      file.close()
      await until(() => text(other, 'f').slice(0, 5) === 'close')
      t.equal(other.stat('f').size, LONG.length + 1)
      const [one, two] = [place.open('f', O.RDWR), other.open('f', O.RDWR)]
      one.pwrite('ONE', 0)
      one.sync()
      two.pwrite('TWO', 3)
      two.sync()
      t.equal(one.pread(6, 0).toString(), 'ONETWO', 'opened while both show it, both see it')
    },
  )

  await t.test('a snapshot has what was flushed, in the order in which it was', async (t) => {
    const files: Record<string, string> = { 'a-first': LONG, 'z-last': LONG, 'm-mapped': LONG }
    const [store, place] = await passed(t, files)
    for (let i = 0; i < 300; i++) put(place, `between${i}`, LONG)
    const [first, last, mapped] = ['a-first', 'z-last', 'm-mapped'].map((name) =>
      place.open(name, O.RDWR),
    )
    const map = mapping(mapped!, true)
    mapped!.close()
    let count = 0
    const step = () => {
      const words = String(++count).padStart(8)
      map.put(words)
      first!.pwrite(words, 0)
      first!.sync()
      last!.pwrite(words, 0)
    }
    step()
    let taken = false
    const snapshot = store.ask('snapshot', 'low').finally(() => {
      taken = true
    })
    while (!taken) {
      step()
      await pause(0)
    }
    await snapshot
    const ended = count
    map.end()
    for (const file of [first, last]) file!.close()
    await store.ask('restore', 'low', 'latest', '--force')
    const [a, z, m] = ['a-first', 'z-last', 'm-mapped'].map((name) =>
      Number(text(place, name).slice(0, 8)),
    )
    t.ok(a! >= 1 && a! < ended, `a state of the middle: ${a} of ${ended}`)
    t.ok(z! === a || z === a! - 1, `what comes after a flush is not older by more: ${z}, ${a}`)
    t.ok(Math.abs(m! - a!) <= 1, `what was mapped is of the same moment: ${m}, ${a}`)
  })
}
