// Where `svsfs snapshot --to` brings a state, beside keeping it here: one function for all kinds of
// places.
//
//   name of a host ─▶ svsfs deploy --no-switch --with-base
//
// Rule: the state is there or this fails; it is kept here in any case.

import { failureSaid } from '../deploy/link.ts'
import type { Context } from './command.ts'
import { deployTo } from './deploy-command.ts'
import { chosenHosts } from './on-hosts.ts'

export interface KeepWish {
  readonly layer: string
  /** Its id. */
  readonly state: string
  readonly to: string
  readonly allowUnsigned: boolean
}

/** Throws SVS_HOST_NOT_FOUND, and what the host says. */
export async function keepThere(
  context: Pick<Context, 'session' | 'out'>,
  { layer, state, to, allowUnsigned }: KeepWish,
): Promise<void> {
  const chosen = await chosenHosts(context.session, [to], null)
  const none = { as: null, group: null, check: null, checkTime: 1, canary: 0, parallel: 1 }
  const flags = {
    activate: false,
    allowDevices: false,
    allowLinks: false,
    numericOwner: false,
    dryRun: false,
  }
  const what = { kind: 'state', layer, state } as const
  const wish = {
    ...none,
    ...flags,
    what,
    hosts: [to],
    withBase: true,
    restore: false,
    allowUnsigned,
  }
  const { results } = await deployTo(context, wish, chosen)
  const error = results[0]?.error ?? null
  if (error !== null) throw failureSaid(error)
}
