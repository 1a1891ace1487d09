// Who asks how often, and for how many bytes: counted while somebody looks.
//
//   request, answered ─▶ note ─▶ process ─▶ operations by name, bytes read, bytes written
//
// The kernel names threads; which process one belongs to is asked of /proc while its first request waits,
// so that it is still there. What the page cache writes back comes from nobody: number 0.
//
// Rule: it ends by itself when nobody has looked for a while. Of /proc only what the kernel tells without a
// lock of the process's memory is read: its owner may hold that, and wait for us.

import { readFileSync } from 'node:fs'

/** What one process asked for since the beginning. */
export interface Asked {
  /** Of the process; 0 for the page cache. */
  readonly pid: number
  /** Its first thread's name; '' where that is not known any more. */
  readonly name: string
  /** By the kernel's names. */
  readonly operations: Readonly<Record<string, number>>
  readonly read: number
  readonly written: number
}

interface Counted {
  readonly pid: number
  readonly name: string
  readonly operations: Record<string, number>
  read: number
  written: number
}

/** Processes and threads that are told apart; further ones are one. */
const MOST = 4096
const OTHERS = -1

/** Where the caller's number stands in a request, and how much a WRITE has. */
const CALLER_PID = 32
const WRITE_SIZE = 40 + 16

export class Tally {
  /** When it began, in milliseconds since 1970. */
  readonly since = Date.now()
  /** `performance.now()` after which it is over. */
  until: number
  readonly #processes = new Map<number, Counted>()
  readonly #threads = new Map<number, Counted>()

  constructor(until: number) {
    this.until = until
  }

  get over(): boolean {
    return performance.now() > this.until
  }

  /** `request` begins with its header; `length`: bytes of the answer behind its own. */
  note(request: Buffer, operation: string, length: number): void {
    const one = this.#of(request.readUInt32LE(CALLER_PID))
    one.operations[operation] = (one.operations[operation] ?? 0) + 1
    if (operation === 'READ') one.read += length
    if (operation === 'WRITE') one.written += request.readUInt32LE(WRITE_SIZE)
  }

  /** Copies, to be sent. */
  list(): Asked[] {
    return [...this.#processes.values()].map((one) => ({
      ...one,
      operations: { ...one.operations },
    }))
  }

  #of(thread: number): Counted {
    const known = this.#threads.get(thread)
    if (known !== undefined) return known
    if (this.#threads.size >= MOST) return this.#process(OTHERS, '')
    const { pid, name } = thread === 0 ? { pid: 0, name: '' } : ownerOf(thread)
    const found = this.#process(pid, name)
    this.#threads.set(thread, found)
    return found
  }

  #process(pid: number, name: string): Counted {
    const known = this.#processes.get(pid)
    if (known !== undefined) return known
    const made = { pid, name, operations: {}, read: 0, written: 0 }
    this.#processes.set(pid, made)
    return made
  }
}

/** The process of a thread; of one that is gone, or in another namespace, the number itself. */
function ownerOf(thread: number): { pid: number; name: string } {
  const pid = Number(/^Tgid:\t(\d+)$/m.exec(textOf(`/proc/${thread}/status`))?.[1] ?? thread)
  return { pid, name: textOf(`/proc/${pid}/comm`).trimEnd() }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
