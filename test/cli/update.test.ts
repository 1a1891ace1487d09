// svsfs update, as a person calls it: real programs in a real view.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { LayerDetails } from '../../lib/daemon/layer-methods.ts'
import type { StateLine } from '../../lib/daemon/state-methods.ts'
import { directory, throwAway } from '../daemon/place.ts'
import { PROGRAM, ready, readyAsk } from './run-cli.ts'

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
    const dir = throwAway(t)
    const store = join(dir, 'store')
    const svsfs = (...words: string[]) => ready('--store', store, ...words)
    const ask = (...words: string[]) => readyAsk('--store', store, ...words)
    const states = async () => (await ask('snapshots', 'app')).data as StateLine[]
    t.equal((await svsfs('layer', 'create', 'app', '--empty')).status, 0)
    const { places } = (await ask('layer', 'show', 'app')).data as LayerDetails
    const file = () => {
      const path = join(places.rw, 'home/app/file')
      return existsSync(path) ? readFileSync(path, 'utf8') : null
    }
    const home = (script: string) => ['--', 'sh', '-c', script]

    // Each starts a daemon, which goes with the program.
    const first = await svsfs('update', 'app', ...home('echo one > ~/file'))
    t.equal(first.status, 0, first.err)
    t.match(await states(), [{ trigger: 'before-update', message: /^before sh -c/ }])
    const way = /svsfs (restore app@\w+) puts it back/.exec(first.err)?.[1] ?? ''
    const before = await svsfs(...way.split(' '))
    t.equal(before.status, 0, before.err)
    t.equal(file(), null, 'what it says goes back')
    t.equal((await svsfs('undo', 'app')).status, 0)

    const words = ['update', 'app', '--rollback-on-failure', ...home('echo two > ~/file; exit 4')]
    const back = await svsfs(...words)
    t.equal(back.status, 4)
    t.match(back.out, /is as before; the failed attempt is state/)
    t.equal(file(), 'one\n')
    t.match((await states())[0], { trigger: 'before-restore' }, 'what failed is kept, too')

    // From here on there is one.
    t.equal((await svsfs('mount', directory(dir, 'mount'))).status, 0)
    t.teardown(() => ready('--store', store, 'umount', '--all', '--lazy'))
    const failed = await svsfs('update', 'app', ...home('echo three > ~/file; exit 3'))
    t.equal(failed.status, 3)
    t.match(failed.err, /stays as it left it/)
    t.equal(file(), 'three\n')

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
    t.match(said.toString(), /three/, 'yes at the terminal has put it back')
    const oldest = (await states()).at(-1)!.id
    const wrong = await ask('restore', 'app', oldest)
    t.match(wrong.error, { code: 'SVS_FILES_OPEN', message: /sleep \(process \d+\)/ })
    program.kill()
    await once(program, 'close')

    t.match(await svsfs('update', 'app'), { status: 2, err: /SVS_USAGE/ })
    const missing = await ask('update', 'none', '--', 'true')
    t.match(missing, { ok: false, error: { code: 'SVS_LAYER_NOT_FOUND' } })
  },
)
