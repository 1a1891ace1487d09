// How other threads wake the one that runs the loop, wherever it waits.
//
//   in poll(2) of all devices        an eventfd stands among them
//   in read(2) of the only device    the kernel is asked for bytes of the bell (bell.ts); what it
//                                    answers is a request, which ends the read
//
//   wake     post a message ─▶ eventfd ─▶ the word is CALLED; was it READING? ring
//   loop     IDLE becomes READING, or it was CALLED ─▶ read ─▶ the word is IDLE ─▶ take messages
//
// Rule: one word of shared memory says where the loop is, and each side changes it before it looks at
// what the other did, so no call is lost. The descriptor that is rung keeps its number for good:
// behind it is a device while one is read, the eventfd otherwise, never anything else.

import { ERRNO, Errno } from '../base/errno.ts'
import { must, sys } from '../host/sys.ts'
import { RING } from './bell.ts'

/** What a thread must have to wake the loop: it may be sent from one to another. */
export interface Waker {
  readonly eventFd: number
  readonly bellFd: number
  readonly word: Int32Array
}

const IDLE = 0
const READING = 1
const CALLED = 2

const ONE = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])
const COUNT = Buffer.alloc(8)

/** Its descriptors stay open until the process ends: a thread may wake the loop at any time. */
export function makeWaker(): Waker {
  const eventFd = must(sys.eventfd(), 'eventfd')
  const word = new Int32Array(new SharedArrayBuffer(4))
  return { eventFd, bellFd: must(sys.dup(eventFd), 'eventfd'), word }
}

/** Has the loop call onMessages. Works from every thread, and never waits. */
export function wake({ eventFd, bellFd, word }: Waker): void {
  const done = sys.write(eventFd, ONE, ONE.length)
  // A counter that is full has woken it already.
  if (done < 0 && done !== -ERRNO.EAGAIN) throw new Errno(-done, 'eventfd')
  if (Atomics.exchange(word, 0, CALLED) !== READING) return
  const rung = sys.write(bellFd, RING, RING.length)
  if (rung < 0 && !isAwakeAnyway(-rung)) throw new Errno(-rung, 'bell')
}

// ENODEV, ENOTCONN: the end of the mount wakes it. ENOENT: that, or the kernel has just forgotten the
// bell, and says so by a request. EINVAL: an eventfd, which stands there since the read is over.
const isAwakeAnyway = (number: number): boolean =>
  number === ERRNO.EINVAL ||
  number === ERRNO.ENODEV ||
  number === ERRNO.ENOTCONN ||
  number === ERRNO.ENOENT

/** Before a read that waits; false where somebody called: then it must not begin. */
export const beginReading = ({ word }: Waker): boolean =>
  Atomics.compareExchange(word, 0, IDLE, READING) === IDLE

/** After it, and before messages are taken. True where somebody called. */
export const endReading = ({ word }: Waker): boolean => Atomics.exchange(word, 0, IDLE) === CALLED

/** Takes back what woke the loop in poll(2), before messages are taken. False where nothing did. */
export function woken({ eventFd, word }: Waker): boolean {
  Atomics.store(word, 0, IDLE)
  return sys.read(eventFd, COUNT, COUNT.length) === COUNT.length
}

/** The device that is read from now on; null: none. */
export function ringAt({ eventFd, bellFd }: Waker, device: number | null): void {
  must(sys.replace(bellFd, device ?? eventFd), 'dup3')
}
