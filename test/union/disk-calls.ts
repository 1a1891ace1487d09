// Counts what the union asks of the disk: every call of lib/host to libc, by name.

import { libc } from '../../lib/host/libc.ts'

type Call = (...args: unknown[]) => unknown

export class DiskCalls {
  readonly #byName = new Map<string, number>()

  /** Counts until the test ends. */
  constructor(t: { teardown(act: () => void): void }) {
    const table = libc as unknown as Record<string, Call>
    const real = { ...table }
    for (const [name, call] of Object.entries(real)) {
      table[name] = (...args) => {
        this.#byName.set(name, (this.#byName.get(name) ?? 0) + 1)
        return call(...args)
      }
    }
    t.teardown(() => void Object.assign(table, real))
  }

  get count(): number {
    return [...this.#byName.values()].reduce((sum, count) => sum + count, 0)
  }

  toString(): string {
    return [...this.#byName].map(([name, count]) => `${count} ${name}`).join(', ') || 'none'
  }
}
