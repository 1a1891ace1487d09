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
import { freezeMethods } from './freeze-methods.ts'
import { layerMethods } from './layer-methods.ts'
import type { Call, Method } from './method.ts'
import { mountMethods } from './mount-methods.ts'
import { needsOf } from './needs.ts'
import { orderMethods } from './order-methods.ts'
import { recodeMethods } from './recode-methods.ts'
import { restoreMethods } from './restore-methods.ts'
import { runMethods } from './run-methods.ts'
import { scheduleMethods } from './schedule-methods.ts'
import { stateMethods } from './state-methods.ts'
import { statusMethods } from './status-methods.ts'
import { sublayerMethods } from './sublayer-methods.ts'
import { upkeepMethods } from './upkeep-methods.ts'

export type { Call } from './method.ts'

export const METHODS = {
  ...statusMethods,
  ...layerMethods,
  ...orderMethods,
  ...mountMethods,
  ...runMethods,
  ...stateMethods,
  ...scheduleMethods,
  ...upkeepMethods,
  ...restoreMethods,
  ...sublayerMethods,
  ...freezeMethods,
  ...recodeMethods,
} as const

export type MethodName = keyof typeof METHODS
type Row<Name extends MethodName> = (typeof METHODS)[Name]

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
  if (!Object.hasOwn(METHODS, name)) throw new Failure('SVS_BAD_REQUEST', name, 'no such method')
  const row = METHODS[name as MethodName] as Method<z.ZodType, unknown>
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
