// Variables in what a layer's manifest says: places and names that differ from machine to machine, and
// are filled in where the layer is used.
//
//   ${HOME}     home of the programs in the layer
//   ${USER}     name of the user who starts them
//   ${LIBDIR}   where this machine's libraries lie: /usr/lib/x86_64-linux-gnu
//   $${HOME}    the text ${HOME} itself
//
// Rule: a manifest keeps them as they are written, in the store and in archives; a variable that is not
// one of these stays as it is.

import { userInfo } from 'node:os'

export interface Variables {
  readonly HOME: string
  readonly USER: string
  readonly LIBDIR: string
}

const TRIPLETS: Readonly<Record<string, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
}

/** What they stand for on this machine, for a layer whose programs have this home. */
export function variablesHere(home: string): Variables {
  const triplet = TRIPLETS[process.arch]
  return {
    HOME: home,
    USER: nameOfUser(),
    LIBDIR: triplet === undefined ? '/usr/lib' : `/usr/lib/${triplet}`,
  }
}

// A user without an entry in /etc/passwd has a number alone.
function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.geteuid?.() ?? '')
  }
}

const WRITTEN = /\$(\$?)\{([A-Z][A-Z0-9_]*)\}/g

/** Text with its variables filled in. */
export function filledIn(text: string, variables: Variables): string {
  return text.replace(WRITTEN, (whole, literal: string, name: string) => {
    if (literal !== '') return whole.slice(1)
    return Object.hasOwn(variables, name) ? variables[name as keyof Variables] : whole
  })
}

/** The same for all text of plain data. */
export function filledInAll<T>(value: T, variables: Variables): T {
  if (typeof value === 'string') return filledIn(value, variables) as T
  if (Array.isArray(value)) return value.map((one) => filledInAll(one, variables)) as T
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, one]) => [name, filledInAll(one, variables)])
  return Object.fromEntries(fields) as T
}

/** Names of the variables that data uses, known or not, in order. */
export function variablesIn(value: unknown): string[] {
  const found = new Set<string>()
  const look = (one: unknown): void => {
    if (typeof one === 'string') {
      for (const [, literal, name] of one.matchAll(WRITTEN)) if (literal === '') found.add(name!)
    } else if (typeof one === 'object' && one !== null)
      for (const each of Object.values(one)) look(each)
  }
  look(value)
  return [...found].sort()
}
