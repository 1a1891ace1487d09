// svsfs update, as a person calls it: real programs in a real view.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import type { StateLine } from '../../lib/daemon/state-methods.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, PROGRAM, svsfs } from './run-cli.ts'

const states = (store: string): StateLine[] => ask(store, 'snapshots', 'app').data as StateLine[]

/** Runs a command line at a terminal of its own, and answers its first question by a key. */
async function atTerminal(store: string, line: string, key: string) {
  const child = spawn(
    'script',
    ['-qec', `stty cols 120 rows 40; ${process.execPath} ${PROGRAM} ${line}`, '/dev/null'],
    {
      env: { ...process.env, SVSFS_STORE: store },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  let out = ''
  child.stdout.on('data', (bytes: Buffer) => {
    const before = out.includes('?')
    out += bytes.toString()
    if (!before && out.includes('?')) child.stdin.write(key)
  })
  const [status] = (await once(child, 'close')) as [number]
  return { status, out }
}

t.test(
  'an update keeps the state before it, and the way back where it fails, also by a word at the terminal',
  async (t) => {
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

    const asked = await atTerminal(store, "update app -- sh -c 'echo four > ~/file; exit 5'", 'y')
    t.equal(asked.status, 5)
    t.notMatch(asked.out, /read \d+ names?[^\r]*sh ended/, 'not behind a line of progress')
    t.match(asked.out, /sh ended with 5\. Put app back to what it was before\?/)
    t.match(asked.out, /layer app is as before; the failed attempt is state/)

    const program = spawn(
      process.execPath,
      [PROGRAM, 'run', 'app', '--', 'sh', '-c', 'exec 3>>~/file; cat ~/file; exec sleep 100'],
      { env: { ...process.env, SVSFS_STORE: store }, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    t.teardown(() => program.kill())
    const [said] = (await once(program.stdout, 'data')) as [Buffer]
    t.match(said.toString(), /two/, 'yes at the terminal has put it back')
    const wrong = ask(store, 'restore', 'app', states(store).at(-1)!.id)
    t.match(wrong.error, { code: 'SVS_FILES_OPEN', message: /sleep \(process \d+\)/ })
    program.kill()
    await once(program, 'close')

    t.match(svsfs(store, 'update', 'app'), { status: 2, err: /SVS_USAGE/ })
    const missing = ask(store, 'update', 'none', '--', 'true')
    t.match(missing, { ok: false, error: { code: 'SVS_LAYER_NOT_FOUND' } })
    svsfs(store, 'umount', '--all', '--lazy')
  },
)
