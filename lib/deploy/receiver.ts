// The host's end of a link: `svsfs receive` hears requests, one after the other, and has them done.
//
//   stdin ─▶ frames ─▶ request (schema) ─▶ row ─▶ answer ─▶ stdout
//
// Rule: what is not a request ends the link and changes nothing. A link that is cut does not stop what
// was begun: a host that has started to switch ends it, one way or the other.

import type { Readable, Writable } from 'node:stream'
import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { wantedBy } from '../snapshot/wanted.ts'
import { BadSpeech, FrameReader, FrameWriter, LONGEST_ANSWER, LONGEST_REQUEST } from './frames.ts'
import { type ErrorSaid, request } from './messages.ts'

/** What a request is done with. */
export interface Asked {
  /** The frames of bytes that came with it; each is read when it is asked for. */
  readonly pieces: AsyncIterable<Buffer>
  progress(text: string): void
}

export interface ReceiverRow<S extends z.ZodType> {
  readonly params: S
  run(params: z.output<S>, asked: Asked): Promise<unknown>
}

/** A row of the table, with the types of its schema. */
export function row<S extends z.ZodType>(
  params: S,
  run: (params: z.output<S>, asked: Asked) => Promise<unknown>,
): ReceiverRow<S> {
  return { params, run }
}

// biome-ignore lint/suspicious/noExplicitAny: a table of rows, each with the types of its own schema
export type Rows = Readonly<Record<string, ReceiverRow<any>>>

export interface Streams {
  readonly input: Readable
  readonly output: Writable
}

/** Answers until the other end closes. `words`: how a failure is said. */
export async function receive(
  { input, output }: Streams,
  rows: Rows,
  words: (err: unknown) => ErrorSaid,
): Promise<void> {
  const reader = new FrameReader(input, LONGEST_REQUEST)
  const writer = new FrameWriter(output, LONGEST_ANSWER)
  // Nobody may listen any more, and what is under way goes on.
  const say = (value: unknown) => writer.json(value).catch(() => {})
  await writer.greet().catch(() => {})
  for (;;) {
    try {
      const frame = await reader.next()
      if (frame === null) return
      const asked = frame.kind === 'json' ? request.safeParse(frame.value) : null
      if (asked?.success !== true) throw new BadSpeech('what came is no request')
      const { ask, params, pieces: count } = asked.data
      const pieces = piecesOf(reader, count)
      const progress = (text: string) => void say({ progress: text })
      const answer = await answered(rows, ask, params, { pieces, progress }, words)
      for await (const _ of pieces);
      await say(answer)
    } catch (err) {
      if (!(err instanceof BadSpeech)) throw err
      await say({ ok: false, error: words(new Failure('SVS_BAD_REQUEST', 'it', err.message)) })
      return
    }
  }
}

async function answered(
  rows: Rows,
  ask: string,
  params: unknown,
  asked: Asked,
  words: (err: unknown) => ErrorSaid,
): Promise<unknown> {
  try {
    if (!Object.hasOwn(rows, ask)) throw new Failure('SVS_BAD_REQUEST', ask, 'no such request')
    const { params: schema, run } = rows[ask]!
    const read = schema.safeParse(params)
    if (!read.success)
      throw new Failure('SVS_BAD_REQUEST', ask, wantedBy(read.error as z.core.$ZodError))
    return { ok: true, data: (await run(read.data, asked)) ?? null }
  } catch (err) {
    if (err instanceof BadSpeech) throw err
    return { ok: false, error: words(err) }
  }
}

/** Left early it is not ended: what was not looked at is skipped afterwards. */
function piecesOf(reader: FrameReader, count: number): AsyncIterableIterator<Buffer> {
  let left = count
  const pieces: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => pieces,
    next: async () => {
      if (left === 0) return { done: true, value: undefined }
      left -= 1
      const frame = await reader.next()
      if (frame?.kind !== 'bytes') throw new BadSpeech('fewer pieces than it said')
      return { done: false, value: frame.bytes }
    },
  }
  return pieces
}
