// A process that opens a store and does one act to the layer `app`; restore-kills.test.ts ends it on
// the way.
//
//   node restore-victim.js STORE ACT STATE     says `begin`, then `planned`, then `done`

import { perform } from '../../lib/daemon/api.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { findState } from '../../lib/snapshot/state-name.ts'

const [root = '', act = '', state = ''] = process.argv.slice(2)
const call = { progress: () => {}, whenGone: () => {} }
const say = (word: string) => void process.send?.(word)

const control = await openControl({ root, doing: 'test', create: false })
const { catalogue } = control
const putPlan = catalogue.putPlan.bind(catalogue)
catalogue.putPlan = async (plan) => {
  await putPlan(plan)
  say('planned')
}
// Loaded before the act begins, so that its instants are the act's own.
await findState(catalogue, await control.layer('app'), state)
say('begin')
const layer = 'app'
if (act === 'whole') await perform(control, 'restore', { layer, state }, call)
else if (act === 'parts')
  await perform(control, 'restore', { layer, state, paths: ['d/3', 'top'] }, call)
else if (act === 'as')
  await perform(control, 'sublayer.make', { layer, state, sublayer: 'x' }, call)
else await perform(control, act, { layer }, call)
say('done')
await control.close()
process.disconnect?.()
