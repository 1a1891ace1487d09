// How mounts follow the records, by what the engine is told.

import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { bytesOf } from '../../lib/base/path.ts'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import type { Control } from '../../lib/daemon/control.ts'
import type { MountSpec } from '../../lib/daemon/engine-api.ts'
import type { StackSpec } from '../../lib/union/spec.ts'
import { deafEngine, directory, nobody, servedStore, type Test, throwAway } from './place.ts'

const ask = <Name extends MethodName>(control: Control, name: Name, params: Params<Name>) =>
  perform(control, name, params, nobody) as Promise<Answer<Name>>

async function withLayers(t: Test, ...names: string[]) {
  const served = await servedStore(t)
  for (const layer of names) {
    await ask(served.control, 'layer.create', { layer, source: { kind: 'empty' } })
    await ask(served.control, 'activate', { layer })
  }
  const dir = throwAway(t)
  const place = (name: string) => directory(dir, name)
  const last = (name: string): unknown =>
    served.told.findLast((told) => told.name === name)?.args[0]
  const lastStack = () => (last('restack') as { id: number; stack: StackSpec }[])[0]!.stack
  return { ...served, place, last, lastStack }
}

const names = (stack: StackSpec) => stack.layers.map(({ name }) => name)

t.test('a mount shows the active layers, and follows what changes', async (t) => {
  const { control, place, last, lastStack } = await withLayers(t, 'a', 'b')
  const mounted = await ask(control, 'mount', { mountPoint: place('m') })
  t.same(mounted.layers, ['b', 'a'])
  t.same(names((last('mount') as MountSpec).stack), ['b', 'a'])
  t.match(await ask(control, 'priority', { layer: 'a', priority: 5 }), {
    mounts: [mounted.mountPoint],
  })
  t.same(names(lastStack()), ['a', 'b'])
  await ask(control, 'deactivate', { layer: 'a' })
  t.same(names(lastStack()), ['b'])
  await ask(control, 'activate', { layer: 'a' })
  t.same(names(lastStack()), ['a', 'b'])
})

t.test('a change that concerns no mount asks nothing of the engine', async (t) => {
  const { control, place, told } = await withLayers(t, 'a', 'b')
  await ask(control, 'mount', { mountPoint: place('m'), layers: ['a'] })
  t.match(await ask(control, 'deactivate', { layer: 'b' }), { changed: true, mounts: [] })
  t.equal(told.filter(({ name }) => name === 'restack').length, 0)
})

t.test('a mount of named layers shows those of them that are active', async (t) => {
  const { control, place, lastStack } = await withLayers(t, 'a', 'b', 'c')
  await ask(control, 'deactivate', { layer: 'a' })
  const mounted = await ask(control, 'mount', { mountPoint: place('m'), layers: ['a', 'b'] })
  t.same(mounted.layers, ['b'])
  t.same(mounted.inactive, ['a'])
  await ask(control, 'activate', { layer: 'a' })
  t.same(names(lastStack()), ['b', 'a'])
})

t.test(
  'a reset gives mounts another writable sublayer, the old one stays while it is shown',
  async (t) => {
    const { control, place, lastStack } = await withLayers(t, 'a')
    await ask(control, 'mount', { mountPoint: place('m') })
    await ask(control, 'reset', { layer: 'a', snapshot: false })
    const shown = await ask(control, 'layer.show', { layer: 'a' })
    t.equal(lastStack().layers[0]?.rw, bytesOf(shown.places.rw))
    t.match(shown.places.rw, /\/rw\/2$/)
  },
)

t.test('a layer that a mount shows is not deleted', async (t) => {
  const { control, place } = await withLayers(t, 'a')
  await ask(control, 'mount', { mountPoint: place('m') })
  await t.rejects(ask(control, 'layer.delete', { layer: 'a' }), { code: 'SVS_LAYER_BUSY', exit: 5 })
  await ask(control, 'deactivate', { layer: 'a' })
  await ask(control, 'layer.delete', { layer: 'a' })
})

t.test('wrong words of a mount are refused before anything is mounted', async (t) => {
  const { control, place, told } = await withLayers(t, 'a')
  const mountPoint = place('m')
  for (const [params, code] of [
    [{ mountPoint: join(mountPoint, 'absent') }, 'SVS_MOUNT_POINT_INVALID'],
    [{ mountPoint: '/etc/passwd' }, 'SVS_MOUNT_POINT_INVALID'],
    [{ mountPoint, base: '/etc/passwd' }, 'SVS_DIRECTORY_INVALID'],
    [{ mountPoint, base: '/no/such/base' }, 'SVS_DIRECTORY_INVALID'],
    [{ mountPoint, layers: ['ghost'] }, 'SVS_LAYER_NOT_FOUND'],
    [{ mountPoint, writeTo: 'ghost' }, 'SVS_LAYER_NOT_FOUND'],
    [{ mountPoint, transport: 'fuse-native' }, 'SVS_TRANSPORT_MIXED'],
    [{ mountPoint, baseTimeout: -1 }, 'SVS_BAD_REQUEST'],
    [{ mountPoint: 'relative' }, 'SVS_BAD_REQUEST'],
  ] as const)
    await t.rejects(
      ask(control, 'mount', params as Params<'mount'>),
      { code },
      JSON.stringify(params),
    )
  t.equal(told.filter(({ name }) => name === 'mount').length, 0)
})

t.test('a new view never walks into mounts that this process serves', async (t) => {
  const { control, place, last } = await withLayers(t, 'a')
  const first = await ask(control, 'mount', { mountPoint: place('one') })
  const second = await ask(control, 'mount', { mountPoint: place('two') })
  const { view } = last('mount') as MountSpec
  t.same(view.blocked, [first.mountPoint, second.mountPoint])
})

t.test(
  'the view of svsfs run has the layer on top, and goes with whoever asked for it',
  async (t) => {
    const { control, last, told } = await withLayers(t, 'a', 'b')
    await ask(control, 'deactivate', { layer: 'a' })
    const gone: (() => void)[] = []
    const call = { progress() {}, whenGone: (giveBack: () => void) => void gone.push(giveBack) }
    const run = (await perform(
      control,
      'run.prepare',
      { layer: 'a' },
      call,
    )) as Answer<'run.prepare'>
    const spec = last('mount') as MountSpec
    t.same(names(spec.stack), ['a', 'b'])
    t.equal(spec.view.privateTo, spec.stack.layers[0]?.id)
    t.equal(spec.stack.base?.path, '/')
    t.equal(spec.mountPoint, bytesOf(run.root))
    for (const giveBack of gone) giveBack()
    await control.queue.idle()
    t.same(told.at(-1), { name: 'umount', args: [spec.id, true] })
    t.equal(control.mounts?.size, 0)
    await ask(control, 'run.finish', { view: run.view })
  },
)

t.test('whoever waits for the last mount hears of it, also of one that never was', async (t) => {
  const failing = deafEngine({
    mount: () => {
      throw new Error('no')
    },
  })
  const { control } = await servedStore(t, failing)
  let empty = 0
  control.mounts?.whenEmpty(() => void empty++)
  const mountPoint = directory(throwAway(t), 'm')
  await t.rejects(ask(control, 'mount', { mountPoint }), { message: 'no' })
  t.equal(empty, 1)
})

t.test('a mounted layer is frozen for its snapshot, and thawed whatever happens', async (t) => {
  const engine = deafEngine({
    freeze: () => ({ freeze: 7, at: Date.now(), journal: { position: 1, changed: null } }),
  })
  const { control, told } = await servedStore(t, engine)
  await ask(control, 'layer.create', { layer: 'a', source: { kind: 'empty' }, activate: true })
  await ask(control, 'mount', { mountPoint: directory(throwAway(t), 'm') })
  await ask(control, 'snapshot', { layer: 'a' })
  await turn()
  t.same(
    told.map(({ name }) => name),
    ['mount', 'freeze', 'thaw'],
  )
  t.same(told.at(-1)?.args, [7])
})
