// Which stretches of new bytes are like stretches of old ones, though many a byte in them
// differs: the alignment that a patch (patch.ts) is made from.
//
//   old bytes ─▶ table: hash of 8 bytes ─▶ last place
//   new bytes ─▶ place by place: does another alignment match clearly better than the one that holds?
//
// The idea is Colin Percival's ("Naive differences of executable code"), with a hash table where
// bsdiff has a suffix array.
//
// Rule: one look at the table for a place, each with a bounded comparison, and a run of one
// pattern stands in the table once: so zeros without end cost no more than anything else.

/** `like` bytes that resemble the old ones at `from`, then `fresh` ones that do not. */
export interface Alignment {
  readonly from: number
  readonly like: number
  readonly fresh: number
}

/** Bytes that are looked up. */
const WIDTH = 8
const LARGEST_TABLE = 2 ** 23
/** An alignment must explain so many bytes more than the one that holds. */
const BETTER_BY = 8
/** A match is followed so far, and may go on in the next. */
const FARTHEST = 64 * 1024
/** With so many equal bytes ahead nothing better is looked for. */
const SURE = 16
/** Of so many bytes so many must be equal for an alignment to be left unquestioned. */
const GLANCE = 24
const AGREES = 14
/** Old bytes are in the table at every place that is a multiple of this, or of more. */
const STEP = 3

export function align(old: Buffer, made: Buffer): Alignment[] {
  return new Aligner(old, made).run()
}

class Aligner {
  readonly #old: Buffer
  readonly #made: Buffer
  readonly #view: DataView
  readonly #table: Int32Array
  readonly #shift: number
  readonly #found: Alignment[] = []
  /** Where the alignment that holds begins, in the new and in the old. */
  #start = 0
  #from = 0
  /** The match that was looked at last: its distance, and where it ends in the new. */
  #matchBy = 0
  #matchEnd = 0

  constructor(old: Buffer, made: Buffer) {
    this.#old = old
    this.#made = made
    this.#view = viewOf(made)
    const { table, shift } = tableOf(old)
    this.#table = table
    this.#shift = shift
  }

  run(): Alignment[] {
    const { length } = this.#made
    let at = 0
    while (at < length) {
      const match = this.#nextMatch(at)
      if (match === null) break
      this.#switchTo(match.at, match.from)
      at = match.at + match.length
    }
    this.#end(length)
    return this.#found
  }

  /** The next place where another alignment is clearly better than the one that holds. */
  #nextMatch(first: number): { at: number; from: number; length: number } | null {
    const made = this.#made
    const old = this.#old
    const by = this.#from - this.#start
    const last = made.length - WIDTH
    // Equal bytes of the alignment that holds, between `at` and `counted`.
    let equal = 0
    let counted = first
    for (let at = first; at <= last; at++) {
      const ahead = this.#equalAhead(at, by, SURE)
      if (ahead >= SURE) {
        at += this.#equalAhead(at, by, FARTHEST) - 1
        counted = at + 1
        equal = 0
        continue
      }
      if (this.#agrees(at, by)) {
        // An address that differs, most likely.
        at += 3
        counted = at + 1
        equal = 0
        continue
      }
      const length = this.#lookUp(at)
      for (const end = at + length; counted < end; counted++)
        if (old[counted + by] === made[counted]) equal += 1
      if (length > equal + BETTER_BY) return { at, from: at + this.#matchBy, length }
      if (at >= counted) counted = at + 1
      else if (old[at + by] === made[at]) equal -= 1
    }
    return null
  }

  /** True where the alignment that holds explains most of the next bytes. */
  #agrees(at: number, by: number): boolean {
    const [old, made] = [this.#old, this.#made]
    if (at + by < 0 || at + by + GLANCE > old.length || at + GLANCE > made.length) return false
    let equal = 0
    for (let to = at; to < at + GLANCE; to++) if (made[to] === old[to + by]) equal += 1
    return equal >= AGREES
  }

  #equalAhead(at: number, by: number, most: number): number {
    const [old, made] = [this.#old, this.#made]
    const end = Math.min(made.length, old.length - by, at + most)
    if (at + by < 0) return 0
    let to = at
    while (to < end && made[to] === old[to + by]) to += 1
    return to - at
  }

  /** How many bytes match what the table knows; its distance is left in #matchBy. */
  #lookUp(at: number): number {
    const from = this.#table[hashAt(this.#view, at, this.#shift)]! - 1
    // What was followed from the place before need not be followed again.
    if (from < 0 || from - at === this.#matchBy) return Math.max(0, this.#matchEnd - at)
    const length = this.#equalAhead(at, from - at, FARTHEST)
    if (length < WIDTH || length < this.#matchEnd - at) return Math.max(0, this.#matchEnd - at)
    this.#matchBy = from - at
    this.#matchEnd = at + length
    return length
  }

  // The old alignment is followed forward, the new one backward, and they meet where most bytes agree.
  #switchTo(at: number, from: number): void {
    const forward = this.#forward(at)
    const backward = this.#backward(at, from, at - this.#start)
    const room = at - this.#start
    const overlap = Math.max(0, forward + backward - room)
    const like = overlap === 0 ? forward : this.#meet(at, from, forward, backward, overlap)
    const back = overlap === 0 ? backward : room - like
    this.#push(this.#from, like, room - like - back)
    this.#start = at - back
    this.#from = from - back
  }

  #push(from: number, like: number, fresh: number): void {
    if (like > 0 || fresh > 0) this.#found.push({ from, like, fresh })
  }

  /** How far the alignment that holds is worth following, where at least half of it agrees. */
  #forward(limit: number): number {
    const [old, made, start, from] = [this.#old, this.#made, this.#start, this.#from]
    const most = Math.min(limit - start, old.length - from)
    let [score, best, length] = [0, 0, 0]
    for (let done = 0; done < most; done++) {
      score += made[start + done] === old[from + done] ? 1 : -1
      if (score <= best) continue
      best = score
      length = done + 1
    }
    return length
  }

  #backward(at: number, from: number, most: number): number {
    const [old, made] = [this.#old, this.#made]
    let [score, best, length] = [0, 0, 0]
    for (let done = 1; done <= most && done <= from; done++) {
      score += made[at - done] === old[from - done] ? 1 : -1
      // Nothing so far back makes up for it.
      if (score < best - FARTHEST_BACK) break
      if (score <= best) continue
      best = score
      length = done
    }
    return length
  }

  /** Where in the overlap the one is better left for the other; counted from the start. */
  #meet(at: number, from: number, forward: number, backward: number, overlap: number): number {
    const [old, made] = [this.#old, this.#made]
    const begin = forward - overlap
    let [score, best, length] = [0, 0, begin]
    for (let done = 0; done < overlap; done++) {
      const byte = made[this.#start + begin + done]
      if (byte === old[this.#from + begin + done]) score += 1
      if (byte === old[from - backward + done]) score -= 1
      if (score <= best) continue
      best = score
      length = begin + done + 1
    }
    void at
    return length
  }

  #end(length: number): void {
    const like = this.#forward(length)
    this.#push(this.#from, like, length - this.#start - like)
  }
}

/** Disagreeing bytes after which an alignment is followed back no farther. */
const FARTHEST_BACK = 256

const viewOf = (bytes: Buffer): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

function tableOf(old: Buffer): { table: Int32Array; shift: number } {
  let size = 1024
  while (size < (old.length / STEP) * 2 && size < LARGEST_TABLE) size *= 2
  const shift = 32 - Math.log2(size)
  const table = new Int32Array(size)
  const view = viewOf(old)
  const step = Math.max(STEP, Math.ceil(old.length / LARGEST_TABLE))
  let before = -1
  for (let at = 0; at <= old.length - WIDTH; at += step) {
    const slot = hashAt(view, at, shift)
    // A run of one pattern is known by its begin.
    if (slot !== before) table[slot] = at + 1
    before = slot
  }
  return { table, shift }
}

function hashAt(view: DataView, at: number, shift: number): number {
  const a = Math.imul(view.getInt32(at, true), 0x9e3779b1)
  const b = Math.imul(view.getInt32(at + 4, true) ^ (a >>> 15), 0x85ebca6b)
  return Math.imul(a ^ b ^ (b >>> 13), 0xc2b2ae35) >>> shift
}
