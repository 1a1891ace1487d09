// One mount's conversation with the kernel.
//
//   device ─read─▶ request ─▶ row of OPERATIONS ─▶ FileSystem ─▶ reply ─write─▶ device
//                                  ▲                    │ throws Parked(job)
//                                  └──── runs again ◀── waiting room ◀── io thread
//
// What the engine does with it:
//   const session = new Session({ fs, device, log, submit, onReady, onEnded, ... })
//   loop.add(session)               the loop calls handlePending() when the device has requests,
//                                   or receive() and take(), which wait in a read (bell.ts)
//   session.requests                how many were handled
// The device belongs to whoever opened it: closed after `onEnded`, and after the kernel-call
// thread has done with it, so that no notification is written to a descriptor used anew.
//
// Rule: handlers throw, and this file alone turns that into an answer. Whatever a request does,
// the loop goes on: unexpected is EIO, and logged. One request and one reply buffer serve all
// sessions of a thread, because a request is answered (or copied aside) before the next is read.

import { Cursor, ShortMessage } from '../base/cursor.ts'
import { ERRNO, errnoName, errnoOf } from '../base/errno.ts'
import type { Log } from '../base/log.ts'
import { sys } from '../host/sys.ts'
import { isBeingKilled } from '../host/thread.ts'
import { BELL_NODE, Bell } from './bell.ts'
import {
  type Caller,
  FATTR,
  type FileSystem,
  type Job,
  type NodeId,
  Parked,
  ROOT_NODE,
  type WriteRequest,
} from './filesystem.ts'
import { HeldAnswers } from './held.ts'
import { type KernelCap, type Negotiated, negotiate, readInit, writeInit } from './init.ts'
import { BY_CODE, OPERATIONS, type Row } from './operations.ts'
import { REPLY_HEADER, REQUEST_BUFFER, REQUEST_HEADER } from './protocol.ts'
import { Reply } from './reply.ts'
import * as read from './requests.ts'
import type { Tally } from './tally.ts'
import { describe, parkedLine, replyLine, requestLine } from './trace.ts'
import { type Waiting, WaitingRoom } from './waiting.ts'

export interface SessionOptions {
  readonly fs: FileSystem
  /** An open /dev/fuse (O_RDWR, O_NONBLOCK) that is mounted. */
  readonly device: number
  readonly log: Log
  /** Gives a job to an io thread; `done` is called in this thread, after `job.done` was set. */
  readonly submit: (job: Job, done: (job: Job) => void) => void
  /** Told when nobody waits any more for a job under way; it is done all the same, sooner. */
  readonly cancel?: (job: Job) => void
  /** The kernel forgot the bell: it may be hung again. */
  readonly onBellGone?: () => void
  /** INIT was answered: the mount answers from now on. */
  readonly onReady: (agreed: Negotiated) => void
  /** The mount is gone, the filesystem destroyed, no job under way. Called once. */
  readonly onEnded: (reason: string) => void
  /** Writeback page cache; default true. */
  readonly writeback?: boolean
  /** Reads and writes past us, where the kernel can; default false. */
  readonly passthrough?: boolean
  readonly cap?: KernelCap | null
  readonly trace?: ((line: string) => void) | null
  /** Whether a thread is about to die of a signal; a test replaces it. */
  readonly isBeingKilled?: (thread: number) => boolean
  /** Thread whose SETATTR is the touch for inotify, and changes nothing; 0: none. */
  readonly kernelTid?: number
}

type CallRow = Extract<Row, { kind: 'call' }>

/** Where the caller's number stands in a request. */
const CALLER_PID = 32
/** struct pollfd {fd s32, events s16: POLLIN, revents s16} */
const POLLED = Buffer.from([0, 0, 0, 0, 1, 0, 0, 0])
/** Requests handled before the loop looks at other devices. */
const BUDGET = 64
/** Turns of one request each after one that came alone. */
const ALONE = 16
/** Runs of one request in a row that each ask for a job already done: more is a mistake. */
const MOST_RUNS = 16

const REQUEST = Buffer.allocUnsafeSlow(REQUEST_BUFFER)
const cursor = new Cursor(REQUEST)
const reply = new Reply()

/** What a SETATTR of the kernel-call thread has: it has the kernel take what we answer. */
const TOUCH =
  FATTR.ATIME |
  FATTR.MTIME |
  FATTR.CTIME |
  FATTR.ATIME_NOW |
  FATTR.MTIME_NOW |
  FATTR.FH |
  FATTR.SIZE |
  FATTR.LOCKOWNER |
  FATTR.KILL_SUIDGID

export class Session {
  readonly device: number
  /** Set from another thread's announcement, at any time. */
  kernelTid: number
  /** Handled since the beginning. */
  requests = 0
  /** Counts who asks, while somebody looks. */
  tally: Tally | null = null
  ended = false
  readonly bell = new Bell()
  readonly #fs: FileSystem
  readonly #options: SessionOptions
  readonly #log: Log
  readonly #trace: ((line: string) => void) | null
  readonly #caller: { -readonly [K in keyof Caller]: Caller[K] } = {
    uid: 0,
    gid: 0,
    pid: 0,
    finished: null,
  }
  readonly #room = new WaitingRoom()
  /** Turns to come in which one request is read. */
  #alone = 0
  readonly #held: HeldAnswers
  #agreed: Negotiated | null = null
  #reason = ''

  constructor(options: SessionOptions) {
    this.#options = options
    this.#fs = options.fs
    this.#held = new HeldAnswers(options.fs, (bytes, length) => {
      if (!this.ended) this.send(bytes, length)
    })
    this.#log = options.log
    this.#trace = options.trace ?? null
    this.device = options.device
    this.kernelTid = options.kernelTid ?? 0
  }

  get agreed(): Negotiated | null {
    return this.#agreed
  }

  /** Requests put aside. */
  get waiting(): number {
    return this.#room.size
  }

  /** True where the device has something to read. */
  get hasRequests(): boolean {
    POLLED.writeInt32LE(this.device, 0)
    return !this.ended && sys.poll(POLLED, 1, 0) > 0
  }

  /** True while an answer is held back: then `letGoLate` is to be called now and then. */
  get holds(): boolean {
    return this.#held.some
  }

  /** Sends answers that were held back too long. */
  letGoLate(): void {
    this.#held.letGoLate()
  }

  /**
   * Reads and answers what the device has, up to a bound. Where a request came alone, the next few are
   * taken one at a time: asking the device once more for nothing costs more than being polled.
   */
  handlePending(): void {
    const most = this.#alone > 0 ? 1 : BUDGET
    if (this.#alone > 0) this.#alone -= 1
    for (let handled = 0; handled < most && !this.ended; handled++) {
      const length = this.receive()
      if (length === -ERRNO.EAGAIN) {
        if (handled === 1) this.#alone = ALONE
        return
      }
      this.take(length)
    }
  }

  /** Reads a request, into the buffer that all sessions share. Answers its length or the negative errno. */
  receive(): number {
    return sys.read(this.device, REQUEST, REQUEST.length)
  }

  /** Answers the request that `receive` has just read, or ends where it could not. */
  take(length: number): void {
    if (length >= 0) this.handle(REQUEST, length)
    // ENOENT: the request was withdrawn while it was being read.
    else if (length !== -ERRNO.ENOENT && length !== -ERRNO.EINTR) {
      this.end(length === -ERRNO.ENODEV ? 'unmounted' : `device: ${errnoName(-length)}`)
    }
  }

  /** Answers the request that lies in the first `length` bytes. Never throws. */
  handle(bytes: Buffer, length: number): void {
    this.requests++
    try {
      this.#dispatch(bytes, length)
    } catch (err) {
      // Too short to have a header: there is nobody to answer.
      this.#log.error(`request of ${length} bytes is malformed`, err)
    }
  }

  /** Ends the session from our side, or because the device said so. */
  end(reason: string): void {
    if (this.ended) return
    this.ended = true
    this.#reason = reason
    for (const job of this.#room.clear()) this.#options.cancel?.(job)
    // An io thread still uses descriptors of this filesystem: they are closed when it is done.
    if (this.#room.jobs === 0) this.#destroy()
  }

  /** Sends what the reply buffer holds up to `length`. A test replaces it. */
  protected send(bytes: Buffer, length: number): void {
    const written = sys.write(this.device, bytes, length)
    // ENOENT: the request was aborted meanwhile; ENODEV: so was the mount.
    if (written >= 0 || written === -ERRNO.ENOENT || written === -ERRNO.ENODEV) return
    this.#log.error(`reply of ${length} bytes was refused: ${errnoName(-written)}`)
  }

  #dispatch(bytes: Buffer, length: number): void {
    cursor.bytes = bytes
    cursor.reset(0, length)
    const told = cursor.u32()
    const code = cursor.u32()
    const unique = cursor.u64()
    const node = cursor.u64() as NodeId
    this.#setCaller(null)
    const known = BY_CODE[code]
    if (told !== length) {
      this.#log.error(`${known?.name ?? `operation ${code}`} of ${length} bytes says ${told}`)
      const answered = known?.row.kind !== 'session' || known.row.answered
      if (answered) this.#refuse(bytes, ERRNO.EIO, unique, known?.name ?? `operation ${code}`)
    } else if (known === undefined) this.#refuse(bytes, ERRNO.ENOSYS, unique, `operation ${code}`)
    else if (known.row.kind === 'call') this.#meet(known.row, known.name, unique, node, bytes)
    else if (known.row.kind === 'refuse') this.#refuse(bytes, known.row.errno, unique, known.name)
    else this.#own(code, known.name, unique, node, bytes)
  }

  // The cursor stands before uid, gid and pid, and after them before the operation's fields.
  #setCaller(finished: Job | null): void {
    const caller = this.#caller
    caller.uid = cursor.u32()
    caller.gid = cursor.u32()
    caller.pid = cursor.u32()
    caller.finished = finished
    cursor.skip(4)
  }

  // A request comes for the first time: it runs, or joins a line.
  #meet(row: CallRow, name: string, unique: number, node: NodeId, bytes: Buffer): void {
    if (row.since > (this.#agreed?.minor ?? 0)) {
      this.#refuse(bytes, ERRNO.ENOSYS, unique, name)
      return
    }
    if (this.#isForBell(row, node)) {
      this.requests--
      this.#trace?.(requestLine(unique, name, node, this.bell.name, this.#caller))
      reply.begin(this.#agreed)
      reply.entry(this.bell.found())
      this.#answer(bytes, unique, name, performance.now())
      return
    }
    if (!this.#room.empty && this.#room.find(unique) !== undefined) {
      this.#log.error(`${name} has the number ${unique}, which waits for its answer already`)
      this.#refuse(bytes, ERRNO.EINVAL, unique, name)
      return
    }
    if (!this.#room.empty && !row.reads && !this.#isTouch(row)) {
      const nodes = this.#nodesOf(row, node)
      if (nodes.some((each) => this.#room.hasLine(each))) {
        this.#room.enter(this.#setAside(bytes, unique, nodes))
        this.#trace?.(parkedLine(unique, name, null))
        return
      }
    }
    const job = this.#run(row, name, unique, node, bytes)
    if (job === null) return
    const waiting = this.#setAside(bytes, unique, this.#linesOf(bytes, job))
    this.#room.enter(waiting)
    this.#park(waiting, job)
  }

  // Runs a request and answers it; or, where it must wait for a job, tells which.
  #run(row: CallRow, name: string, unique: number, node: NodeId, bytes: Buffer): Job | null {
    const started = this.#trace === null ? 0 : performance.now()
    const fields = cursor.at
    const end = fields + cursor.left
    let request: unknown
    for (let runs = 0; ; runs++) {
      reply.begin(this.#agreed)
      try {
        cursor.reset(fields, end)
        request = row.read(cursor, reply)
        if (this.#trace !== null) {
          this.#trace(requestLine(unique, name, node, request, this.#caller))
        }
        if (row === OPERATIONS.setattr && this.#isTouch(row)) {
          reply.attr(this.#fs.getattr(this.#caller, node, null))
        } else row.answer(this.#fs, this.#caller, node, request as never, reply)
      } catch (err) {
        if (err instanceof Parked && runs < MOST_RUNS) {
          if (!err.job.done) return err.job
          this.#caller.finished = err.job
          continue
        }
        reply.error = this.#errorOf(err, name, node, request)
      }
      this.#answer(bytes, unique, name, started, reply.error === 0 && mayWait(row, request))
      // One that failed on its way may not have come to what it waited for.
      if (reply.error !== 0 && this.#caller.finished !== null) this.#abandon(this.#caller.finished)
      return null
    }
  }

  #errorOf(err: unknown, name: string, node: NodeId, request: unknown): number {
    const number = errnoOf(err)
    if (number !== null) return number
    const path = this.#fs.pathOf?.(node) ?? `node ${node}`
    this.#log.error(`${name} of ${path} ${describe(request)} failed unexpectedly`, err)
    return ERRNO.EIO
  }

  #refuse(bytes: Buffer, errno: number, unique: number, name: string): void {
    reply.begin(this.#agreed)
    reply.error = errno
    this.#answer(bytes, unique, name, performance.now())
  }

  // The reply's header: its length, the errno, and the request's own number, byte for byte.
  #answer(request: Buffer, unique: number, name: string, started: number, waits = false): void {
    const { out, error } = reply
    const length = error === 0 ? out.at : REPLY_HEADER
    out.at = 0
    out.u32(length)
    out.u32(error === 0 ? 0 : -error)
    for (let at = 8; at < 16; at++) reply.bytes[at] = request[at]!
    if (this.tally !== null) this.#note(request, name, length - REPLY_HEADER)
    if (!waits || !this.#held.keep(reply.bytes, length)) this.send(reply.bytes, length)
    if (this.#trace !== null) {
      const took = (performance.now() - started) * 1000
      this.#trace(replyLine(unique, name, error, length, took))
    }
  }

  #note(request: Buffer, name: string, length: number): void {
    if (this.tally?.over) this.tally = null
    this.tally?.note(request, name, length)
  }

  // --- Operations that are the session's own

  #own(code: number, name: string, unique: number, node: NodeId, bytes: Buffer): void {
    switch (code) {
      case OPERATIONS.forget.code:
        this.#forget(node, read.forget(cursor))
        break
      case OPERATIONS.batchForget.code:
        this.#forgetMany(read.batchForget(cursor))
        break
      case OPERATIONS.interrupt.code:
        this.#interrupt(read.interrupt(cursor))
        break
      case OPERATIONS.init.code:
        this.#init(bytes, unique, name)
        break
      case OPERATIONS.destroy.code:
        this.#refuse(bytes, 0, unique, name)
        break
      case OPERATIONS.notifyReply.code:
        this.requests--
        if (node === BELL_NODE) this.bell.answered()
        break
    }
  }

  #init(bytes: Buffer, unique: number, name: string): void {
    reply.begin(null)
    let agreed: Negotiated
    try {
      if (this.#agreed !== null) throw new ShortMessage('a second INIT')
      agreed = negotiate(readInit(cursor), {
        writeback: this.#options.writeback ?? true,
        passthrough: this.#options.passthrough ?? false,
        exportable: this.#fs.lookupSelf !== undefined && this.#fs.lookupParent !== undefined,
        cap: this.#options.cap ?? null,
      })
    } catch (err) {
      this.#log.error('INIT cannot be answered', err)
      this.#refuse(bytes, ERRNO.EPROTO, unique, name)
      return
    }
    this.#agreed = agreed
    this.#fs.agreed?.(agreed.writeback)
    writeInit(reply.out, agreed)
    this.#answer(bytes, unique, name, performance.now())
    this.#trace?.(`= agreed on 7.${agreed.minor} ${[...agreed.flags].join(' ')}`)
    this.#options.onReady(agreed)
  }

  #forgetMany(pairs: readonly number[]): void {
    for (let i = 0; i < pairs.length; i += 2) this.#forget(pairs[i] as NodeId, pairs[i + 1]!)
  }

  #forget(node: NodeId, count: number): void {
    if (node === BELL_NODE) {
      if (this.bell.forget(count) && !this.ended) this.#options.onBellGone?.()
      return
    }
    if (this.#room.hasLine(node)) {
      this.#room.keepForget(node, count)
      return
    }
    try {
      this.#fs.forget(node, count)
    } catch (err) {
      this.#log.error(`FORGET of node ${node} failed unexpectedly`, err)
    }
  }

  // Answered or unknown requests have nothing to interrupt: each runs to its end at once. Nor is a
  // disk's call interrupted for a signal that is handled; only who is being killed need not wait.
  #interrupt(unique: number): void {
    const waiting = this.#room.find(unique)
    if (waiting === undefined) return
    const caller = waiting.bytes.readUInt32LE(CALLER_PID)
    if (!(this.#options.isBeingKilled ?? isBeingKilled)(caller)) return
    const name = nameOf(waiting)
    reply.begin(this.#agreed)
    reply.error = ERRNO.EINTR
    this.#answer(waiting.bytes, unique, name, performance.now())
    const { job } = waiting
    const next = this.#room.leave(waiting)
    if (job !== null && this.#room.isDeserted(job)) this.#options.cancel?.(job)
    this.#goOn(next)
  }

  #isForBell(row: CallRow, node: NodeId): boolean {
    if (this.kernelTid === 0 || this.#caller.pid !== this.kernelTid) return false
    if (row !== OPERATIONS.lookup || node !== ROOT_NODE) return false
    const { name } = this.bell
    const { at, left, bytes } = cursor
    return left === name.length + 1 && bytes.latin1Slice(at, at + name.length) === name
  }

  // --- Waiting

  #isTouch(row: CallRow): boolean {
    if (row !== OPERATIONS.setattr || this.kernelTid === 0) return false
    if (this.#caller.pid !== this.kernelTid) return false
    // The fields begin with `valid`; the bytes are those of the request under way.
    const { bytes } = cursor
    if (bytes.readUInt32LE(0) < REQUEST_HEADER + 4) return false
    return (bytes.readUInt32LE(REQUEST_HEADER) & ~TOUCH) === 0
  }

  #nodesOf(row: CallRow, node: NodeId): NodeId[] {
    if (row.otherNode === -1) return [node]
    const at = REQUEST_HEADER + row.otherNode
    const { bytes } = cursor
    // Behind its end lies what was left of another request.
    if (bytes.readUInt32LE(0) < at + 8) return [node]
    const other = (bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000) as NodeId
    return other === node ? [node] : [node, other]
  }

  #setAside(bytes: Buffer, unique: number, nodes: readonly NodeId[]): Waiting {
    const length = bytes.readUInt32LE(0)
    return {
      bytes: Buffer.from(bytes.subarray(0, length)),
      unique,
      nodes,
      job: null,
      finished: null,
    }
  }

  #park(waiting: Waiting, job: Job): void {
    this.#trace?.(parkedLine(waiting.unique, nameOf(waiting), job))
    if (this.#room.waitFor(waiting, job)) this.#options.submit(job, (done) => this.#jobDone(done))
  }

  #jobDone(job: Job): void {
    const those = this.#room.finish(job)
    if (those.length === 0) this.#abandon(job)
    if (!this.ended) this.#goOn(those)
    else if (this.#room.jobs === 0) this.#destroy()
  }

  #abandon(job: Job): void {
    try {
      this.#fs.abandon?.(job)
    } catch (err) {
      this.#log.error(`giving up ${job.kind} ${job.id} failed unexpectedly`, err)
    }
  }

  // Runs those whose turn has come, and whoever stands behind them.
  #goOn(those: readonly Waiting[]): void {
    const turn = [...those]
    for (let waiting = turn.shift(); waiting !== undefined; waiting = turn.shift()) {
      if (this.#queued(waiting)) continue
      const job = this.#runAgain(waiting)
      turn.push(...(job === null ? this.#room.leave(waiting) : this.#parkAgain(waiting, job)))
    }
    this.#room.releaseForgets((node, count) => this.#forget(node, count))
  }

  // True where it stood in no line, and others are before it by now.
  #queued(waiting: Waiting): boolean {
    const { finished, bytes } = waiting
    if (finished?.kind !== 'flush' || waiting.nodes.length > 0) return false
    const nodes = this.#linesOf(bytes, null)
    if (!nodes.some((each) => this.#room.hasLine(each))) return false
    this.#abandon(finished)
    this.#room.leave(waiting)
    this.#room.enter({ ...waiting, nodes })
    return true
  }

  // It may wait in other lines from now on. Answers whose turn has come by that.
  #parkAgain(waiting: Waiting, job: Job): Waiting[] {
    const nodes = this.#linesOf(waiting.bytes, job)
    if (nodes.length === waiting.nodes.length) {
      this.#park(waiting, job)
      return []
    }
    const next = this.#room.leave(waiting)
    const moved = { ...waiting, nodes }
    this.#room.enter(moved)
    this.#park(moved, job)
    return next
  }

  // The nodes that a request holds up. Who waits for pages holds up none: the kernel writes them with
  // requests of the same node, and two mounts may wait for each other's.
  #linesOf(bytes: Buffer, job: Job | null): NodeId[] {
    const row = BY_CODE[bytes.readUInt32LE(4)]?.row
    if (row?.kind !== 'call' || row.reads || job?.kind === 'flush') return []
    cursor.bytes = bytes
    cursor.reset(16, bytes.readUInt32LE(0))
    return this.#nodesOf(row, cursor.u64() as NodeId)
  }

  #runAgain(waiting: Waiting): Job | null {
    const { bytes, unique } = waiting
    const known = BY_CODE[bytes.readUInt32LE(4)]
    if (known?.row.kind !== 'call') return null
    cursor.bytes = bytes
    cursor.reset(16, bytes.length)
    const node = cursor.u64() as NodeId
    this.#setCaller(waiting.finished)
    return this.#run(known.row, known.name, unique, node, bytes)
  }

  #destroy(): void {
    try {
      this.#fs.destroy()
    } catch (err) {
      this.#log.error('closing the filesystem failed unexpectedly', err)
    }
    this.#options.onEnded(this.#reason)
  }
}

// The kernel holds pages while it writes them back, and lets other mounts look at them only then.
function mayWait(row: CallRow, request: unknown): boolean {
  if (row.reads || row === OPERATIONS.release) return false
  return row !== OPERATIONS.write || !(request as WriteRequest).fromCache
}

const nameOf = (waiting: Waiting): string =>
  BY_CODE[waiting.bytes.readUInt32LE(4)]?.name ?? 'operation'
