// Which states a policy keeps, and why.
//
//   hourly 2:   9:10  9:50  11:05  11:40  13:20
//                     ────         ─────  ─────   the last of each hour that has any; two hours back
//
// Hours, days, weeks (from Monday) and months are those of the local time zone. Of an hour that the
// clocks repeat, both count.
//
// Rule: a pure function of states and policy; a pinned state is always kept, and a rule that names
// none keeps none. What no rule keeps is forgotten.

import type { KeepPolicy, SnapshotRecord } from './records.ts'

type State = Pick<SnapshotRecord, 'id' | 'time' | 'tags' | 'pinned'>

export interface Retained<T extends State> {
  /** Newest first, with the rules that keep them. */
  readonly keep: readonly { readonly state: T; readonly why: readonly string[] }[]
  /** Newest first. */
  readonly forget: readonly T[]
}

const PERIODS = {
  hourly: (at: Date) => `${dayOf(at)} ${at.getHours()} ${at.getTimezoneOffset()}`,
  daily: (at: Date) => dayOf(at),
  weekly: (at: Date) => dayOf(mondayOf(at)),
  monthly: (at: Date) => `${at.getFullYear()}-${at.getMonth()}`,
} as const

const dayOf = (at: Date): string => `${at.getFullYear()}-${at.getMonth()}-${at.getDate()}`

function mondayOf(at: Date): Date {
  const back = (at.getDay() + 6) % 7
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() - back)
}

export function retain<T extends State>(states: readonly T[], policy: KeepPolicy): Retained<T> {
  const newest = [...states].sort((a, b) => b.time - a.time)
  const why = new Map<T, string[]>(newest.map((state) => [state, []]))
  const keep = (state: T, rule: string) => why.get(state)!.push(rule)
  for (const state of newest) if (state.pinned) keep(state, 'pinned')
  for (const state of newest.slice(0, policy.last ?? 0)) keep(state, 'last')
  for (const [name, period] of Object.entries(PERIODS)) {
    const most = policy[name as keyof typeof PERIODS] ?? 0
    for (const state of lastOfEach(newest, period, most)) keep(state, name)
  }
  for (const tag of policy.tags ?? [])
    for (const state of newest) if (hasTag(state, tag)) keep(state, `tag ${tag}`)
  const of = (state: T) => why.get(state) ?? []
  return {
    keep: newest
      .filter((state) => of(state).length > 0)
      .map((state) => ({ state, why: of(state) })),
    forget: newest.filter((state) => of(state).length === 0),
  }
}

/** The newest of each of the last `most` periods that have a state. */
function lastOfEach<T extends State>(
  newest: readonly T[],
  period: (at: Date) => string,
  most: number,
): T[] {
  const seen = new Set<string>()
  return newest.filter((state) => {
    const name = period(new Date(state.time))
    if (seen.has(name) || seen.size >= most) return false
    seen.add(name)
    return true
  })
}

/** `KEY`, or `KEY=VALUE` where the value must be that. */
function hasTag({ tags }: State, tag: string): boolean {
  const at = tag.indexOf('=')
  if (at === -1) return Object.hasOwn(tags, tag)
  const name = tag.slice(0, at)
  return Object.hasOwn(tags, name) && tags[name] === tag.slice(at + 1)
}

/** True where a policy keeps something: one that keeps nothing is a mistake. */
export const keepsSomething = ({
  last,
  hourly,
  daily,
  weekly,
  monthly,
  tags,
}: KeepPolicy): boolean =>
  [last, hourly, daily, weekly, monthly, tags?.length].some((count) => (count ?? 0) > 0)
