// A process that opens a store and does one act to the layer `app`; restore-kills.test.ts ends it on
// the way.
//
//   node restore-victim.js STORE ACT STATE [GONE]     says `begin`, then `planned`, then `done`
//
// The act `upkeep` restores, takes a state, forgets, deletes the state GONE and removes garbage, all at
// once, and says { taken: id }, { deleting: id } and { deleted: id } as they are acknowledged or begun.

import { perform } from '../../lib/daemon/api.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { findState } from '../../lib/snapshot/state-name.ts'

const [root = '', act = '', state = '', gone = ''] = process.argv.slice(2)
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
else if (act === 'upkeep') await upkeep()
else await perform(control, act, { layer }, call)
say('done')
await control.close()
process.disconnect?.()

async function upkeep(): Promise<void> {
  const tell = (what: object) => void process.send?.(what)
  const take = async () => {
    const wish = { layer, always: true, tags: { keep: 'yes' } }
    const { id } = (await perform(control, 'snapshot', wish, call)) as { id: string }
    tell({ taken: id })
  }
  const remove = async () => {
    if (gone === '') return
    tell({ deleting: gone })
    await perform(control, 'state.delete', { layer, state: gone }, call)
    tell({ deleted: gone })
  }
  const forget = () =>
    perform(control, 'forget', { layer, keep: { last: 1, tags: ['keep'] } }, call)
  const collect = () => perform(control, 'gc', {}, call)
  await Promise.all([
    ...[forget(), take(), remove()],
    perform(control, 'restore', { layer, state }, call),
    // Two at a time are refused.
    collect().then(forget).then(collect),
  ])
}
