// What happened in a store: activation, restore, mounts, failures. One JSON line an event in
// run/events.log, appended by whichever process owns the store.
//
//   operation ─▶ EventLog.tell ─▶ run/events.log ─▶ followEvents (any process)
//                            └──▶ listeners of this process
//
// Rule: an event tells of something that is done (or has failed); it is never an order.
// Writing one never fails an operation.

import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  watch,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { StorePlaces } from './store-path.ts'

export const EVENT_KINDS = [
  'created',
  'deleted',
  'renamed',
  'replaced',
  'activated',
  'deactivated',
  'priority',
  'reset',
  'mounted',
  'unmounted',
  'snapshot',
  'restored',
  'forgotten',
  'exported',
  'imported',
  'failed',
] as const

const storeEvent = z.object({
  /** When, as ISO 8601 in UTC. */
  at: z.string(),
  kind: z.enum(EVENT_KINDS),
  layer: z.string().optional(),
  mountPoint: z.string().optional(),
  state: z.string().optional(),
  text: z.string(),
})

export type StoreEvent = z.infer<typeof storeEvent>
export type EventKind = StoreEvent['kind']

/** Bytes after which the log becomes events.log.1 and a new one begins. */
const LARGEST_LOG = 1 << 20

export class EventLog {
  readonly #path: string
  readonly #listeners = new Set<(event: StoreEvent) => void>()

  constructor(places: StorePlaces) {
    this.#path = places.events
  }

  tell(kind: EventKind, text: string, about: Omit<StoreEvent, 'at' | 'kind' | 'text'> = {}): void {
    const event: StoreEvent = { at: new Date().toISOString(), kind, ...about, text }
    try {
      this.#rotate()
      appendFileSync(this.#path, `${JSON.stringify(event)}\n`, { mode: 0o600 })
    } catch {
      // A full disk must not undo what was done; listeners still hear of it.
    }
    for (const listener of this.#listeners) listener(event)
  }

  listen(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #rotate(): void {
    const size = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
    if (size > LARGEST_LOG) renameSync(this.#path, `${this.#path}.1`)
  }
}

/** The last `count` events, oldest first. */
export function lastEvents(places: StorePlaces, count: number): StoreEvent[] {
  const reader = new EventReader(places.events)
  const events = reader.next()
  return count >= events.length ? events : events.slice(events.length - count)
}

/** Calls `listener` for each event from now on, until `signal` aborts. */
export async function followEvents(
  places: StorePlaces,
  listener: (event: StoreEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = new EventReader(places.events)
  reader.next()
  const tell = () => {
    for (const event of reader.next()) listener(event)
  }
  // The directory, because the file itself is exchanged when it has grown.
  const watcher = watch(dirname(places.events), tell)
  tell()
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  watcher.close()
}

/** Reads whole lines that were appended since the last call; begins anew in an exchanged file. */
class EventReader {
  readonly #path: string
  #ino = 0
  #at = 0

  constructor(path: string) {
    this.#path = path
  }

  next(): StoreEvent[] {
    const found = statSync(this.#path, { throwIfNoEntry: false })
    if (found === undefined) return []
    const fd = openSync(this.#path, 'r')
    try {
      const { ino, size } = fstatSync(fd)
      if (ino !== this.#ino || size < this.#at) this.#at = 0
      this.#ino = ino
      return this.#read(fd, size)
    } finally {
      closeSync(fd)
    }
  }

  #read(fd: number, size: number): StoreEvent[] {
    const bytes = Buffer.alloc(Math.min(size - this.#at, 2 * LARGEST_LOG))
    const length = readSync(fd, bytes, 0, bytes.length, this.#at)
    const whole = bytes.subarray(0, length).lastIndexOf(10) + 1
    this.#at += whole
    return bytes.subarray(0, whole).toString('utf8').split('\n').flatMap(readEvent)
  }
}

// A line that a crash cut short, or that a newer program wrote, is passed over.
function readEvent(line: string): StoreEvent[] {
  try {
    const read = storeEvent.safeParse(JSON.parse(line))
    return read.success ? [read.data] : []
  } catch {
    return []
  }
}
