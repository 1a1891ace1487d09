// What a frozen image keeps of one large file: the pages that changed since, and no others.
//
//   file at the instant   ABCDEFGH░░░░IJ       map-<ino>      1,1 @0   4,2 @4096   12,1 @12288
//   file now              A1CD23GH░░░░4        blocks-<ino>   B EF I
//
// A write preserves the blocks that it touches at once. What is cut off, punched or copied over in
// one go may be gigabytes: then an io thread copies them first (`ahead`), while other requests go
// on; a page that changes meanwhile is preserved on its own, and that counts.
//
// Rule: a page is on record before it changes, once. The format stands in lib/layer/block-log.ts.

import { ERRNO, Errno } from '../base/errno.ts'
import type { Job } from '../fuse/filesystem.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { must, O, sys } from '../host/sys.ts'
import { BULK, decodeRecords, encodeRecord, HOLE, PAGE, RECORD } from '../layer/block-log.ts'
import { BlockMap } from './block-map.ts'
import type { Budget } from './freeze-budget.ts'

/** Up to this many bytes a request is not put aside for. */
const AT_ONCE = 1024 * 1024
/** Bytes that are copied in one piece. */
const PIECE = 1024 * 1024
/** Longest time that the end of a copy is waited for; a disk that hangs keeps nobody. */
const LONGEST_MS = 10_000

interface Bulk {
  readonly job: Job
  readonly from: number
  readonly to: number
  /** First page and the one after the last, of each stretch. */
  readonly runs: readonly number[]
}

let piece: Buffer | null = null
const record = Buffer.alloc(RECORD)

export class PreservedBlocks {
  readonly ino: number
  /** Bytes of the file at the instant. */
  readonly size: number
  readonly #area: number
  readonly #budget: Budget
  readonly #map = new BlockMap()
  #pages = 0
  #records = 0
  #open: { readonly map: number; readonly blocks: number } | null = null
  #bulk: Bulk | null = null
  static #jobs = 0

  constructor(area: number, ino: number, size: number, budget: Budget) {
    this.#area = area
    this.ino = ino
    this.size = size
    this.#budget = budget
  }

  /** Takes over what an earlier process preserved. Throws Errno. */
  recall(): void {
    const fd = sys.openat(this.#area, `map-${this.ino}`, O.RDONLY | O.NOFOLLOW)
    if (fd === -ERRNO.ENOENT) return
    must(fd, 'freeze')
    try {
      const end = must(sys.lseek(fd, 0, 2), 'freeze')
      const bytes = Buffer.alloc(end)
      if (must(sys.pread(fd, bytes, end, 0), 'freeze') !== end) throw damaged()
      for (const { page, count, at } of decodeRecords(bytes) ?? []) {
        this.#map.add(page, page + count)
        if (at >= 0) this.#pages = Math.max(this.#pages, at / PAGE + count)
      }
      this.#records = Math.floor(end / RECORD)
    } finally {
      sys.close(fd)
    }
  }

  /** Preserves what bytes [from, to) touch. `fd` can be read. Throws Errno. */
  preserve(fd: number, from: number, to: number, block: number): void {
    for (const { first, last } of this.#missing(from, to, block)) this.#copy(fd, first, last)
  }

  /** Stretches of pages that bytes [from, to) touch, in whole blocks, and that are not preserved. */
  *#missing(from: number, to: number, block: number): Generator<{ first: number; last: number }> {
    const pages = block / PAGE
    const all = Math.ceil(this.size / PAGE)
    const end = Math.min(all, Math.ceil(Math.min(to, this.size) / block) * pages)
    let at = Math.floor(from / block) * pages
    while (at < end) {
      const first = this.#map.next(at, end, false)
      if (first >= end) return
      const last = this.#map.next(first, end, true)
      yield { first, last }
      at = last
    }
  }

  #copy(fd: number, first: number, last: number): void {
    const end = Math.min(last * PAGE, this.size)
    for (let page = first; page < last; ) {
      const data = nextData(fd, page * PAGE, end)
      const start = data >= end ? last : Math.max(page, Math.floor(data / PAGE))
      if (start > page) this.#note(page, start - page, HOLE)
      if (start === last) return
      const hole = nextHole(fd, Math.max(data, page * PAGE), end)
      page = hole >= end ? last : Math.max(Math.ceil(hole / PAGE), start + 1)
      this.#copyData(fd, start, page)
    }
  }

  #copyData(fd: number, first: number, last: number): void {
    piece ??= Buffer.allocUnsafeSlow(PIECE)
    const { blocks } = this.#files()
    for (let page = first; page < last; ) {
      const count = Math.min(last - page, PIECE / PAGE)
      const length = count * PAGE
      // What lies beyond the end, where the file was cut since, is on record already.
      const got = must(sys.pread(fd, piece, length, page * PAGE), 'freeze')
      if (got < length) piece.fill(0, got, length)
      this.#budget.take(length)
      const at = this.#pages * PAGE
      const done = must(sys.pwrite(blocks, piece, length, at), 'freeze')
      if (done !== length) throw new Errno(ERRNO.ENOSPC, 'freeze')
      this.#pages += count
      this.#note(page, count, at)
      page += count
    }
  }

  #note(page: number, count: number, at: number): void {
    encodeRecord(record, { page, count, at })
    this.#budget.grow(this.#records * RECORD, RECORD)
    const done = must(
      sys.pwrite(this.#files().map, record, RECORD, this.#records * RECORD),
      'freeze',
    )
    if (done !== RECORD) throw new Errno(ERRNO.ENOSPC, 'freeze')
    this.#records += 1
    this.#map.add(page, page + count)
  }

  #files(): { readonly map: number; readonly blocks: number } {
    if (this.#open !== null) return this.#open
    const blocks = this.#create('blocks')
    const map = sys.openat(this.#area, `map-${this.ino}`, O.RDWR | O.CREAT | O.NOFOLLOW, 0o600)
    if (map < 0) sys.close(blocks)
    this.#open = { map: must(map, 'freeze'), blocks }
    return this.#open
  }

  #create(kind: string): number {
    const name = `${kind}-${this.ino}`
    return must(sys.openat(this.#area, name, O.RDWR | O.CREAT | O.NOFOLLOW, 0o600), 'freeze')
  }

  /** Whether descriptors of its files are open. */
  get isOpen(): boolean {
    return this.#open !== null
  }

  /** Closes its files until they are needed again. */
  rest(): void {
    if (this.#open === null) return
    sys.close(this.#open.map)
    sys.close(this.#open.blocks)
    this.#open = null
  }

  /**
   * What is to be done, by an io thread, before bytes [from, to) change; null where `preserve` does it
   * in no time. `fd` can be read. Throws Errno.
   */
  ahead(fd: number, from: number, to: number, block: number): Job | null {
    const { bulk } = this.#collected()
    if (bulk !== null) return bulk.job
    const runs: number[] = []
    let bytes = 0
    for (const { first, last } of this.#missing(from, to, block)) {
      runs.push(first, last)
      bytes += this.#dataWithin(fd, first, last, AT_ONCE - bytes)
    }
    if (bytes <= AT_ONCE) return null
    return this.#begin(fd, runs)
  }

  // How many bytes of data there are; no more than `enough` and some are counted.
  #dataWithin(fd: number, first: number, last: number, enough: number): number {
    const end = Math.min(last * PAGE, this.size)
    let bytes = 0
    for (let at = first * PAGE; at < end && bytes <= enough; ) {
      const data = nextData(fd, at, end)
      if (data >= end) break
      at = nextHole(fd, data, end)
      bytes += at - data
    }
    return bytes
  }

  #begin(fd: number, runs: readonly number[]): Job | null {
    for (let i = 0; i < runs.length; i += 2) {
      const [first, last] = [runs[i]!, runs[i + 1]!]
      this.#budget.take(this.#dataWithin(fd, first, last, Number.POSITIVE_INFINITY))
    }
    const to = this.#create('bulk')
    const isNew = sys.lseek(to, 0, 2) === 0
    if (isNew && sys.clone(to, fd) === 0) {
      sys.close(to)
      for (let i = 0; i < runs.length; i += 2) this.#note(runs[i]!, runs[i + 1]! - runs[i]!, BULK)
      return null
    }
    const from = sys.dup(fd)
    if (from < 0) sys.close(to)
    must(from, 'freeze')
    const bytes = runs.map((page) => Math.min(page * PAGE, this.size))
    const state = new Int32Array(new SharedArrayBuffer(8))
    const work = { kind: 'fill', from, to, runs: bytes, flush: false, state } as const
    // Below the numbers that anything else's jobs have.
    const job: Job = { id: -(2 ** 44) - ++PreservedBlocks.#jobs, error: 0, done: false, ...work }
    this.#bulk = { job, from, to, runs }
    return job
  }

  // Takes in a copy that is done: what was preserved alone meanwhile stays as that is.
  #collected(): { readonly bulk: Bulk | null } {
    const bulk = this.#bulk
    if (bulk === null || !bulk.job.done) return { bulk }
    this.#bulk = null
    sys.close(bulk.from)
    sys.close(bulk.to)
    const { error } = bulk.job
    if (error !== 0 && error !== ERRNO.ECANCELED) throw new Errno(error, 'freeze')
    for (let i = 0; error === 0 && i < bulk.runs.length; i += 2) {
      const [from, to] = [bulk.runs[i]! * PAGE, bulk.runs[i + 1]! * PAGE]
      for (const { first, last } of [...this.#missing(from, to, PAGE)]) {
        this.#note(first, last - first, BULK)
      }
    }
    return { bulk: null }
  }

  /** From here on nobody copies anything. It may wait for some milliseconds. */
  close(): void {
    this.rest()
    const bulk = this.#bulk
    if (bulk === null) return
    this.#bulk = null
    const { job } = bulk
    if (!job.done && job.kind === 'fill') {
      Atomics.store(job.state, 1, 1)
      Atomics.wait(job.state, 0, 0, LONGEST_MS)
    }
    sys.close(bulk.from)
    sys.close(bulk.to)
  }
}

const damaged = (): Errno => new Errno(ERRNO.EIO, 'freeze')
