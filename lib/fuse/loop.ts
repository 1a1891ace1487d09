// The loop of the fuse thread: all mounts of a store, one request at a time.
//
//   poll ─┬─ a device ──▶ session.handlePending()
//         └─ eventfd  ──▶ onMessages()      other threads posted something, then called wake()
//   read ─── the device of the only session ──▶ session.take(), or onMessages()
//
//   const loop = new Loop({ onMessages })
//   loop.add(session); loop.run()           returns after stop(), or throws what onMessages threw
//
// Why not FUSE over io_uring (Linux 6.14, where root sets fuse.enable_uring; 6.18 offers it then): it
// saves the calls that poll and read the device, and half of the one that answers. By perf that is
// 1.8 of the 16 µs that the thread spends on a lookup of an absent name beside its caller on one core; the
// rest is the switch between the two, the disk and the union, which stay. It asks for a queue with a
// thread and buffers of the largest request for each core, mapped rings that JavaScript cannot read
// with the barriers they need, and both transports for good, because distributions have it off.
//
// Rule: run() never yields to Node's own loop, so a thread that runs it receives messages with
// receiveMessageOnPort, and prints with write(2). Idle, it sleeps without a timeout: in poll(2), or,
// where there is one session whose bell rings (bell.ts), in read(2), which saves a call a request. A
// device waits in read(2) only while it is the only one, and only between beginReading and endReading.

// Not the global one: V8 asks Node for that each time.
import { performance } from 'node:perf_hooks'
import { ERRNO, Errno } from '../base/errno.ts'
import { must, sys } from '../host/sys.ts'
import type { Session } from './session.ts'
import { beginReading, endReading, makeWaker, ringAt, type Waker, wake, woken } from './waker.ts'

export interface LoopOptions {
  /** Called in this thread when somebody called wake(). */
  readonly onMessages: () => void
  /** What wakes the loop, where other threads had to know it first; made here otherwise. */
  readonly waker?: Waker
  /**
   * Microseconds for which devices are asked again before the thread sleeps. Waking an idle core
   * costs more than a request; a core that looks costs its power. Looking in vain makes it look more
   * seldom, down to once in LONGEST_REST turns. 0: sleep at once.
   */
  readonly spin?: number
}

/** Nothing is to be done soon. */
const NOTHING: readonly (() => void)[] = []
const POLLIN = 1
/** Milliseconds between two looks at answers that are held back. */
const HELD = 20
const SLOT = 8
/** Milliseconds between two looks that say that somebody else had this core. */
const AWAY = 0.005
/** Turns that begin by sleeping, after it was looked for requests in vain again and again. */
const LONGEST_REST = 256

export class Loop {
  /** Other threads wake this one by `wake(waker)` of waker.ts. */
  readonly waker: Waker
  readonly #options: LoopOptions
  /** Milliseconds. */
  readonly #spin: number
  /** How many times in a row nothing came while it was looked for. */
  #missed = 0
  /** Turns to come that begin by sleeping. */
  #rest = 0
  #sessions: readonly Session[] = []
  /** The one of whose device reads wait. */
  #reads: Session | null = null
  /** The one at whose device the bell rings. */
  #rung: Session | null = null
  #polled: Buffer
  #stopped = false
  #soon: (() => void)[] = []
  #timers: { readonly at: number; readonly act: () => void }[] = []

  constructor(options: LoopOptions) {
    this.#options = options
    this.#spin = (options.spin ?? 0) / 1000
    this.waker = options.waker ?? makeWaker()
    this.#polled = this.#pollFds()
  }

  /** From within the thread alone: its sessions are served from the next turn on. */
  add(session: Session): void {
    this.#sessions = [...this.#sessions, session]
    this.#polled = this.#pollFds()
  }

  /** Where the session has not ended by itself, somebody else answers its requests, or nobody. */
  remove(session: Session): void {
    this.#sessions = this.#sessions.filter((each) => each !== session)
    this.#polled = this.#pollFds()
    // The device of one that ended may be closed already.
    if (session === this.#reads && session.ended) this.#reads = null
    if (session === this.#rung) this.#ringAt(null)
  }

  /** From within the thread alone: runs something once, after the requests that are there by then. */
  soon(act: () => void): void {
    this.#soon.push(act)
  }

  /** From within the thread alone: runs something once, so many milliseconds later. */
  after(milliseconds: number, act: () => void): void {
    this.#timers.push({ at: performance.now() + milliseconds, act })
  }

  /** Ends run() after the turn under way. From every thread that has this object. */
  stop(): void {
    this.#stopped = true
    wake(this.waker)
  }

  /** Serves until stop(). */
  run(): void {
    while (!this.#stopped) {
      const soon = this.#takeSoon()
      const only = soon.length > 0 ? null : this.#only()
      if (only !== null) this.#serveOnly(only)
      else this.#serveAll(soon)
    }
    this.#readsAt(null)
    this.#ringAt(null)
  }

  // What is asked for from here on is for the turn after this one.
  #takeSoon(): readonly (() => void)[] {
    const soon = this.#soon
    if (soon.length === 0) return NOTHING
    this.#soon = []
    return soon
  }

  #serveAll(soon: readonly (() => void)[]): void {
    this.#readsAt(null)
    const found = soon.length > 0 ? this.#poll(0) : this.#wait()
    for (const session of this.#sessions) session.letGoLate()
    if (found > 0) this.#turn()
    for (const act of soon) act()
    if (this.#timers.length > 0) this.#runDue()
  }

  #wait(): number {
    const found = this.#look()
    return found > 0 ? found : this.#poll(this.#patience())
  }

  // The session whose device may be read without asking whether it has something: then nothing else
  // may be waited for.
  #only(): Session | null {
    const [session] = this.#sessions
    if (session === undefined || this.#sessions.length > 1 || this.#timers.length > 0) return null
    return session.bell.rings && !session.holds ? session : null
  }

  // Whatever is found, or nothing: the read says what there is, and it waits for that.
  #serveOnly(session: Session): void {
    this.#look()
    this.#readsAt(session)
    const length = beginReading(this.waker) ? session.receive() : -ERRNO.EINTR
    const called = endReading(this.waker)
    session.take(length)
    if (session.ended) this.remove(session)
    if (called && woken(this.waker)) this.#options.onMessages()
  }

  // Only trying shows whether looking pays: not where the program needs this core to make its next
  // request, nor where it takes its time. What is there at once proves nothing, and asking for the
  // first time after a while takes longer.
  #look(): number {
    if (this.#spin === 0) return 0
    if (this.#rest > 0) {
      this.#rest -= 1
      return 0
    }
    const there = this.#poll(0)
    if (there > 0) return there
    const found = this.#lookOn()
    this.#missed = found > 0 ? 0 : this.#missed + 1
    if (found === 0) this.#rest = Math.min(2 ** this.#missed, LONGEST_REST)
    return found
  }

  #lookOn(): number {
    let last = performance.now()
    const until = last + this.#spin
    while (last < until) {
      const found = this.#poll(0)
      const now = performance.now()
      if (now - last > AWAY) return 0
      if (found > 0) return found
      last = now
    }
    return 0
  }

  // Has reads of that session's device wait, and no others; where they wait, the bell rings.
  #readsAt(session: Session | null): void {
    if (session === this.#reads) return
    if (this.#reads !== null) must(sys.setWaiting(this.#reads.device, false), 'fcntl')
    this.#reads = session
    if (session === null) return
    must(sys.setWaiting(session.device, true), 'fcntl')
    this.#ringAt(session)
  }

  #ringAt(session: Session | null): void {
    if (session === this.#rung) return
    this.#rung = session
    ringAt(this.waker, session?.device ?? null)
  }

  // Idle, but for answers that are held back for a while, and what is to be done later.
  #patience(): number {
    const held = this.#sessions.some((session) => session.holds) ? HELD : -1
    if (this.#timers.length === 0) return held
    const next = Math.min(...this.#timers.map(({ at }) => at)) - performance.now()
    const wait = Math.max(Math.ceil(next), 0)
    return held === -1 ? wait : Math.min(held, wait)
  }

  #runDue(): void {
    const now = performance.now()
    const due = this.#timers.filter(({ at }) => at <= now)
    if (due.length === 0) return
    this.#timers = this.#timers.filter(({ at }) => at > now)
    for (const { act } of due) act()
  }

  #poll(timeout: number): number {
    const found = sys.poll(this.#polled, this.#polled.length / SLOT, timeout)
    if (found < 0 && found !== -ERRNO.EINTR) throw new Errno(-found, 'poll')
    return Math.max(found, 0)
  }

  #turn(): void {
    const polled = this.#polled
    const sessions = this.#sessions
    if (isReady(polled, 0) && woken(this.waker)) this.#options.onMessages()
    // Those that polled was made of: a message may have added or removed some.
    for (let i = 0; i < sessions.length; i++) {
      const session = sessions[i]!
      if (session.ended || !isReady(polled, i + 1)) continue
      session.handlePending()
      if (session.ended) this.remove(session)
    }
  }

  // struct pollfd {fd s32, events s16, revents s16}; the eventfd is the first.
  #pollFds(): Buffer {
    const fds = [this.waker.eventFd, ...this.#sessions.map((session) => session.device)]
    const polled = Buffer.alloc(fds.length * SLOT)
    for (const [i, fd] of fds.entries()) {
      polled.writeInt32LE(fd, i * SLOT)
      polled.writeInt16LE(POLLIN, i * SLOT + 4)
    }
    return polled
  }
}

const isReady = (polled: Buffer, place: number): boolean =>
  polled[place * SLOT + 6] !== 0 || polled[place * SLOT + 7] !== 0
