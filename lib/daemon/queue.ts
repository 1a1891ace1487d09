// One operation at a time on each thing: a task names what it needs, and runs when every
// earlier task that named the same has ended.
//
// Rule: a task that needs several things takes them nested, in the order of a name, a layer's id,
// PACKAGES, TAGS, STACKS, and never otherwise; so two tasks never wait for each other.

/** Giving this name to a layer. */
export const nameKey = (name: string): string => `*name ${name}`
/** Giving a layer its tag: from the choice until a record has it. */
export const TAGS = '*tags'
/** The folder in which apt works. */
export const PACKAGES = '*packages'
/** Which layers are shown where: records together with the mounts that follow them. */
export const STACKS = '*stacks'

export class Queue {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Runs `task` alone among all with the same key. Its failure is its caller's only. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const mine = before.then(task)
    const ended = mine.then(nothing, nothing)
    this.#tails.set(key, ended)
    void ended.then(() => {
      if (this.#tails.get(key) === ended) this.#tails.delete(key)
    })
    return mine
  }

  /** Resolves when no task is under way. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values())
  }
}

const nothing = () => {}
