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
  /** True where it needs a mount: a command starts the daemon for it. */
  readonly daemon: boolean
  /** True where a store is made if there is none. */
  readonly creates: boolean
  run(control: Control, params: z.output<S>, call: Call): Promise<R>
}

/** A row; without further words, one that works with and without the daemon, on a store that exists. */
export function method<S extends z.ZodType, R>(
  params: S,
  run: (control: Control, params: z.output<S>, call: Call) => Promise<R>,
  needs: { daemon?: boolean; creates?: boolean } = {},
): Method<S, R> {
  return { params, run, daemon: needs.daemon ?? false, creates: needs.creates ?? false }
}
