// Commands that act on hosts: which are meant, a link to each, and what they answer as lines.
//
// Rule: one host in maintenance is left out of its group, and refused where it is named. The exit
// status says how many did what they should: all 0, none that of the first failure, some PARTLY.

import { Failure } from '../base/failure.ts'
import type { HostLine } from '../daemon/host-methods.ts'
import type { Reachable } from '../deploy/host.ts'
import type { Link } from '../deploy/link.ts'
import type { Outcome } from '../deploy/rounds.ts'
import type { Output } from './output.ts'
import type { Session } from './session.ts'

/** Exit status where some hosts did, and others did not. */
export const PARTLY = 11

export interface Chosen {
  readonly hosts: readonly HostLine[]
  /** Names of hosts of the group that are in maintenance. */
  readonly left: readonly string[]
}

/** Hosts by name, and those of a group. Throws SVS_HOST_NOT_FOUND, SVS_HOST_MAINTENANCE, SVS_USAGE. */
export async function chosenHosts(
  session: Session,
  names: readonly string[],
  group: string | null,
): Promise<Chosen> {
  if (names.length === 0 && group === null)
    throw new Failure('SVS_USAGE', 'name the hosts, or a --group of them')
  return hostsOf(await session.call('host.list', {}), names, group)
}

/** The same, of hosts that are known. */
export function hostsOf(
  all: readonly HostLine[],
  names: readonly string[],
  group: string | null,
): Chosen {
  const named = [...new Set(names)].map((name) => {
    const host = all.find((one) => one.name === name)
    if (host === undefined) throw new Failure('SVS_HOST_NOT_FOUND', name)
    if (host.maintenance) throw new Failure('SVS_HOST_MAINTENANCE', name, name)
    return host
  })
  const others = all.filter((one) => one.group === group && !named.includes(one))
  if (group !== null && !all.some((one) => one.group === group))
    throw new Failure('SVS_HOST_NOT_FOUND', group)
  const ofGroup = group === null ? [] : others
  return {
    hosts: [...named, ...ofGroup.filter(({ maintenance }) => !maintenance)],
    left: ofGroup.filter(({ maintenance }) => maintenance).map(({ name }) => name),
  }
}

/** Whoever opens it closes it. Throws SVS_HOST_… */
export async function openLink(host: Reachable, onProgress: (text: string) => void): Promise<Link> {
  const { Link } = await import('../deploy/link.ts')
  // Who is asked by ssh must see it.
  const mayAsk = process.stdin.isTTY === true && process.stderr.isTTY === true
  return Link.open(host, { mayAsk, onProgress })
}

/** Uses a link to a host, and closes it. */
export async function withLink<T>(
  host: Reachable,
  onProgress: (text: string) => void,
  use: (link: Link) => Promise<T>,
): Promise<T> {
  const link = await openLink(host, onProgress)
  try {
    return await use(link)
  } finally {
    await link.close()
  }
}

/** What became of one host, as --json has it. */
export interface HostResult<T> {
  readonly host: string
  /** Null where it was not begun. */
  readonly ok: boolean | null
  readonly data: T | null
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint: string | null
    readonly exit: number
  } | null
  /** Why it was not begun. */
  readonly why: string | null
}

export function resultOf<T>(outcome: Outcome<T>): HostResult<T> {
  const none = { data: null, error: null, why: null }
  const { host, ok } = outcome
  if (ok === true) return { ...none, host, ok, data: outcome.data }
  if (ok === null) return { ...none, host, ok, why: outcome.why }
  const { code, message, hint, exit } = outcome.error
  return { ...none, host, ok, error: { code, message, hint, exit } }
}

/** Exit status of a command whose hosts came to these results. */
export function exitOf(results: readonly HostResult<unknown>[]): number {
  const failed = results.filter(({ ok }) => ok !== true)
  if (failed.length === 0) return 0
  if (failed.length < results.length) return PARTLY
  return failed.find(({ error }) => error !== null)?.error?.exit ?? 1
}

/** `3 of 4 hosts`, and what the others said. */
export function printFailed(results: readonly HostResult<unknown>[], out: Output): void {
  const failed = results.filter(({ ok }) => ok !== true)
  for (const { host, error, why } of failed)
    out.line(
      `${host}: ${error === null ? `not begun: ${why}` : `${error.message} [${error.code}]`}`,
    )
  const well = results.length - failed.length
  if (results.length > 1 || failed.length > 0)
    out.line(`done on ${well} of ${results.length} hosts`)
}

/** Lines of progress of several hosts as one. */
export class HostProgress {
  readonly #out: Output
  readonly #said = new Map<string, string>()

  constructor(out: Output) {
    this.#out = out
  }

  of(host: string): (text: string) => void {
    return (text) => {
      this.#said.set(host, text)
      this.#show()
    }
  }

  done(host: string, error: Failure | null): void {
    this.#said.set(host, error === null ? 'done' : 'failed')
    this.#show()
  }

  #show(): void {
    const all = [...this.#said].map(([host, text]) => `${host}: ${text}`)
    if (all.length > 0) this.#out.progress(all.join('; '))
  }
}
