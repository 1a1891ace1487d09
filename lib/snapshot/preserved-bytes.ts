// The bytes of a large file at the instant of a freeze: what was preserved of them covers what
// the file has now. The format stands in lib/layer/block-log.ts.
//
//   file now     A1CD23GH░░░░4
//   preserved    ░B░░EF░░░░░░I        B, E, F and I count, and so does a hole that was preserved
//   the image    ABCDEFGH░░░░I
//
// Rule: the file is read first, then the map; what is not in the map by then had not changed.

import { ERRNO, Errno } from '../base/errno.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { must, O, sys } from '../host/sys.ts'
import { BULK, decodeRecords, HOLE, PAGE, type PagesRecord, RECORD } from '../layer/block-log.ts'

const SEEK_END = 2

export class PreservedBytes {
  readonly #area: number
  readonly #ino: number
  readonly #map: number
  #read = 0
  /** By page; no two have one in common. */
  #records: PagesRecord[] = []
  readonly #files = new Map<string, number>()

  /** `map` is closed with it. */
  constructor(map: number, area: number, ino: number) {
    this.#map = map
    this.#area = area
    this.#ino = ino
  }

  /**
   * Puts what was preserved over the first `got` bytes of `into`, which the file has from `offset` on.
   * Answers up to where `into` is filled now.
   */
  cover(into: Buffer, offset: number, got: number): number {
    this.#refresh()
    const end = offset + into.length
    let known = offset + got
    for (let i = this.#firstBehind(offset); i < this.#records.length; i++) {
      const record = this.#records[i]!
      const start = Math.max(record.page * PAGE, offset)
      const until = Math.min((record.page + record.count) * PAGE, end)
      if (start >= end) break
      this.#fill(record, into.subarray(start - offset, until - offset), start)
      if (start <= known) known = Math.max(known, until)
    }
    return known - offset
  }

  /** The holes at the instant, where the file has these now. */
  holes(live: readonly number[], size: number): number[] {
    this.#refresh()
    const found: number[] = []
    const add = (from: number, to: number) => {
      if (to <= from) return
      const last = found.length - 2
      if (last >= 0 && found[last]! + found[last + 1]! === from) found[last + 1]! += to - from
      else found.push(from, to - from)
    }
    let next = 0
    const addLive = (from: number, to: number) => {
      while (next < live.length && live[next]! + live[next + 1]! <= from) next += 2
      for (let at = next; at < live.length && live[at]! < to; at += 2)
        add(Math.max(from, live[at]!), Math.min(to, live[at]! + live[at + 1]!))
    }
    let at = 0
    for (const record of this.#records) {
      const start = record.page * PAGE
      const end = Math.min(start + record.count * PAGE, size)
      addLive(at, start)
      if (record.at === HOLE) add(start, end)
      if (record.at === BULK) this.#addHolesOfBulk(start, end, add)
      at = end
    }
    addLive(at, size)
    return found
  }

  close(): void {
    sys.close(this.#map)
    for (const fd of this.#files.values()) sys.close(fd)
  }

  #addHolesOfBulk(start: number, end: number, add: (from: number, to: number) => void): void {
    const fd = this.#file('bulk')
    for (let at = start; at < end; ) {
      const data = Math.min(nextData(fd, at, end), end)
      add(at, data)
      at = data >= end ? end : nextHole(fd, data, end)
    }
  }

  #fill({ page, at }: PagesRecord, into: Buffer, offset: number): void {
    if (at === HOLE) {
      into.fill(0)
      return
    }
    const fd = this.#file(at === BULK ? 'bulk' : 'blocks')
    const from = at === BULK ? offset : at + offset - page * PAGE
    for (let done = 0; done < into.length; ) {
      const rest = into.subarray(done)
      const count = must(sys.pread(fd, rest, rest.length, from + done), 'preserved blocks')
      // A hole at the end of what was copied.
      if (count === 0 && at === BULK) rest.fill(0)
      if (count === 0 && at !== BULK) throw damaged()
      done += count || rest.length
    }
  }

  #file(kind: string): number {
    const known = this.#files.get(kind)
    if (known !== undefined) return known
    const name = `${kind}-${this.#ino}`
    const fd = must(sys.openat(this.#area, name, O.RDONLY | O.NOFOLLOW), name)
    this.#files.set(kind, fd)
    return fd
  }

  // The first record that ends behind `offset`.
  #firstBehind(offset: number): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { page, count } = this.#records[middle]!
      if ((page + count) * PAGE > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  #refresh(): void {
    const length = must(sys.lseek(this.#map, 0, SEEK_END), 'preserved blocks') - this.#read
    const whole = length - (length % RECORD)
    if (whole <= 0) return
    const bytes = Buffer.alloc(whole)
    const got = must(sys.pread(this.#map, bytes, whole, this.#read), 'preserved blocks')
    const records = got === whole ? decodeRecords(bytes) : null
    if (records === null) throw damaged()
    this.#read += whole
    this.#records = [...this.#records, ...records].sort((a, b) => a.page - b.page)
  }
}

const damaged = (): Errno => new Errno(ERRNO.EIO, 'preserved blocks')
