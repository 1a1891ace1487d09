// svsfs doctor: what is wrong is named with what mends it, and looking changes nothing.

import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Diagnosis, examine, type Finding } from '../../lib/daemon/doctor.ts'
import { unmountFuse } from '../../lib/host/mount.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { sys } from '../../lib/host/sys.ts'
import { KeyValue, putText } from '../../lib/snapshot/key-value.ts'
import { throwAway } from '../daemon/place.ts'
import { storeOf } from '../daemon/store-of.ts'
import { ask, svsfs } from './run-cli.ts'

const find = ({ findings }: Diagnosis, name: string): Finding | undefined =>
  findings.find((finding) => finding.name === name)

/** Every name and byte of a store. */
function digest(root: string): string {
  const sum = createHash('sha256')
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    sum.update(`${path}\0`)
    if (entry.isFile()) sum.update(readFileSync(path))
  }
  return sum.digest('hex')
}

t.test('without a store everything else is looked at, and none is made', async (t) => {
  const root = join(throwAway(t), 'deep/store')
  const diagnosis = await examine(root)
  t.notOk(existsSync(join(root, '..')))
  for (const name of ['node', '/dev/fuse', 'kernel', 'space', 'disk features', 'store'])
    t.equal(find(diagnosis, name)?.verdict === 'failure', false, name)
  t.match(find(diagnosis, 'kernel')?.says, /FUSE 7\.\d+/)
  for (const { verdict, mend } of diagnosis.findings) t.equal(mend === null, verdict === 'ok')
})

t.test(
  'what is damaged in a store is named, the store stays as it is, exit status 1',
  async (t) => {
    const store = join(throwAway(t), 'store')
    svsfs(store, 'layer', 'create', 'a', '--empty')
    const whole = digest(store)
    t.match(find(await examine(store), 'store'), { verdict: 'ok', says: /1 layer, every record/ })
    t.equal(digest(store), whole)
    const lock = openSync(join(store, 'run/lock'), 'r')
    sys.flock(lock, 2)
    t.match(find(await examine(store), 'store'), { verdict: 'warning', says: /in use by process/ })
    closeSync(lock)
    const db = await KeyValue.open(join(store, 'catalogue'))
    await db.batch([putText('layer/broken', '{}')])
    await db.close()
    const { status, out } = svsfs(store, 'doctor')
    t.equal(status, 1)
    t.match(out, /FAILURE +store +the catalogue is damaged at layer\/broken/)
    writeFileSync(join(store, 'store.json'), '{')
    t.match(ask(store, 'doctor'), {
      ok: true,
      data: { verdict: 'failure' },
    })
    t.match(find(await examine(store), 'store'), { says: /store\.json is damaged: not JSON/ })
  },
)

t.test('a mount is served by a transport; when its daemon is gone, how to detach it', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { file: 'text' })
  await place.mount()
  const live = await examine(place.store)
  t.match(find(live, 'transport'), { verdict: 'ok', says: 'direct' })
  t.match(find(live, 'store'), { says: /1 layer, 1 mount, served by process \d+/ })
  const daemon = await place.daemon()
  process.kill(daemon, 'SIGKILL')
  await place.ended(daemon)
  const { findings } = await examine(place.store)
  const dead = findings.find(({ says }) => says.startsWith(place.at))
  t.match(dead, { verdict: 'failure', says: /is dead/, mend: new RegExp(place.at) })
  unmountFuse(place.at, true)
  t.equal(mountAt(place.at), null)
})
