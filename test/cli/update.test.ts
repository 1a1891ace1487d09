// svsfs update, as a person calls it: real programs in a real view.

import { join } from 'node:path'
import t from 'tap'
import type { StateLine } from '../../lib/daemon/state-methods.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, svsfs } from './run-cli.ts'

const states = (store: string): StateLine[] => ask(store, 'snapshots', 'app').data as StateLine[]

t.test('an update keeps the state before it, and the way back where it fails', async (t) => {
  const store = join(throwAway(t), 'store')
  t.equal(svsfs(store, 'layer', 'create', 'app', '--empty').status, 0)
  const home = (script: string) => ['--', 'sh', '-c', script]

  const first = svsfs(store, 'update', 'app', ...home('echo one > ~/file'))
  t.equal(first.status, 0, first.err)
  t.match(states(store), [{ trigger: 'before-update', message: /^before sh -c/ }])
  const way = /svsfs (restore app@\w+) puts it back/.exec(first.err)?.[1] ?? ''
  const before = svsfs(store, ...way.split(' '))
  t.equal(before.status, 0, before.err)
  t.not(svsfs(store, 'run', 'app', ...home('cat ~/file')).status, 0, 'what it says goes back')
  t.equal(svsfs(store, 'undo', 'app').status, 0)

  const failed = svsfs(store, 'update', 'app', ...home('echo two > ~/file; exit 3'))
  t.equal(failed.status, 3)
  t.match(failed.err, /stays as it left it/)
  t.match(svsfs(store, 'run', 'app', ...home('cat ~/file')).out, /two/)

  const words = ['update', 'app', '--rollback-on-failure', ...home('echo three > ~/file; exit 4')]
  const back = svsfs(store, ...words)
  t.equal(back.status, 4)
  t.match(back.out, /is as before; the failed attempt is state/)
  t.match(svsfs(store, 'run', 'app', ...home('cat ~/file')).out, /two/)
  t.match(states(store)[0], { trigger: 'before-restore' }, 'what failed is kept, too')

  t.match(svsfs(store, 'update', 'app'), { status: 2, err: /SVS_USAGE/ })
  const missing = ask(store, 'update', 'none', '--', 'true')
  t.match(missing, { ok: false, error: { code: 'SVS_LAYER_NOT_FOUND' } })
  svsfs(store, 'umount', '--all', '--lazy')
})
