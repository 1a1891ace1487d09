// Users and groups of this machine, by name and by number.
//
//   /etc/passwd, /etc/group     name:x:NUMBER:…
//
// Rule: a machine without these files has no names; nothing fails for it.

import { readFileSync } from 'node:fs'

export const USERS = '/etc/passwd'
export const GROUPS = '/etc/group'

/** Numbers by name. */
export interface Accounts {
  readonly users: ReadonlyMap<string, number>
  readonly groups: ReadonlyMap<string, number>
}

/** Those of this machine. */
export const accountsHere = (): Accounts => ({ users: numbersIn(USERS), groups: numbersIn(GROUPS) })

function numbersIn(file: string): Map<string, number> {
  const numbers = new Map<string, number>()
  for (const [name, number] of accountsIn(file))
    if (!numbers.has(name)) numbers.set(name, Number(number))
  return numbers
}

/** Names of numbers, the first of each. */
export function namesOf(file: string, numbers: ReadonlySet<number>): Record<string, string> {
  const names: Record<string, string> = {}
  for (const [name, number] of accountsIn(file))
    if (numbers.has(Number(number))) names[number] ??= name
  return names
}

function* accountsIn(file: string): Generator<[name: string, number: string]> {
  for (const line of linesOf(file)) {
    const [name, , number] = line.split(':')
    if (name && number && /^\d+$/.test(number)) yield [name, number]
  }
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}
