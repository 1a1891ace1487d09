// Doing something on many hosts: some at once, the first few alone where they are to try it.
//
//   canaries ─▶ all well? ─▶ the rest, so many at once ─▶ an outcome for each host
//                 └ no ─▶ the rest is not begun
//
// Rule: one host's failure is that host's; every host has an outcome, in the order they were named.

import { Failure } from '../base/failure.ts'

export type Outcome<T> =
  | { readonly host: string; readonly ok: true; readonly data: T }
  | { readonly host: string; readonly ok: false; readonly error: Failure }
  /** Not begun: why. */
  | { readonly host: string; readonly ok: null; readonly why: string }

export interface Rounds {
  /** How many at once. */
  readonly parallel: number
  /** How many have to succeed first; 0 for none. */
  readonly canary: number
}

export async function onHosts<H extends { readonly name: string }, T>(
  hosts: readonly H[],
  { parallel, canary }: Rounds,
  act: (host: H) => Promise<T>,
  onDone: (outcome: Outcome<T>) => void,
): Promise<Outcome<T>[]> {
  const one = async (host: H): Promise<Outcome<T>> => {
    const outcome = await outcomeOf(host.name, act(host))
    onDone(outcome)
    return outcome
  }
  const first = await inParallel(hosts.slice(0, canary), parallel, one)
  const rest = hosts.slice(canary)
  const failed = first.find(({ ok }) => ok === false)
  if (failed === undefined) return [...first, ...(await inParallel(rest, parallel, one))]
  const why = `${failed.host} failed`
  return [...first, ...rest.map(({ name }): Outcome<T> => ({ host: name, ok: null, why }))]
}

async function outcomeOf<T>(host: string, act: Promise<T>): Promise<Outcome<T>> {
  try {
    return { host, ok: true, data: await act }
  } catch (err) {
    if (err instanceof Failure) return { host, ok: false, error: err }
    const message = err instanceof Error ? err.message : String(err)
    return { host, ok: false, error: new Failure('SVS_INTERNAL', message, { cause: err }) }
  }
}

/** In order, so many at once. */
async function inParallel<A, B>(
  all: readonly A[],
  most: number,
  act: (one: A) => Promise<B>,
): Promise<B[]> {
  const results: B[] = []
  let next = 0
  const work = async () => {
    for (let at = next++; at < all.length; at = next++) results[at] = await act(all[at]!)
  }
  await Promise.all(Array.from({ length: Math.min(most, all.length) }, work))
  return results
}
