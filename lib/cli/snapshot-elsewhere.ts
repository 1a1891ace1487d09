// svsfs snapshot --to PLACE: the state is kept in a repository instead of here (a host: keep-there.ts).
//
//   snapshot ─▶ push, with the read-only part ─▶ the state is deleted here
//
// Rule: it goes here only when it is there; where bringing it fails it stays, and that is said.

import type { SnapshotAnswer } from '../daemon/state-methods.ts'
import { isPlace } from '../repository/place.ts'
import type { Context, Words } from './command.ts'
import { atPlace, type Wished, wishedPlace } from './repository-options.ts'
import { version } from './version.ts'
import { shellWord } from './words.ts'

export interface KeptThere {
  readonly place: string
  readonly digest: string
  /** Bytes that were sent. */
  readonly sent: number
}

/** The repository that --to names; null for none, and for a host. */
export function repositoryOf(words: Words): Wished | null {
  const to = words.text('to')
  return to === null || !isPlace(to) ? null : wishedPlace(to, words)
}

/** Brings a state there, and deletes it here where it was made for that. */
export async function keepInRepository(
  { session, out }: Context,
  { layer, id, taken }: SnapshotAnswer,
  to: Wished,
): Promise<KeptThere> {
  const at = await atPlace(to)
  const wish = { layer, state: id, withBase: true, version: version(), ...at }
  const { place, digest, sent } = await session.call('push', wish).catch((err: unknown) => {
    const name = `${shellWord(layer)}@${id}`
    out.note(`state ${id} is kept here; svsfs push ${name} ${to.place} tries again`)
    throw err
  })
  // One that was there before is somebody's.
  if (taken) await session.call('state.delete', { layer, state: id })
  return { place, digest, sent }
}
