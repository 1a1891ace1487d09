// Owners of a state as numbers of this machine: who has the same name here has the number that it has here.
//
//   archive   1001 (ann)  33 (www-data)        here   ann is 1005, www-data is 33
//   store     1005        33                   record 1005 was 1001
//
// Rule: it can be turned back. No two numbers become one: where one would, both stay as they are. Root stays
// root, and nobody else becomes it. What is exported again has the numbers that it came with.

import type { Accounts } from '../host/accounts.ts'
import type { Entry, SnapshotRecord } from '../snapshot/records.ts'

/** Numbers that become others; the rest stay. */
export interface Renumbering {
  readonly users: ReadonlyMap<number, number>
  readonly groups: ReadonlyMap<number, number>
}

const NONE: Renumbering = { users: new Map(), groups: new Map() }

/** What becomes of the owners of a state that has these, with these names there. Null: everybody keeps the number. */
export function renumberingOf(
  names: SnapshotRecord['owners'],
  used: { readonly users: readonly number[]; readonly groups: readonly number[] },
  accounts: Accounts | null,
): Renumbering {
  if (accounts === null) return NONE
  return {
    users: renumbered(names.users, used.users, accounts.users),
    groups: renumbered(names.groups, used.groups, accounts.groups),
  }
}

function renumbered(
  names: Readonly<Record<string, string>>,
  used: readonly number[],
  known: ReadonlyMap<string, number>,
): Map<number, number> {
  const others = new Map<number, number>()
  for (const number of used) {
    const name = names[number]
    const here = name === undefined ? undefined : known.get(name)
    if (here !== undefined && here !== number && here !== 0 && number !== 0)
      others.set(number, here)
  }
  // One that stays may be in the way of a further one.
  for (let before = -1; before !== others.size; ) {
    before = others.size
    const owners = new Map<number, number>()
    for (const number of used) {
      const here = others.get(number) ?? number
      owners.set(here, (owners.get(here) ?? 0) + 1)
    }
    for (const [number, here] of [...others]) if (owners.get(here)! > 1) others.delete(number)
  }
  return others
}

export function withOwners(entry: Entry, { users, groups }: Renumbering): Entry {
  const uid = users.get(entry.uid) ?? entry.uid
  const gid = groups.get(entry.gid) ?? entry.gid
  return uid === entry.uid && gid === entry.gid ? entry : { ...entry, uid, gid }
}

/** The way back, as records have it; undefined where there is none to go. */
export function wayBack({ users, groups }: Renumbering): OwnersThere | undefined {
  if (users.size === 0 && groups.size === 0) return undefined
  return { users: turned(users), groups: turned(groups) }
}

type OwnersThere = NonNullable<NonNullable<SnapshotRecord['archive']>['owners']>

const turned = (numbers: ReadonlyMap<number, number>): Record<string, number> =>
  Object.fromEntries([...numbers].map(([there, here]) => [String(here), there]))

/** From the numbers of this store to those of the archive that a state came with. */
export function asItCame({ archive }: SnapshotRecord): Renumbering {
  const there = archive?.owners
  if (there === undefined) return NONE
  return { users: mapOf(there.users), groups: mapOf(there.groups) }
}

const mapOf = (numbers: Readonly<Record<string, number>>): Map<number, number> =>
  new Map(Object.entries(numbers).map(([here, there]) => [Number(here), there]))
