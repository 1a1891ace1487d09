// What the journal of a layer did not see belongs to the next state all the same.

import { appendFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
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
