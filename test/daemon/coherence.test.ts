// On one mount every descriptor and every mapping of a file shows every change of it, also one
// opened before the file was copied up, by whatever call the change was made.

import { join } from 'node:path'
import koffi from 'koffi'
import t, { type Test } from 'tap'
import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import type { OpenFile } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { type Drawing, draw } from '../union/view-of.ts'
import { storeOf } from './store-of.ts'

t.setTimeout(240_000)

const PAGE = 4096
const SIZE = 40 * PAGE
const OLD = 'low '.repeat(SIZE / 4)
const PUNCH_KEEPING_SIZE = 3
const SEEK_DATA = 3
const SEEK_HOLE = 4

/** Where the file lies below: each is copied up from elsewhere. */
const BELOW = ['layer', 'base', 'large', 'chmodded']

const store = await storeOf(t)
const drawing: Record<string, string> = {}
for (const test of ['write', 'cut', 'direct', 'seek']) {
  for (const kind of ['layer', 'chmodded']) drawing[`${test}/${kind}`] = OLD
  drawing[`${test}/large`] = OLD.repeat(10)
}
await store.layer('app', drawing)
const below: Drawing = Object.fromEntries(
  Object.keys(drawing).map((path) => [path.replace(/[a-z]*$/, 'base'), OLD]),
)
draw(join(store.dir, 'base'), below)
await store.mount('--base', join(store.dir, 'base'))
await store.ask('activate', 'app')

interface Seen {
  readonly kind: string
  readonly place: RealPlace
  /** Opened before anything changed. */
  readonly reader: OpenFile
}

function each(t: Test, test: string, act: (seen: Seen) => void): void {
  for (const kind of BELOW) {
    const place = new RealPlace(`${store.at}/${test}`)
    // Its attributes alone are copied up: the bytes are still those below.
    if (kind === 'chmodded') place.chmod(kind, 0o600)
    const reader = place.open(kind, O.RDONLY)
    reader.pread(PAGE, 0)
    act({ kind, place, reader })
    t.equal(text(place, kind), whole(reader), `${kind}: one content in the end`)
    place.close()
  }
}

await t.test('what is written, through a descriptor or a mapping', async (t) => {
  each(t, 'write', ({ kind, place, reader }) => {
    const writer = place.open(kind, O.RDWR)
    writer.pwrite('written', PAGE)
    t.equal(reader.pread(7, PAGE).toString(), 'written', kind)
    const other = place.open(kind, O.RDWR)
    const bytes = other.map(SIZE)
    t.equal(bytes.toString('latin1', PAGE, PAGE + 7), 'written')
    bytes.write('mapped', 2 * PAGE, 'latin1')
    t.equal(reader.pread(6, 2 * PAGE).toString(), 'mapped')
    t.equal(writer.pread(6, 2 * PAGE).toString(), 'mapped')
    writer.pwrite('beside', 2 * PAGE)
    t.equal(bytes.toString('latin1', 2 * PAGE, 2 * PAGE + 6), 'beside')
    const { size } = reader.stat()
    writer.pwrite('grown', size)
    t.equal(reader.stat().size, size + 5)
    other.close()
    writer.close()
  })
})

await t.test('a size that was cut or grown, and holes', async (t) => {
  each(t, 'cut', ({ kind, place, reader }) => {
    const writer = place.open(kind, O.RDWR)
    const mapped = place.open(kind, O.RDWR)
    const bytes = mapped.map(SIZE)
    t.equal(bytes.toString('latin1', 0, 4), 'low ')
    writer.allocate(PUNCH_KEEPING_SIZE, PAGE, PAGE)
    t.equal(reader.pread(4, PAGE).toString(), '\0\0\0\0', `${kind}: punched`)
    t.equal(bytes.readUInt32LE(PAGE), 0)
    place.truncate(kind, PAGE + 10)
    t.equal(reader.stat().size, PAGE + 10)
    writer.truncate(SIZE)
    t.equal(bytes.readUInt32LE(3 * PAGE), 0, 'a mapping of what was cut and grown again')
    t.equal(bytes.toString('latin1', 0, 4), 'low ')
    put(place, kind, 'anew')
    t.equal(whole(reader), 'anew')
    writer.truncate(SIZE)
    t.equal(bytes.toString('latin1', 0, 5), 'anew\0')
    mapped.close()
    writer.close()
  })
})

// O_DIRECT wants memory that begins at a block, as ext4 does.
function aligned(length: number): Buffer {
  const memory = Buffer.alloc(length + PAGE)
  const offset = Number(BigInt(PAGE) - (koffi.address(memory) % BigInt(PAGE))) % PAGE
  return memory.subarray(offset, offset + length)
}

await t.test('what is read and written past the cache', async (t) => {
  const { sys } = await import('../../lib/host/sys.ts')
  each(t, 'direct', ({ kind, place, reader }) => {
    const path = `${store.at}/direct/${kind}`
    const before = sys.openat(0, path, O.RDONLY | O.DIRECT)
    const block = aligned(PAGE)
    t.equal(sys.pread(before, block, PAGE, 0), PAGE)
    const writer = place.open(kind, O.RDWR)
    const bytes = writer.map(SIZE)
    writer.pwrite('cached', PAGE)
    sys.pread(before, block, PAGE, PAGE)
    t.equal(block.toString('latin1', 0, 6), 'cached', `${kind}: opened before the copy-up`)
    bytes.write('mapped', 3 * PAGE, 'latin1')
    sys.pread(before, block, PAGE, 3 * PAGE)
    t.equal(block.toString('latin1', 0, 6), 'mapped')
    const direct = sys.openat(0, path, O.RDWR | O.DIRECT)
    block.fill('d')
    t.equal(sys.pwrite(direct, block, PAGE, 5 * PAGE), PAGE)
    t.equal(reader.pread(4, 5 * PAGE).toString(), 'dddd')
    t.equal(bytes.toString('latin1', 5 * PAGE, 5 * PAGE + 4), 'dddd')
    const { size } = reader.stat()
    const end = Math.ceil(size / PAGE) * PAGE
    t.equal(sys.pwrite(direct, block, PAGE, end), PAGE)
    t.equal(reader.stat().size, end + PAGE)
    sys.close(before)
    sys.close(direct)
    writer.close()
  })
})

await t.test('data that is not written back yet is no hole', async (t) => {
  each(t, 'seek', ({ kind, place, reader }) => {
    const writer = place.open(kind, O.RDWR)
    writer.truncate(0)
    writer.truncate(1000 * PAGE)
    t.throws(() => writer.seek(0, SEEK_DATA), { code: 'ENXIO' }, `${kind}: one hole`)
    writer.pwrite('data', 500 * PAGE)
    t.equal(reader.seek(0, SEEK_DATA), 500 * PAGE)
    t.equal(reader.seek(500 * PAGE, SEEK_HOLE), 501 * PAGE)
    writer.pwrite('grown', 1000 * PAGE)
    t.equal(writer.seek(501 * PAGE, SEEK_DATA), 1000 * PAGE)
    t.equal(writer.seek(1000 * PAGE, SEEK_HOLE), 1000 * PAGE + 5)
    writer.truncate(5)
    writer.close()
  })
})
