// A store as a directory: who may have it, and what is not one.

import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { STORE_FORMAT, storeExists, takeStore } from '../../lib/daemon/store.ts'
import { storePath, storePlaces } from '../../lib/daemon/store-path.ts'
import { throwAway } from './place.ts'

const take = (root: string, create = false) => takeStore(root, 'a test', create)

t.test('a store is made private, with its format and an id of its own', async (t) => {
  const root = join(throwAway(t), 'deep/store')
  const store = take(root, true)
  t.teardown(() => store.release())
  t.equal(store.json.format, STORE_FORMAT)
  t.match(store.json.id, /^[0-9a-f-]{36}$/)
  t.equal(statSync(root).mode & 0o777, 0o700)
  t.equal(statSync(store.places.keys).mode & 0o777, 0o700)
  t.equal(statSync(store.places.json).mode & 0o777, 0o600)
})

t.test('a store that was made is the same one when it is taken again', async (t) => {
  const root = join(throwAway(t), 'store')
  const first = take(root, true)
  first.release()
  const second = take(root)
  second.release()
  t.equal(second.json.id, first.json.id)
})

t.test('where there is no store, none is made unless that is asked for', async (t) => {
  const root = join(throwAway(t), 'store')
  t.throws(() => take(root), { code: 'SVS_STORE_NOT_FOUND', exit: 6 })
  t.notOk(storeExists(root))
})

t.test('a directory with other things in it never becomes a store', async (t) => {
  const root = throwAway(t)
  writeFileSync(join(root, 'letter.txt'), 'mine')
  t.throws(() => take(root, true), { code: 'SVS_STORE_FOREIGN' })
  t.same(readFileSync(join(root, 'letter.txt'), 'utf8'), 'mine')
})

t.test('a making that was interrupted is taken up again', async (t) => {
  const root = throwAway(t)
  mkdirSync(join(root, 'layers'))
  mkdirSync(join(root, 'probe-abc123'))
  const store = take(root, true)
  store.release()
  t.ok(storeExists(root))
})

t.test('a newer format is refused with both versions', async (t) => {
  const root = madeStore(t)
  change(root, { format: STORE_FORMAT + 1, later: { unknown: true } })
  t.throws(() => take(root), { code: 'SVS_STORE_NEWER', exit: 6, message: /format 2.*knows 1/ })
})

t.test('a damaged store.json is named with what is wrong, and left as it is', async (t) => {
  const root = madeStore(t)
  const { json } = storePlaces(root)
  for (const [text, said] of [
    ['{', /not JSON/],
    ['[]', /is not what it must be/],
    ['{"format":1,"id":7,"made":"2026-01-01T00:00:00Z","marks":"user"}', /: id is not/],
    ['{"format":0,"id":"x","made":"2026-01-01T00:00:00Z","marks":"user"}', /: format is not/],
    ['', /not JSON/],
  ] as const) {
    writeFileSync(json, text)
    t.throws(() => take(root), { code: 'SVS_STORE_DAMAGED', exit: 7, message: said }, text)
    t.equal(readFileSync(json, 'utf8'), text)
  }
})

t.test('a store of the other kind of user is refused, since its marks would be lost', async (t) => {
  const root = madeStore(t)
  change(root, { marks: process.geteuid?.() === 0 ? 'user' : 'trusted' })
  t.throws(() => take(root), { code: 'SVS_STORE_OWNER', exit: 9 })
})

t.test('one process has a store; the next hears which', async (t) => {
  const root = join(throwAway(t), 'store')
  const store = takeStore(root, 'svsfs layer create', true)
  t.throws(() => take(root), {
    code: 'SVS_STORE_LOCKED',
    exit: 13,
    message: new RegExp(`process ${process.pid}, svsfs layer create`),
  })
  store.release()
  take(root).release()
})

t.test('a lock file with nonsense in it is no lock', async (t) => {
  const root = madeStore(t)
  writeFileSync(storePlaces(root).lock, `${'x'.repeat(100_000)}\n`)
  const store = take(root)
  t.throws(() => take(root), { code: 'SVS_STORE_LOCKED', message: new RegExp(`${process.pid}`) })
  store.release()
})

t.test('the store is where the option says, then the variable, then the usual place', async (t) => {
  t.equal(storePath('some/where', {}), join(process.cwd(), 'some/where'))
  t.equal(storePath(undefined, { SVSFS_STORE: '/srv/store' }), '/srv/store')
  t.equal(storePath('/a', { SVSFS_STORE: '/b' }), '/a')
  const usual = storePath(undefined, { XDG_DATA_HOME: '/data' })
  t.equal(usual, process.geteuid?.() === 0 ? '/var/lib/svsfs' : '/data/svsfs')
})

t.test('a store whose directory cannot be written is a failure, not a crash', async (t) => {
  if (process.geteuid?.() === 0) return t.pass('root may write everywhere')
  const dir = throwAway(t)
  chmodSync(dir, 0o500)
  t.teardown(() => chmodSync(dir, 0o700))
  t.throws(() => take(join(dir, 'store'), true), { code: 'EACCES' })
})

function madeStore(t: Parameters<typeof throwAway>[0]): string {
  const root = join(throwAway(t), 'store')
  take(root, true).release()
  return root
}

function change(root: string, fields: object): void {
  const { json } = storePlaces(root)
  const before = JSON.parse(readFileSync(json, 'utf8')) as object
  writeFileSync(json, JSON.stringify({ ...before, ...fields }))
}
