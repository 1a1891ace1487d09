// Bringing a blob into a registry.
//
//   POST uploads/?mount=…&from=…   ─▶ 201: another repository of the registry had it
//   small   POST ─▶ PUT …digest=   all at once
//   large   POST ─▶ PATCH ─▶ PUT   where it is cut: GET says how far it came, PATCH goes on from there
//
// Rule: what was sent counts when the registry has held it against the digest (201).

import { setTimeout as sleep } from 'node:timers/promises'
import type { Failure } from '../base/failure.ts'
import type { Asked } from './asker.ts'
import { isPassing } from './blobs.ts'
import { type Answer, elsewhere, invalid } from './http.ts'
import type { Blob } from './repository.ts'

export interface Uploading {
  readonly uploads: URL
  ask(url: URL, asked: Asked, mount?: string | null): Promise<Answer>
  refused(answer: Answer): Promise<Failure>
  /** Blobs above so many bytes can be gone on with. */
  readonly resumable: number
}

const ATTEMPTS = 5
const FIRST_PAUSE_MS = 100
const STREAM = { 'content-type': 'application/octet-stream' }

export async function upload(to: Uploading, blob: Blob): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const session = await begin(to)
      if (blob.size <= to.resumable) await finish(to, session, blob, 0)
      else await finish(to, await sendAll(to, session, blob), blob, blob.size)
      return
    } catch (err) {
      if (!isPassing(err) || attempt === ATTEMPTS) throw err
      await sleep(FIRST_PAUSE_MS * 2 ** attempt)
    }
  }
}

/** Has the registry take the blob out of another repository of its own. */
export async function mount(to: Uploading, digest: string, from: string): Promise<boolean> {
  const url = new URL(to.uploads)
  url.searchParams.set('mount', digest)
  url.searchParams.set('from', from)
  const answer = await to.ask(url, { method: 'POST' }, from)
  await answer.skip()
  if (answer.status === 202) await abandon(to, answer)
  // Whatever it says against it: the bytes are sent instead.
  return answer.status === 201
}

// The registry has begun an upload instead of mounting.
async function abandon(to: Uploading, answer: Answer): Promise<void> {
  const location = answer.header('location')
  if (location === null) return
  const ended = await to.ask(elsewhere(answer.url, location), { method: 'DELETE' })
  await ended.skip()
}

async function begin(to: Uploading): Promise<URL> {
  const answer = await to.ask(to.uploads, { method: 'POST' })
  return sessionOf(to, answer, 202)
}

/** Sends the bytes by PATCH, and goes on where the line was cut. Answers where to end it. */
async function sendAll(to: Uploading, begun: URL, blob: Blob): Promise<URL> {
  let session = begun
  let from = 0
  for (let attempt = 1; ; attempt++) {
    try {
      const start = from
      const range = start === 0 ? {} : { 'content-range': `${start}-${blob.size - 1}` }
      const headers = { ...STREAM, ...range, 'content-length': String(blob.size - start) }
      const body = () => blob.read(start)
      return await sessionOf(to, await to.ask(session, { method: 'PATCH', headers, body }), 202)
    } catch (err) {
      if (!isPassing(err) || attempt === ATTEMPTS) throw err
      await sleep(FIRST_PAUSE_MS * 2 ** attempt)
      const known = await progressOf(to, session)
      if (known.from > from) attempt = 1
      session = known.session
      from = known.from
    }
  }
}

/** How far an upload came. */
async function progressOf(to: Uploading, session: URL): Promise<{ session: URL; from: number }> {
  const answer = await to.ask(session, { method: 'GET' })
  const next = await sessionOf(to, answer, 204)
  const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.header('range') ?? '')
  const last = range === null ? 0 : Number(range[1])
  // `0-0` is said of nothing as well as of one byte: one byte is sent again then.
  return { session: next, from: last === 0 ? 0 : last + 1 }
}

async function finish(to: Uploading, session: URL, blob: Blob, from: number): Promise<void> {
  const url = new URL(session)
  url.searchParams.set('digest', blob.digest)
  const headers = { ...STREAM, 'content-length': String(blob.size - from) }
  const body = from === blob.size ? () => Buffer.alloc(0) : () => blob.read(from)
  const answer = await to.ask(url, { method: 'PUT', headers, body })
  if (answer.status !== 201) throw await to.refused(answer)
  await answer.skip()
}

async function sessionOf(to: Uploading, answer: Answer, status: number): Promise<URL> {
  if (answer.status !== status) throw await to.refused(answer)
  const location = answer.header('location')
  await answer.skip()
  if (location === null) throw invalid(answer.url, 'an upload that is nowhere')
  return elsewhere(answer.url, location)
}
