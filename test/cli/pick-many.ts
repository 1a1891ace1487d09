// The picker over 500 states that are told of and not there: what is picked is printed. pick.test.ts runs it.

import { pickOf } from '../../lib/cli/pick-state.ts'
import type { StateLine } from '../../lib/daemon/state-methods.ts'

const states = Array.from({ length: 500 }, (_, at): StateLine => {
  const counts = { added: at, changed: 0, deleted: 0, attributes: 0, renamed: 0 }
  const time = Date.now() - at * 3_600_000
  return {
    id: `${at}`.padStart(10, '0'),
    layer: 'app',
    time,
    message: `the state called number-${at} with words that do not fit into forty columns`,
    label: null,
    tags: {},
    pinned: false,
    trigger: 'scheduled',
    entries: 1,
    bytes: 1,
    stored: 1,
    sizes: null,
    counts,
    current: false,
    status: 'stored',
  }
})

const answer = { layer: 'app', from: null, to: null, differences: [] }
const picked = await pickOf('Which of many?', states, async () => answer)
process.stdout.write(`picked ${picked.id}\n`)
process.exit()
