// The read-only part of a layer as an archive brings it: its names as lines, and how to make its files.
//
//   tree ─▶ scan (a snapshot thread) ─▶ chunks ─▶ a nameless file
//   index ─▶ what the disk could not hold     └▶ lines
//
// Rule: the same tree makes the same lines and chunks on every machine: nothing of them comes from what
// reading changes, or from this store.

import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { ownPrefix } from '../layer/marks.ts'
import { Below, type BelowIndex } from '../snapshot/below.ts'
import { Damage, type Depot } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import type { Content, Entry, Kind } from '../snapshot/records.ts'
import { runJob } from '../snapshot/thread.ts'
import { readTree } from '../snapshot/tree.ts'
import { Closure } from './closure.ts'
import { lineOf } from './entry-lines.ts'
import { LineCutter, type Lines } from './lists.ts'

export interface BaseOut {
  readonly lines: Lines
  readonly contents: ReadonlyMap<string, Content>
  readonly chunks: ReadonlySet<string>
  readonly kinds: readonly Kind[]
  chunk(id: string): Promise<Buffer | null>
}

/** Chunks in a file that nobody else sees, contents in memory. */
class Spool implements Depot {
  readonly #fd: number
  readonly #chunks = new Map<string, { at: number; length: number }>()
  readonly #contents = new Map<string, Content>()
  #end = 0

  constructor(dir: string) {
    const path = join(dir, `export-${randomBytes(6).toString('hex')}`)
    this.#fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
  }

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    if (this.#chunks.has(id)) return
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#end + done)
    this.#chunks.set(id, { at: this.#end, length: bytes.length })
    this.#end += bytes.length
  }

  async chunk(id: string): Promise<Buffer | null> {
    const place = this.#chunks.get(id)
    if (place === undefined) return null
    const bytes = Buffer.allocUnsafeSlow(place.length)
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#fd, bytes, done, bytes.length - done, place.at + done)
      if (read === 0) throw new Damage('what was written for the archive is gone')
      done += read
    }
    return bytes
  }

  async content(_scope: string, id: string): Promise<Content | null> {
    return this.#contents.get(id) ?? null
  }

  async putContent(_scope: string, id: string, content: Content): Promise<void> {
    this.#contents.set(id, content)
  }

  close(): void {
    closeSync(this.#fd)
  }
}

export interface PackOptions {
  /** Absolute, internal: the tree, and its index. */
  readonly tree: string
  readonly index: BelowIndex
  /** A directory on a disk with room, as Node takes it. */
  readonly temporary: string
  readonly onProgress: (text: string) => void
}

/** Packs a read-only part, has it used, and lets it go. */
export async function withBase<T>(
  options: PackOptions,
  use: (base: BaseOut) => Promise<T>,
): Promise<T> {
  const spool = new Spool(options.temporary)
  try {
    return await use(await pack(options, spool))
  } finally {
    spool.close()
  }
}

async function pack({ tree, index, onProgress }: PackOptions, spool: Spool): Promise<BaseOut> {
  const job = {
    dirs: { rw: tree, ro: [], numbers: null, area: null },
    prefix: ownPrefix(),
    ro: [],
    scope: '',
    parent: null,
    parentScope: '',
    changed: null,
  }
  const { pieces } = await runJob('scan', job, spool, ({ entries }) =>
    onProgress(`packed ${entries} names of the read-only part`),
  )
  const below = new Below(tree, index)
  const closure = new Closure(spool, '')
  const lines = new LineCutter()
  const kinds = new Set<Kind>()
  const pace = new Pace()
  try {
    for await (const { entry } of readTree(spool, pieces)) {
      const whole = entryOf(entry, below)
      kinds.add(whole.kind)
      lines.add(lineOf(whole, { tag: 0, version: 0 }))
      if (whole.content !== undefined) await closure.add(whole.content)
      await pace.breathe()
    }
  } finally {
    below.close()
  }
  return {
    lines: lines.end(),
    contents: closure.contents,
    chunks: closure.chunks,
    kinds: [...kinds],
    chunk: (id) => spool.chunk(id),
  }
}

// The index knows what the disk could not hold; the scan, what the file is made of.
function entryOf({ path, content, link, linked }: Entry, below: Below): Entry {
  const found = below.look(path)
  if (found === null) throw new Damage(`${path} is not in the read-only part any more`)
  const { entry } = found
  const { mtime: atime, mtimeNsec: atimeNsec } = entry
  return {
    ...entry,
    number: 0,
    atime,
    atimeNsec,
    ...(entry.kind === 'file' && content !== undefined ? { content } : {}),
    ...(link === undefined ? {} : { link }),
    ...(linked === undefined ? {} : { linked }),
  }
}
