// States whose instant has come and that are not stored yet: what lists show of them.
//
// Rule: one is here from its freeze until it is stored, or it failed; it never outlives the process.

import type { LayerRecord, Trigger } from '../snapshot/records.ts'

export interface PendingState {
  /** Which it has once it is stored. */
  readonly id: string
  readonly layer: LayerRecord
  /** The instant, in milliseconds since 1970. */
  readonly time: number
  readonly message: string
  readonly label: string | null
  readonly tags: Readonly<Record<string, string>>
  readonly trigger: Trigger
}

export class PendingStates {
  readonly #states = new Set<PendingState>()

  of(layer: LayerRecord): PendingState[] {
    return [...this.#states].filter((one) => one.layer.id === layer.id)
  }

  /** Shows a state as pending while `store` makes it. */
  async during<T>(state: PendingState, store: () => Promise<T>): Promise<T> {
    this.#states.add(state)
    try {
      return await store()
    } finally {
      this.#states.delete(state)
    }
  }
}
