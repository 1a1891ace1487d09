// What one row of the API's table is: the shape of its parameters, and what it does.

import type { z } from 'zod'
import type { Control } from './control.ts'

/** The caller of a method, whichever way it came. */
export interface Call {
  /** A line about work that takes long. */
  progress(text: string): void
  /** Runs `giveBack` when the caller is gone. */
  whenGone(giveBack: () => void): void
}

export interface Method<S extends z.ZodType, R> {
  readonly params: S
  run(control: Control, params: z.output<S>, call: Call): Promise<R>
}

/** A row; what it needs of its process is said in needs.ts. */
export function method<S extends z.ZodType, R>(
  params: S,
  run: (control: Control, params: z.output<S>, call: Call) => Promise<R>,
): Method<S, R> {
  return { params, run }
}
