// What the journal of a layer did not see, or goes on from, belongs to the next state all the same.

import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { randomOf } from '../snapshot/fixture.ts'
import { storeOf } from './store-of.ts'

interface Line {
  readonly counts: { readonly added: number; readonly changed: number }
}

t.test(
  'a change while nothing is mounted, and one before a crash, are in the next state',
  async (t) => {
    const place = await storeOf(t)
    await place.layer('app', { program: 'one' })
    await place.ask('activate', 'app')
    await place.mount()
    const snapshot = async () => ((await place.ask('snapshot', 'app')) as Line).counts
    writeFileSync(join(place.at, 'f'), 'one')
    t.match(await snapshot(), { added: 1 })
    const first = await place.daemon()
    await place.ask('umount', '--all')
    await place.ended(first)

    const layers = join(place.dir, 'store/layers')
    appendFileSync(join(layers, readdirSync(layers)[0]!, 'rw/1/f'), ' by hand')
    await place.mount()
    t.match(await snapshot(), { added: 0, changed: 1 })

    appendFileSync(join(place.at, 'f'), ' before the crash')
    const second = await place.daemon()
    process.kill(second, 'SIGKILL')
    await place.ended(second)
    await place.mount()
    t.match(await snapshot(), { added: 0, changed: 1 })
  },
)

t.test('restores back and forth, and changes between them, are all in the states', async (t) => {
  const place = await storeOf(t)
  const { at } = place
  await place.ask('layer', 'create', 'app', '--empty', '--activate')
  await place.mount('--write-to', 'app')
  const random = randomOf(31)
  const file = () => join(at, `d${random(6)}`, `f${random(8)}`)
  const change = () => {
    for (let step = 0; step < 12; step++) {
      const path = file()
      mkdirSync(dirname(path), { recursive: true })
      if (random(4) === 0)
        rmSync(random(3) === 0 ? dirname(path) : path, { recursive: true, force: true })
      else if (random(3) === 0) chmodSync(dirname(path), 0o700 + random(64))
      // Large ones, of one size: what a restore has put in place it vouches for.
      else writeFileSync(path, `${random(1e9)}`.padEnd(random(3) === 0 ? 70_000 : 0))
    }
  }
  const picture = () => execFileSync('sh', ['-c', PICTURE], { cwd: at }).toString()
  const states: { id: string; shown: string }[] = []
  for (let round = 0; round < 10; round++) {
    change()
    const { id } = (await place.ask('snapshot', 'app', '--allow-empty')) as { id: string }
    states.push({ id, shown: picture() })
    for (let turn = random(3); turn > 0; turn--) {
      const wanted = states[random(states.length)]!
      const parts = random(4) === 0 ? ['--path', 'd1'] : []
      if (random(3) === 0) change()
      await place.ask('restore', 'app', wanted.id, '--force', ...parts).catch(onlyAbsent)
      if (parts.length === 0) t.equal(picture(), wanted.shown, `${wanted.id} is back`)
    }
  }
  const last = (await place.ask('snapshot', 'app', '--allow-empty')) as { id: string }
  // Of a state before, and of what happens while nothing is mounted, the next daemon knows nothing: it looks.
  const daemon = await place.daemon()
  await place.ask('umount', '--all')
  await place.ended(daemon)
  await place.mount('--write-to', 'app')
  const { differences } = (await place.ask('diff', `app@${last.id}`)) as { differences: unknown[] }
  t.same(differences, [], 'the last state has all that is there')
})

/** A path that a state does not show cannot be put back. */
function onlyAbsent(err: unknown): void {
  if (!String(err).includes('SVS_PATH_NOT_IN_STATE')) throw err
}

const PICTURE =
  "find . -printf '%P %y %m\\n' | sort; find . -type f -print0 | sort -z | xargs -0r cat"
