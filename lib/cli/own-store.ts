// A store that a command has opened itself, because no daemon runs there.
//
//   perform ─▶ open ─▶ row ─▶ close at once, or a moment after the last of several calls
//
// Rule: it is open as long as a call runs and no longer than the pause it was given, so that whoever waits
// for the store gets it between two calls. After a failure it is closed: the next call finishes what was left.

import type { Answer, MethodName, Params } from '../daemon/api.ts'
import type { Control } from '../daemon/control.ts'
import type { Call } from '../daemon/method.ts'

export class OwnStore {
  readonly #root: string
  #pause = 0
  #doing: string | null = null
  #control: Promise<Control> | null = null
  #running = 0
  #timer: NodeJS.Timeout | null = null
  #closing: Promise<void> = Promise.resolve()

  constructor(root: string) {
    this.#root = root
  }

  /** From now on it stays open for so many milliseconds after a call. `doing`: for whoever waits for it. */
  keep(pause: number, doing: string): void {
    this.#pause = pause
    this.#doing = doing
  }

  get isOpen(): boolean {
    return this.#control !== null
  }

  async perform<Name extends MethodName>(
    name: Name,
    params: Params<Name>,
    call: Call,
    create: boolean,
  ): Promise<Answer<Name>> {
    const { perform } = await import('../daemon/api.ts')
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#running += 1
    let pause = 0
    try {
      this.#control ??= this.#open(`svsfs ${name.replace('.', ' ')}`, create)
      const answer = (await perform(await this.#control, name, params, call)) as Answer<Name>
      pause = this.#pause
      return answer
    } finally {
      this.#running -= 1
      if (this.#running === 0) await this.#rest(pause)
    }
  }

  /** Gives it back at once, unless a call runs. */
  async close(): Promise<void> {
    if (this.#running === 0) await this.#rest(0)
  }

  async #open(doing: string, create: boolean): Promise<Control> {
    await this.#closing
    const { openControl } = await import('../daemon/control.ts')
    return openControl({ root: this.#root, doing: this.#doing ?? doing, create })
  }

  async #rest(pause: number): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (pause > 0) {
      this.#timer = setTimeout(() => void this.#rest(0), pause)
      return
    }
    const control = this.#control
    this.#control = null
    this.#timer = null
    // What could not be opened has said so to the call.
    if (control !== null)
      this.#closing = control.then(
        (open) => open.close(),
        () => {},
      )
    await this.#closing
  }
}
