// A link to a host: ssh, and `svsfs receive` at its other end.
//
//   Link.open ─▶ greeting ─▶ ask(…) … ─▶ close
//
// Rule: one request at a time. A link that broke answers nothing more; why is said in one failure.

import { once } from 'node:events'
import type { z } from 'zod'
import { FAILURES, Failure, type FailureCode } from '../base/failure.ts'
import { BadSpeech, FrameReader, FrameWriter, LONGEST_ANSWER, LONGEST_REQUEST } from './frames.ts'
import type { Reachable } from './host.ts'
import { type ErrorSaid, type Request, reply } from './messages.ts'
import { linkFailure, type Started, startSsh } from './ssh.ts'

export interface LinkOptions {
  /** ssh may ask for a passphrase or about a key: only where there is a terminal. */
  readonly mayAsk: boolean
  readonly onProgress: (text: string) => void
}

export class Link {
  readonly host: Reachable
  readonly #ssh: Started
  readonly #reader: FrameReader
  readonly #writer: FrameWriter
  readonly #onProgress: (text: string) => void
  #greeted = false

  private constructor(host: Reachable, ssh: Started, { onProgress }: LinkOptions) {
    this.host = host
    this.#ssh = ssh
    this.#reader = new FrameReader(ssh.child.stdout, LONGEST_ANSWER)
    this.#writer = new FrameWriter(ssh.child.stdin, LONGEST_REQUEST)
    this.#onProgress = onProgress
  }

  /** Throws SVS_HOST_… where there is no way to the host, or no svsfs on it. */
  static async open(host: Reachable, options: LinkOptions): Promise<Link> {
    const ssh = startSsh(host, options.mayAsk)
    const failed = new Promise<never>((_, reject) => {
      ssh.child.once('error', (cause: NodeJS.ErrnoException) => {
        const missing = new Failure('SVS_TOOL_MISSING', 'ssh', 'openssh-client', { cause })
        reject(cause.code === 'ENOENT' ? missing : cause)
      })
    })
    failed.catch(() => {})
    const link = new Link(host, ssh, options)
    try {
      link.#greeted = await Promise.race([link.#reader.greeted(), failed])
    } catch (err) {
      if (err instanceof BadSpeech) throw await link.#broken()
      throw err
    }
    if (!link.#greeted) throw await link.#broken()
    return link
  }

  /** Bytes on the way out and in, before ssh packs them. */
  get traffic(): { sent: number; received: number } {
    return { sent: this.#writer.sent, received: this.#reader.received }
  }

  /** Asks the host, and reads its answer by a schema. `pieces` follow the request. */
  async ask<S extends z.ZodType>(
    what: Omit<Request, 'pieces'>,
    answer: S,
    pieces: { readonly count: number; readonly each: AsyncIterable<Buffer> } | null = null,
  ): Promise<z.output<S>> {
    try {
      await this.#writer.json({ ...what, pieces: pieces?.count ?? 0 } satisfies Request)
      if (pieces !== null) for await (const bytes of pieces.each) await this.#writer.bytes(bytes)
      return await this.#answer(answer)
    } catch (err) {
      if (!isOfTheLink(err)) throw err
      // What it said before it went may say why.
      throw await this.#lastWords()
    }
  }

  /** Lets the host go; it finishes what it does. */
  async close(): Promise<void> {
    const { child } = this.#ssh
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.stdin.end()
    const patience = setTimeout(() => child.kill('SIGTERM'), 5000)
    await ended
    clearTimeout(patience)
  }

  async #answer<S extends z.ZodType>(schema: S): Promise<z.output<S>> {
    for (;;) {
      const frame = await this.#reader.next()
      if (frame === null || frame.kind !== 'json') throw new BadSpeech('no answer')
      const said = reply.safeParse(frame.value)
      if (!said.success) throw new BadSpeech('an answer that is none')
      if ('progress' in said.data) this.#onProgress(String(said.data.progress))
      else if (said.data.ok === false) throw failureSaid(said.data.error as ErrorSaid)
      else return this.#read(schema, said.data.data)
    }
  }

  #read<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
    const read = schema.safeParse(value)
    if (!read.success) throw new BadSpeech('an answer that is none')
    return read.data
  }

  /** A host that fails while it is written to has said why before it ended. */
  async #lastWords(): Promise<Failure> {
    try {
      for (
        let frame = await this.#reader.next();
        frame !== null;
        frame = await this.#reader.next()
      ) {
        const said = frame.kind === 'json' ? reply.safeParse(frame.value) : null
        if (said?.success === true && 'ok' in said.data && said.data.ok === false)
          return failureSaid(said.data.error as ErrorSaid)
      }
    } catch {
      // Broken in the middle of a word.
    }
    return this.#broken()
  }

  async #broken(): Promise<Failure> {
    const { child, said } = this.#ssh
    child.stdin.destroy()
    child.stdout.resume()
    if (child.exitCode === null && child.signalCode === null) {
      const patience = setTimeout(() => child.kill('SIGTERM'), 2000)
      await once(child, 'exit')
      clearTimeout(patience)
    }
    return linkFailure(this.host, { code: child.exitCode, said: said(), greeted: this.#greeted })
  }
}

const isOfTheLink = (err: unknown): boolean =>
  err instanceof BadSpeech ||
  ['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'].includes(
    String((err as NodeJS.ErrnoException).code),
  )

const printable = (text: string): string => text.replace(/[\0-\x1f\x7f-\x9f]/g, ' ').slice(0, 2000)

/** The host's failure, in its own words; they may come from anybody. */
export function failureSaid({ code, message, hint }: ErrorSaid): Failure {
  const known = Object.hasOwn(FAILURES, code) ? (code as FailureCode) : 'SVS_INTERNAL'
  const failure = new Failure(known)
  failure.message = printable(message)
  failure.hint = typeof hint === 'string' ? printable(hint) : null
  return failure
}
