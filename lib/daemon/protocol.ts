// The words between a command and the daemon: JSON, one message a line, over run/daemon.sock.
//
//   command ─▶ {"id":1,"method":"layer.list","params":{}}
//   daemon  ─▶ {"id":1,"progress":"reading packages"}        any number of times
//   daemon  ─▶ {"id":1,"ok":true,"data":…}  or  {"id":1,"ok":false,"error":{code,message,hint,exit}}
//
// Rule: a line longer than LONGEST_LINE ends the connection; what is not a request is
// answered SVS_BAD_REQUEST and changes nothing. Closing the connection gives back what it holds.

export const LONGEST_LINE = 1 << 20
/** What a command accepts from the daemon, whose lists may be long. */
export const LONGEST_REPLY = 64 << 20

const MOST_PIECES = 1024

/** A failure in words. */
export interface ErrorWords {
  readonly code: string
  readonly message: string
  readonly exit: number
  /** What to do next; a daemon of an earlier version tells none. */
  readonly hint?: string | null
}

export type Reply =
  | { readonly id: number | null; readonly ok: true; readonly data: unknown }
  | { readonly id: number | null; readonly ok: false; readonly error: ErrorWords }
  | { readonly id: number; readonly progress: string }

/** Cuts a stream into lines, and calls `tooLong` (once, then nothing more) above the limit. */
export class Lines {
  #rest: Buffer[] = []
  #length = 0
  #stopped = false
  readonly #line: (text: string) => void
  readonly #tooLong: () => void
  readonly #limit: number

  constructor(limit: number, line: (text: string) => void, tooLong: () => void) {
    this.#limit = limit
    this.#line = line
    this.#tooLong = tooLong
  }

  /** Bytes of a line that has not ended yet. */
  get pending(): number {
    return this.#length
  }

  push(bytes: Buffer): void {
    let from = 0
    while (!this.#stopped) {
      const end = bytes.indexOf(10, from)
      const part = bytes.subarray(from, end === -1 ? bytes.length : end)
      if (this.#length + part.length > this.#limit) this.#stop()
      else this.#keep(part)
      if (end === -1 || this.#stopped) return
      from = end + 1
      const text = Buffer.concat(this.#rest).toString('utf8')
      this.#rest = []
      this.#length = 0
      if (text.trim() !== '') this.#line(text)
    }
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return
    this.#rest.push(part)
    // Each piece costs more than its bytes where they come one by one.
    if (this.#rest.length > MOST_PIECES) this.#rest = [Buffer.concat(this.#rest)]
    this.#length += part.length
  }

  #stop(): void {
    this.#stopped = true
    this.#rest = []
    this.#length = 0
    this.#tooLong()
  }
}
