// What has the unsettled files of all branches follow in the background: one piece at a time, of
// one file after the other, at a bounded rate.
//
//   first write ─▶ add ─▶ pause ─▶ piece (io thread) ─▶ taken in ─▶ pause ─▶ piece … ─▶ settled
//   settle      ─▶ now ─────────▶ piece ─▶ piece …                                  ─▶ done
//
// Rule: between two pieces all requests that wait are served. What cannot be filled now (a full
// disk, a lower file that cannot be read) stays as it is, shows the same, and is tried again.

import { ERRNO, Errno } from '../base/errno.ts'
import type { Log } from '../base/log.ts'
import { baseName, parentPath, type RelPath, shown } from '../base/path.ts'
import type { Job } from '../fuse/filesystem.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { O, sys } from '../host/sys.ts'
import type { Blocks } from './blocks.ts'
import type { Branch } from './branch.ts'
import { openPlace } from './copy-up.ts'
import { openBacking } from './files.ts'
import type { Pool } from './pool.ts'
import type { LayerSpec } from './spec.ts'
import { View } from './view.ts'

const MIB = 1024 * 1024
/** MiB a second that follow in the background, where nothing else was said. */
const SETTLE_RATE = 32
/** One piece: whatever changes the file waits for it. */
const PIECE = MIB
/** Milliseconds for which a program writes undisturbed, first. */
const FIRST_PAUSE = 1000
/** Milliseconds after which what failed is tried again. */
const TRY_AGAIN = 30_000

const stat = new Stat()

interface Wish {
  readonly blocks: Blocks
  /** Told the errno it ended with, 0 for success. */
  readonly done: (error: number) => void
}

export class Settler {
  readonly #submit: (job: Job, done: (job: Job) => void) => void
  readonly #log: Log
  /** MiB a second in the background; 0: none. */
  #rate: number
  #waiting: Blocks[] = []
  #urgent: Wish[] = []
  /** True while a piece is under way. */
  #filling = false
  /** The pause that the next piece waits for; 0: none. */
  #pause = 0
  static #pauses = 0

  constructor(options: {
    submit: (job: Job, done: (job: Job) => void) => void
    log: Log
    rate?: number
  }) {
    this.#submit = options.submit
    this.#log = options.log
    this.#rate = options.rate ?? SETTLE_RATE
  }

  set rate(mib: number) {
    this.#rate = mib
    this.#next(0)
  }

  /** The file is to follow in the background. */
  add(blocks: Blocks): void {
    if (blocks.queued || blocks.settled) return
    blocks.queued = true
    this.#waiting.push(blocks)
    this.#next(FIRST_PAUSE)
  }

  /** The file is to be settled at once. */
  now(blocks: Blocks, done: (error: number) => void): void {
    this.#urgent.push({ blocks, done })
    this.#pause = 0
    this.#next(0)
  }

  get #isIdle(): boolean {
    return this.#urgent.length === 0 && (this.#waiting.length === 0 || this.#rate === 0)
  }

  // Also where nothing is to be waited for the loop is gone through first: requests come between.
  #next(milliseconds: number): void {
    if (this.#filling || this.#pause !== 0 || this.#isIdle) return
    const number = ++Settler.#pauses
    this.#pause = number
    this.#sleep(this.#urgent.length > 0 ? 0 : milliseconds, () => {
      if (this.#pause !== number) return
      this.#pause = 0
      this.#step()
    })
  }

  #sleep(milliseconds: number, then: () => void): void {
    // Below any number that a view's job, or a piece, has.
    const id = -(2 ** 40) - ++Settler.#pauses
    this.#submit({ id, error: 0, done: false, kind: 'pause', milliseconds }, then)
  }

  #step(): void {
    if (this.#filling || this.#isIdle) return
    const blocks = this.#urgent[0]?.blocks ?? this.#waiting[0]!
    const job = this.#begin(blocks)
    if (job === null) {
      this.#end(blocks)
      this.#next(0)
      return
    }
    this.#filling = true
    this.#submit(job, () => {
      this.#filling = false
      blocks.collect()
      // Somebody who waited for the same piece was killed: the next one goes on.
      const { error } = blocks
      if (blocks.settled || (error !== 0 && error !== ERRNO.ECANCELED)) this.#end(blocks)
      this.#next(this.#rate === 0 ? 0 : (PIECE / MIB / this.#rate) * 1000)
    })
  }

  // Null where there is nothing to do, or it cannot be done now.
  #begin(blocks: Blocks): Job | null {
    blocks.collect()
    blocks.error = 0
    if (blocks.settled) return null
    // What is left of it waits for its next mount.
    if (blocks.branch.closed) {
      blocks.error = ERRNO.ECANCELED
      return null
    }
    // Somebody waits for a piece, or for the whole, already.
    if (blocks.piece !== null) return blocks.piece.job
    try {
      return beginPiece(blocks, PIECE)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
      blocks.error = err.number
      return null
    }
  }

  #end(blocks: Blocks): void {
    const { error } = blocks
    const asked = this.#urgent.filter((one) => one.blocks === blocks)
    this.#urgent = this.#urgent.filter((one) => one.blocks !== blocks)
    this.#waiting = this.#waiting.filter((one) => one !== blocks)
    blocks.queued = false
    if (error !== 0 && error !== ERRNO.ECANCELED) {
      this.#log.warn(`${shown(blocks.path)} cannot be settled now`, new Errno(error, 'settle'))
    }
    if (error !== 0 && !blocks.branch.closed) this.#sleep(TRY_AGAIN, () => this.add(blocks))
    for (const { done } of asked) done(error)
  }
}

/** What the last mount of a view's branches left unsettled is to follow now. */
export function resume(view: View): void {
  if (view.options.readOnly) return
  for (const { rw } of view.stack.layers) {
    for (const path of rw?.unsettled?.listed ?? []) resumeFile(view, rw!, path)
  }
}

function resumeFile(view: View, rw: Branch, path: RelPath): void {
  try {
    const node = view.resolve(path)
    // Another layer hides it, or the name is gone: its mark is found by who meets it.
    if (node === null && !rw.peek(parentPath(path), baseName(path), stat)) {
      rw.unsettled!.unlist(path)
    }
    if (node === null || node.isDirectory || node.branch !== rw) return
    if (node.blocks === null) rw.unsettled!.unlist(path)
    else view.pool.settler?.add(node.blocks)
  } catch (err) {
    if (!(err instanceof Errno)) throw err
    view.log.warn(`${shown(path)} cannot be settled now`, err)
  }
}

/** A view of one layer alone, in which no other hides what it has. For looking: it tells nobody. */
export function viewOfLayer(pool: Pool, spec: LayerSpec, log: Log): View {
  return new View({
    pool,
    peers: new Set(),
    // The spec as it is: views of one spec share the layer.
    stack: { layers: [spec], base: null },
    view: {
      readOnly: false,
      writeTo: null,
      privateTo: null,
      blocked: [],
      privileged: process.geteuid?.() === 0,
      timeout: 0,
    },
    announce: (_batch, done) => done(),
    log,
  })
}

/** The unsettled file at a path; null where there is none, or nothing of it was changed. Throws Errno. */
export function unsettledAt(view: View, path: RelPath): Blocks | null {
  const node = view.resolve(path)
  if (node === null || node.isDirectory || node.blocks === null) return null
  const { blocks } = node
  const { fd, close } = openBacking(node, false)
  try {
    return blocks.isBare(fd) ? null : blocks
  } finally {
    close()
  }
}

/** Begins a piece of a file that is found by its name. Null where it is there no more. Throws Errno. */
export function beginPiece(blocks: Blocks, most: number): Job | null {
  const { branch, path } = blocks
  const dir = branch.dirFd(parentPath(path))
  const fd = asOwner(dir, baseName(path), () =>
    sys.openat(dir, baseName(path), O.RDWR | O.NOFOLLOW | O.NONBLOCK),
  )
  if (fd < 0) return null
  let lower = -1
  let job: Job | null = null
  try {
    if (sys.stat(fd, '', stat) < 0 || stat.ino !== blocks.ino) return null
    lower = blocks.openLower(openPlace)
    job = blocks.begin(fd, lower, most)
    return job
  } finally {
    if (job === null) {
      sys.close(fd)
      if (lower !== -1) sys.close(lower)
    }
  }
}
