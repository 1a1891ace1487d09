// What has come of an archive from another machine, until it is taken: so that a link that was cut
// goes on where it was.
//
//   <store>/incoming/<payload>/manifest, signature     as they lie in the archive
//                              pack                    [sha256][length u32][bytes] …
//   <store>/incoming/<sha256 of a layer's name>.lock   held by who deploys that layer
//
// Rule: nothing here counts. What was written when a machine stopped is held against its digest when it
// is read again, and the rest is asked for anew; after a week without a change it is removed.

import { createHash, hash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { ERRNO, Errno } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { sys } from '../host/sys.ts'
import { LARGEST_PIECE } from './frames.ts'

const HEAD = 32 + 4
const KEPT_MS = 7 * 24 * 3600 * 1000
const EXCLUSIVE_NOW = 2 | 4

interface Place {
  readonly at: number
  readonly length: number
}

/** The parts of one archive. `close` in any case. */
export class Incoming {
  readonly dir: string
  readonly #fd: number
  readonly #places = new Map<string, Place>()
  #end = 0

  /** Goes on where it was left, or begins. `known`: it was held against its digests a moment ago. */
  constructor(incoming: string, payload: string, known = false) {
    this.dir = join(incoming, payload)
    mkdirSync(this.dir, { recursive: true, mode: 0o700 })
    this.#fd = openSync(
      join(this.dir, 'pack'),
      existsSync(join(this.dir, 'pack')) ? 'r+' : 'wx+',
      0o600,
    )
    if (known) this.#list()
    else this.#load()
  }

  static isThere(incoming: string, payload: string): boolean {
    return existsSync(join(incoming, payload, 'manifest'))
  }

  setTexts(manifest: Buffer, signature: Buffer): void {
    writeFileSync(join(this.dir, 'manifest'), manifest, { mode: 0o600 })
    writeFileSync(join(this.dir, 'signature'), signature, { mode: 0o600 })
  }

  text(which: 'manifest' | 'signature'): Buffer {
    return readFileSync(join(this.dir, which))
  }

  has(id: string): boolean {
    return this.#places.has(id)
  }

  lengthOf(id: string): number {
    return this.#places.get(id)?.length ?? 0
  }

  /** Bytes of all chunks. */
  get size(): number {
    return this.#end
  }

  /** Keeps a chunk. Answers its name. */
  put(bytes: Buffer): string {
    const digest = createHash('sha256').update(bytes).digest()
    const id = digest.toString('hex')
    if (this.#places.has(id)) return id
    const head = Buffer.alloc(HEAD)
    digest.copy(head)
    head.writeUInt32BE(bytes.length, 32)
    const record = Buffer.concat([head, bytes])
    for (let done = 0; done < record.length; )
      done += writeSync(this.#fd, record, done, record.length - done, this.#end + done)
    this.#places.set(id, { at: this.#end + HEAD, length: bytes.length })
    this.#end += record.length
    return id
  }

  chunk(id: string): Buffer | null {
    const place = this.#places.get(id)
    if (place === undefined) return null
    // Its own memory: chunks travel to threads by giving it away.
    const bytes = Buffer.allocUnsafeSlow(place.length)
    return this.#fill(bytes, place.at) ? bytes : null
  }

  close(): void {
    closeSync(this.#fd)
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  #list(): void {
    const head = Buffer.alloc(HEAD)
    while (this.#fill(head, this.#end)) {
      const length = head.readUInt32BE(32)
      this.#places.set(head.toString('hex', 0, 32), { at: this.#end + HEAD, length })
      this.#end += HEAD + length
    }
  }

  // What does not fit its digest, and what comes after it, was being written when somebody stopped.
  #load(): void {
    const head = Buffer.alloc(HEAD)
    while (this.#fill(head, this.#end)) {
      const length = head.readUInt32BE(32)
      if (length > LARGEST_PIECE) break
      const bytes = Buffer.alloc(length)
      if (!this.#fill(bytes, this.#end + HEAD)) break
      const id = hash('sha256', bytes)
      if (id !== head.toString('hex', 0, 32)) break
      this.#places.set(id, { at: this.#end + HEAD, length })
      this.#end += HEAD + length
    }
    ftruncateSync(this.#fd, this.#end)
  }

  #fill(bytes: Buffer, at: number): boolean {
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#fd, bytes, done, bytes.length - done, at + done)
      if (read === 0) return false
      done += read
    }
    return true
  }
}

/** Names of what nobody went on with. */
export function oldOf(incoming: string, now = Date.now()): string[] {
  if (!existsSync(incoming)) return []
  return readdirSync(incoming).filter((name) => {
    const path = join(incoming, name)
    const pack = name.includes('.') ? path : join(path, 'pack')
    const { mtimeMs = now } =
      statSync(pack, { throwIfNoEntry: false }) ?? statSync(path, { throwIfNoEntry: false }) ?? {}
    // A lock that is held was opened a moment ago; one that goes is made anew.
    return mtimeMs < now - KEPT_MS
  })
}

/** Removes that. */
export function dropOld(incoming: string, now = Date.now()): void {
  for (const name of oldOf(incoming, now))
    rmSync(join(incoming, name), { recursive: true, force: true })
}

/** Takes a layer for one deployment; the kernel lets it go with the process. Throws SVS_DEPLOY_BUSY. */
export function lockLayer(incoming: string, layer: string): () => void {
  mkdirSync(incoming, { recursive: true, mode: 0o700 })
  const fd = openSync(join(incoming, `${hash('sha256', layer)}.lock`), 'w', 0o600)
  const taken = sys.flock(fd, EXCLUSIVE_NOW)
  if (taken >= 0) {
    futimesSync(fd, new Date(), new Date())
    return () => closeSync(fd)
  }
  closeSync(fd)
  if (taken !== -ERRNO.EAGAIN) throw new Errno(-taken, 'flock')
  throw new Failure('SVS_DEPLOY_BUSY', layer)
}
