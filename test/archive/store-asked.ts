// Stores of one process, asked as the commands ask, and what their layers are made of.

import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import { type Control, openControl } from '../../lib/daemon/control.ts'
import { layerPlaces } from '../../lib/daemon/store-path.ts'
import { placeOf } from '../snapshot/fixture.ts'

export interface StoreAsked {
  readonly dir: string
  readonly control: Control
  ask<Name extends MethodName>(name: Name, params: Params<Name>): Promise<Answer<Name>>
  /** The writable sublayer of the layer, which no mount shows. */
  rw(layer: string): Promise<string>
}

export async function storeAsked(t: Test): Promise<StoreAsked> {
  const dir = placeOf(t)
  const control = await openControl({ root: join(dir, 'store'), doing: 'a test', create: true })
  t.teardown(() => control.close())
  const call = { progress() {}, whenGone() {} }
  return {
    dir,
    control,
    ask: (name, params) => perform(control, name, params, call) as never,
    rw: async (name) => {
      const layer = await control.layer(name)
      return layerPlaces(control.store.places, layer.id).rw(layer.rw)
    },
  }
}

/** What the layer of both stores is made of. */
export function sourceOf(t: Test, text = 'as installed\n'): string {
  const from = join(placeOf(t), 'source')
  mkdirSync(join(from, 'etc'), { recursive: true })
  writeFileSync(join(from, 'etc/app.ini'), text)
  writeFileSync(join(from, 'program'), Buffer.alloc(100_000, 'code '), { mode: 0o755 })
  symlinkSync('program', join(from, 'alias'))
  return from
}

export const create = (store: StoreAsked, from: string, layer = 'app') =>
  store.ask('layer.create', { layer, source: { kind: 'from', paths: [from] } })

/** A source with all that a tree may have. */
export function richSource(t: Test): string {
  const from = sourceOf(t)
  linkSync(join(from, 'program'), join(from, 'etc/same-program'))
  const sparse = openSync(join(from, 'sparse'), 'w')
  writeSync(sparse, 'end', 3_000_000)
  closeSync(sparse)
  mkdirSync(join(from, 'shut'), { mode: 0o755 })
  writeFileSync(join(from, 'shut/inside'), 'x', { mode: 0o600 })
  chmodSync(join(from, 'shut'), 0o710)
  utimesSync(join(from, 'etc/app.ini'), 5.25, 7.5)
  if (process.geteuid?.() === 0) chownSync(join(from, 'etc/app.ini'), 3, 4)
  return from
}
