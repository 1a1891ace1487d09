// Sending an archive to one host: offered, asked for, sent in parts, taken.
//
//   layer? ─▶ archive (from a state that it has) ─▶ offer ─▶ wanted ─▶ pieces … ─▶ take
//
// Rule: a host is sent what it asks for, and nothing that the archive does not name. What it says is
// what its people are told; nothing here depends on it being honest.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { LARGEST_PIECE } from './frames.ts'
import type { Link } from './link.ts'
import {
  type LayerAnswer,
  layerAnswer,
  type Taken,
  takenAnswer,
  type Wanted,
  wantedAnswer,
} from './messages.ts'

/** An archive, as it is sent: lib/archive has made it, and whoever sends has opened it. */
export interface Parcel {
  readonly payload: string
  readonly texts: { readonly manifest: Buffer; readonly signature: Buffer }
  /** Length of each chunk by its name. */
  readonly chunks: Readonly<Record<string, number>>
  readonly codecs: readonly string[]
  chunk(id: string): Promise<Buffer>
}

export interface Sending {
  readonly layer: string
  /** Digest of the read-only part. */
  readonly base: string
  /** States that the host may have, the newest first. */
  readonly candidates: readonly string[]
  /** Bring the read-only part where the host has not got it. */
  readonly withBase: boolean
  /** The archive for a host that has the state `from`, or none; with the read-only part or without. */
  parcel(from: string | null, withBase: boolean): Promise<Parcel>
  readonly take: {
    readonly restore: boolean
    readonly activate: boolean
    readonly allowUnsigned: boolean
    readonly allowDevices: boolean
    readonly allowLinks: boolean
    /** Absent where it is not wanted: hosts of before do not know it. */
    readonly numericOwner?: true
    readonly check: string | null
    readonly checkTime: number
    readonly from: string
  }
  /** Send nothing that the host would keep. */
  readonly dryRun: boolean
}

export interface Sent {
  readonly host: string
  readonly done: Taken['done'] | 'would'
  readonly state: string | null
  readonly before: string | null
  readonly created: boolean
  readonly mounts: readonly string[]
  /** Chunks, and their bytes, that were sent, or would be. */
  readonly chunks: number
  readonly bytes: number
  /** The state that the host had, which only the difference was sent to. */
  readonly from: string | null
}

/** How often a host may find that it lacks something after all. */
const ATTEMPTS = 3

/** Throws what the host says, SVS_HOST_…, SVS_ARCHIVE_BASE. */
export async function send(
  link: Link,
  sending: Sending,
  onProgress: (text: string) => void,
): Promise<Sent> {
  const { layer, base, candidates } = sending
  const params = { layer, base, states: [...candidates] }
  const has = await link.ask({ ask: 'layer', params }, layerAnswer)
  const withBase = !(has.bases?.includes(base) ?? false)
  if (withBase && !sending.withBase) throw lacksBase(link.host.name, sending, has)
  const from = withBase ? null : has.state
  const parcel = await sending.parcel(from, withBase)
  mustRead(link.host.name, has, parcel)
  const one = new Transfer(link, sending, parcel, onProgress)
  const { taken, chunks, bytes } = sending.dryRun ? await one.rehearse() : await one.run()
  const { done, state, before, created, mounts } = taken
  return { host: link.host.name, done, state, before, created, mounts, chunks, bytes, from }
}

function lacksBase(host: string, { layer, base }: Sending, { bases }: LayerAnswer): Failure {
  if (bases === null) return new Failure('SVS_HOST_LAYER', host, layer)
  const here = bases.map((digest) => digest.slice(0, 16)).join(', ')
  return new Failure('SVS_HOST_BASE', host, base.slice(0, 16), layer, here)
}

function mustRead(host: string, { codecs }: LayerAnswer, parcel: Parcel): void {
  const unknown = parcel.codecs.find((codec) => !codecs.includes(codec))
  if (unknown !== undefined) throw new Failure('SVS_HOST_CODEC', host, unknown)
}

const NULL = z.null()
const NOTHING = { state: null, before: null, created: false, mounts: [] }

class Transfer {
  readonly #link: Link
  readonly #sending: Sending
  readonly #parcel: Parcel
  readonly #onProgress: (text: string) => void
  #chunks = 0
  #bytes = 0

  constructor(link: Link, sending: Sending, parcel: Parcel, onProgress: (text: string) => void) {
    this.#link = link
    this.#sending = sending
    this.#parcel = parcel
    this.#onProgress = onProgress
  }

  async run() {
    const { layer, take } = this.#sending
    const params = { layer, payload: this.#parcel.payload, ...take }
    for (let attempt = 1; ; attempt++) {
      for (let next = await this.#offer(); next.wanted.length > 0; ) next = await this.#send(next)
      this.#onProgress('checking and switching')
      const taken = await this.#link.ask({ ask: 'take', params }, takenAnswer)
      if (taken.done !== 'wanted') return { taken, chunks: this.#chunks, bytes: this.#bytes }
      if (attempt === ATTEMPTS)
        throw new Failure('SVS_HOST_LOST', this.#link.host.name, 'it loses what it was sent')
    }
  }

  /** Sends the lists alone, by which the host knows what else it lacks, and has it forget them. */
  async rehearse() {
    const first = await this.#offer()
    // Where lists are wanted, the answer to them says what else is.
    const lists = first.wanted.length > 0 ? await this.#send(first) : first
    await this.#link.ask({ ask: 'drop', params: {} }, NULL)
    const chunks = this.#chunks + lists.chunks
    return {
      taken: { done: 'would' as const, ...NOTHING },
      chunks,
      bytes: this.#bytes + lists.bytes,
    }
  }

  #offer(): Promise<Wanted> {
    const { layer, take } = this.#sending
    const { payload, texts } = this.#parcel
    const { manifest, signature } = texts
    const all = [...cut(manifest), ...cut(signature)]
    const params = {
      layer,
      payload,
      manifest: manifest.length,
      signature: signature.length,
      allowUnsigned: take.allowUnsigned,
    }
    return this.#link.ask({ ask: 'offer', params }, wantedAnswer, {
      count: all.length,
      each: each(all),
    })
  }

  async #send({ wanted, chunks, bytes }: Wanted): Promise<Wanted> {
    const { chunks: known } = this.#parcel
    const unknown = wanted.find((id) => !Object.hasOwn(known, id))
    if (unknown !== undefined)
      throw new Failure(
        'SVS_HOST_LOST',
        this.#link.host.name,
        'it asks for what it was not offered',
      )
    const before = this.#bytes
    const pieces = this.#read(wanted, () => {
      const done = Math.floor(((this.#bytes - before) / Math.max(1, bytes)) * 100)
      this.#onProgress(`sending ${chunks} chunks, ${Math.min(100, done)} %`)
    })
    const ask = { ask: 'pieces', params: {} }
    return this.#link.ask(ask, wantedAnswer, { count: wanted.length, each: pieces })
  }

  async *#read(ids: readonly string[], onSent: () => void): AsyncGenerator<Buffer> {
    for (const id of ids) {
      const bytes = await this.#parcel.chunk(id)
      this.#chunks += 1
      this.#bytes += bytes.length
      yield bytes
      onSent()
    }
  }
}

function* cut(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += LARGEST_PIECE)
    yield bytes.subarray(at, at + LARGEST_PIECE)
}

async function* each(all: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* all
}
