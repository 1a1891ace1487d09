// Everything that can be asked of a store: one table, a row a method.
//
//   command ─▶ socket ─▶ perform ─▶ row.run      where a daemon owns the store
//   command ───────────▶ perform ─▶ row.run      where none does, and no mount is needed
//   web page ──────────▶ perform ─▶ row.run
//
// Rule: parameters pass their row's schema whichever way they came; a row calls no other row.

import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Control } from './control.ts'
import { checked, errorWords } from './errors.ts'
import type { Call, Method } from './method.ts'
import { needsOf } from './needs.ts'

export type { Call } from './method.ts'

/** The modules of the rows, each loaded when one of its rows is asked for. */
const MODULES = {
  status: async () => (await import('./status-methods.ts')).statusMethods,
  layer: async () => (await import('./layer-methods.ts')).layerMethods,
  order: async () => (await import('./order-methods.ts')).orderMethods,
  mount: async () => (await import('./mount-methods.ts')).mountMethods,
  run: async () => (await import('./run-methods.ts')).runMethods,
  state: async () => (await import('./state-methods.ts')).stateMethods,
  schedule: async () => (await import('./schedule-methods.ts')).scheduleMethods,
  upkeep: async () => (await import('./upkeep-methods.ts')).upkeepMethods,
  restore: async () => (await import('./restore-methods.ts')).restoreMethods,
  sublayer: async () => (await import('./sublayer-methods.ts')).sublayerMethods,
  freeze: async () => (await import('./freeze-methods.ts')).freezeMethods,
  diff: async () => (await import('./diff-methods.ts')).diffMethods,
  cat: async () => (await import('./cat-methods.ts')).catMethods,
  top: async () => (await import('./top-methods.ts')).topMethods,
  log: async () => (await import('./log-methods.ts')).logMethods,
  du: async () => (await import('./du-methods.ts')).duMethods,
  recode: async () => (await import('./recode-methods.ts')).recodeMethods,
  key: async () => (await import('./key-methods.ts')).keyMethods,
  host: async () => (await import('./host-methods.ts')).hostMethods,
  receive: async () => (await import('./receive-methods.ts')).receiveMethods,
  archive: async () => (await import('./archive-methods.ts')).archiveMethods,
  image: async () => (await import('./image-methods.ts')).imageMethods,
  repository: async () => (await import('./repository-methods.ts')).repositoryMethods,
} as const

type ModuleName = keyof typeof MODULES
type RowsOf<M extends ModuleName> = Awaited<ReturnType<(typeof MODULES)[M]>>
export type MethodName = { [M in ModuleName]: keyof RowsOf<M> }[ModuleName]
type ModuleOf<Name> = { [M in ModuleName]: Name extends keyof RowsOf<M> ? M : never }[ModuleName]
type Row<Name extends MethodName> = {
  [M in ModuleName]: Name extends keyof RowsOf<M> ? RowsOf<M>[Name] : never
}[ModuleName]

/** Every method, and which module has its row; what is missing or misplaced does not compile. */
const PLACES: { readonly [Name in MethodName]: ModuleOf<Name> } = {
  status: 'status',
  mounts: 'status',
  which: 'status',
  events: 'status',
  top: 'top',
  'layer.create': 'layer',
  'layer.list': 'layer',
  'layer.show': 'layer',
  'layer.rename': 'layer',
  'layer.delete': 'layer',
  'layer.replace': 'layer',
  activate: 'order',
  deactivate: 'order',
  priority: 'order',
  reset: 'order',
  mount: 'mount',
  'mount.state': 'mount',
  umount: 'mount',
  'umount.all': 'mount',
  stop: 'mount',
  'run.prepare': 'run',
  'run.finish': 'run',
  snapshot: 'state',
  snapshots: 'state',
  settle: 'state',
  'state.label': 'state',
  'state.tag': 'state',
  'state.pin': 'state',
  'state.delete': 'state',
  forget: 'schedule',
  'schedule.add': 'schedule',
  'schedule.list': 'schedule',
  'schedule.remove': 'schedule',
  'schedule.pause': 'schedule',
  'schedule.resume': 'schedule',
  gc: 'upkeep',
  verify: 'upkeep',
  undo: 'restore',
  'undo.list': 'restore',
  restore: 'restore',
  'restore.plan': 'restore',
  'restore.to': 'restore',
  sublayers: 'sublayer',
  'sublayer.make': 'sublayer',
  'sublayer.switch': 'sublayer',
  'sublayer.delete': 'sublayer',
  freeze: 'freeze',
  thaw: 'freeze',
  freezes: 'freeze',
  'mount.frozen': 'freeze',
  diff: 'diff',
  cat: 'cat',
  log: 'log',
  timeline: 'log',
  du: 'du',
  recode: 'recode',
  export: 'archive',
  import: 'archive',
  'host.add': 'host',
  'host.list': 'host',
  'host.remove': 'host',
  'host.maintenance': 'host',
  'host.seen': 'host',
  'deploy.choose': 'host',
  'receive.about': 'receive',
  'receive.layer': 'receive',
  'receive.begin': 'receive',
  'receive.offer': 'receive',
  'receive.take': 'receive',
  'receive.settle': 'receive',
  'receive.rollback': 'receive',
  'key.create': 'key',
  'key.list': 'key',
  'key.trust': 'key',
  'key.revoke': 'key',
  'key.export': 'key',
  'export.image': 'image',
  push: 'repository',
  pull: 'repository',
  'repo.list': 'repository',
}

export const METHOD_NAMES = Object.keys(PLACES) as readonly MethodName[]

/** A method's shape and what it does. */
export async function rowOf(name: MethodName): Promise<Method<z.ZodType, unknown>> {
  const rows: Record<string, unknown> = await MODULES[PLACES[name]]()
  return rows[name] as Method<z.ZodType, unknown>
}

/** Loads what no one has asked for yet, so that a process that lives long has all of one build. */
export async function loadAll(): Promise<void> {
  for (const load of Object.values(MODULES)) await load()
  await import('../snapshot/pace.ts')
  await import('./garbage.ts')
  await import('./next-run.ts')
  await import('./settle.ts')
  await import('../layer/import.ts')
  await import('../layer/import-job.ts')
  await import('../layer/recipe.ts')
  await import('../archive/export.ts')
  await import('../archive/import.ts')
  await import('../archive/base-out.ts')
  await import('../archive/base-in.ts')
  await import('../archive/needed.ts')
  await import('../repository/pulled.ts')
  await import('../repository/image.ts')
}

/** What a caller may pass: fields with a default may be left out. */
export type Params<Name extends MethodName> = z.input<Row<Name>['params']>
export type Answer<Name extends MethodName> = Awaited<ReturnType<Row<Name>['run']>>

/** Finds the row, checks the parameters, runs it. `name` and `params` may come from anywhere. */
export async function perform(
  control: Control,
  name: string,
  params: unknown,
  call: Call,
): Promise<unknown> {
  if (!Object.hasOwn(PLACES, name)) throw new Failure('SVS_BAD_REQUEST', name, 'no such method')
  const row = await rowOf(name as MethodName)
  const wanted = checked(row.params, name, params ?? {})
  if (needsOf(name as MethodName).daemon && control.engine === null)
    throw new Failure('SVS_NO_DAEMON', name)
  try {
    return await row.run(control, wanted, call)
  } catch (err) {
    const { code, exit, message } = errorWords(err)
    if (WORTH_AN_EVENT.has(exit)) control.events.tell('failed', `${name}: ${message} [${code}]`)
    throw err
  }
}

/** Failed, damaged, or beyond this host; what was only asked wrongly is between us and who asked. */
const WORTH_AN_EVENT: ReadonlySet<number> = new Set([1, 7, 8])
