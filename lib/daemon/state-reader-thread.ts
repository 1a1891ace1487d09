// The thread that reads a mounted state: names from its list, bytes from the catalogue, which it asks
// the main thread for.
//
//   state thread ── question ─▶ StateReader ── chunk? ─▶ main thread
//        ◀─ answer, wake ──────────┘        ◀─ bytes ──┘
//
// Rule: one question at a time, in the order they come: memory is bounded by one part of one file.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { ERRNO, errnoOf } from '../base/errno.ts'
import { type FailureData, failureData } from '../base/failure-data.ts'
import type { RelPath } from '../base/path.ts'
import { type Waker, wake } from '../fuse/waker.ts'
import { AskingDepot, type ToAsker } from '../snapshot/asking.ts'
import { namedDamage } from '../snapshot/builder.ts'
import type { Answered, Asked, Question } from '../snapshot/late-tree.ts'
import { type ReadState, type ShownName, StateReader } from '../snapshot/state-reader.ts'

export interface ReaderThreadData {
  readonly state: ReadState
  /** Of the state thread, and of the main thread. */
  readonly asked: MessagePort
  readonly port: MessagePort
  readonly waker: Waker
}

export type FromReaderThread =
  | { readonly kind: 'read'; readonly root: ShownName }
  | { readonly kind: 'failed'; readonly failure: FailureData }
  | { readonly kind: 'damaged'; readonly path: RelPath; readonly why: string }

type Found = Partial<Pick<Answered, 'names' | 'bytes' | 'holes'>>

async function find(reader: StateReader, question: Question): Promise<Found> {
  switch (question.kind) {
    case 'list':
      return { names: await reader.list(question.path) }
    case 'holes':
      return { holes: await reader.holes(question.content) }
    case 'read':
      return { bytes: await reader.read(question.content, question.offset, question.length) }
  }
}

const asError = (err: unknown): Error => (err instanceof Error ? err : new Error(String(err)))

async function main({ state, asked, port, waker }: ReaderThreadData): Promise<void> {
  const post = (message: FromReaderThread) => port.postMessage(message)
  const depot = new AskingDepot((ask) => port.postMessage(ask))
  port.on('message', (message: ToAsker) => depot.take(message))
  const reader = new StateReader(state, depot)
  asked.once('close', () => {
    reader.close()
    port.close()
  })
  const answer = async ({ ticket, question }: Asked) => {
    const nothing: Answered = { ticket, error: 0, names: null, bytes: null, holes: null }
    let found: Answered
    try {
      found = { ...nothing, ...(await find(reader, question)) }
    } catch (err) {
      const errno = errnoOf(err)
      found = { ...nothing, error: errno ?? ERRNO.EIO }
      if (errno === null) post({ kind: 'damaged', path: question.path, why: asError(err).message })
    }
    const transfer = found.bytes === null ? [] : [found.bytes.buffer as ArrayBuffer]
    asked.postMessage(found, transfer)
    wake(waker)
  }
  let last = Promise.resolve()
  asked.on('message', (question: Asked) => {
    last = last.then(() => answer(question))
  })
  try {
    post({ kind: 'read', root: await reader.root() })
  } catch (err) {
    post({ kind: 'failed', failure: failureData(asError(namedDamage(err, state.id, 'its list'))) })
  }
}

if (parentPort !== null) void main(workerData as ReaderThreadData)
