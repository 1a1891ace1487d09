// A host: a machine that layers and states are deployed to, as the store remembers it.
//
//   ssh://user@name:port ─▶ Address ─▶ words of ssh (ssh.ts)
//
// Rule: nothing of an address or an option can be read by ssh as one of its own: names begin with a
// letter or a digit, and what is odd is refused when the host is added.

import { Failure } from '../base/failure.ts'
import type { HostRecord } from '../snapshot/records.ts'

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/
const USER = /^[A-Za-z0-9_][\w.-]{0,63}$/
const MACHINE = /^[A-Za-z0-9]([\w.-]{0,252})$/
const IPV6 = /^\[[0-9a-fA-F:.]{2,45}(%\w{1,16})?\]$/
const OPTION = /^[A-Za-z][A-Za-z0-9]{0,40}$/

export interface Address {
  readonly user: string | null
  readonly machine: string
  readonly port: number | null
}

export const STATES = ['online', 'maintenance', 'unreachable', 'unknown'] as const

/** What reaching it needs. */
export type Reachable = Pick<HostRecord, 'name' | 'url' | 'options' | 'program' | 'store'>

/** Throws SVS_HOST_INVALID. */
export function hostName(name: string): string {
  if (!NAME.test(name)) throw new Failure('SVS_HOST_INVALID', name, 'it is no name')
  return name
}

/** Throws SVS_HOST_INVALID. */
export function addressOf(url: string): Address {
  const invalid = (why: string) => new Failure('SVS_HOST_INVALID', url, why)
  const [, user = null, machine, port = null] =
    /^ssh:\/\/(?:([^@/]*)@)?(\[[^\]/]*\]|[^:@/]*)(?::(\d{1,5}))?\/?$/.exec(url) ?? []
  if (machine === undefined) throw invalid('it is not ssh://user@host:port')
  if (user !== null && !USER.test(user)) throw invalid('no user is called so')
  if (!MACHINE.test(machine) && !IPV6.test(machine)) throw invalid('no machine is called so')
  const number = port === null ? null : Number(port)
  if (number !== null && (number < 1 || number > 65_535)) throw invalid('there is no such port')
  return { user, machine: machine.replace(/^\[|\]$/g, ''), port: number }
}

/** `KEY=VALUE` as options of ssh. Throws SVS_HOST_INVALID. */
export function sshOptions(words: readonly string[]): Record<string, string> {
  const options: Record<string, string> = {}
  for (const word of words) {
    const [, key, value] = /^([^=]+)=([^\n\0]+)$/.exec(word) ?? []
    if (key === undefined || !OPTION.test(key))
      throw new Failure('SVS_HOST_INVALID', word, 'it is no option of ssh, like IdentityFile=FILE')
    options[key] = value!
  }
  return options
}

/** What people see of its state. */
export function stateOf({ maintenance, seen }: HostRecord): (typeof STATES)[number] {
  return maintenance ? 'maintenance' : (seen?.state ?? 'unknown')
}
