// What reaches the loop when another thread wakes it: the eventfd, or the device that it reads.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BELL_NODE, Bell, RING } from '../../lib/fuse/bell.ts'
import {
  beginReading,
  endReading,
  makeWaker,
  ringAt,
  type Waker,
  wake,
  woken,
} from '../../lib/fuse/waker.ts'
import { sys } from '../../lib/host/sys.ts'

/** A waker, and what was written to the file that stands for the device. */
function withDevice(t: Test): { waker: Waker; device: number; rung: () => Buffer } {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-waker-'))
  const path = join(dir, 'device')
  const device = openSync(path, 'a')
  const waker = makeWaker()
  t.teardown(() => {
    for (const fd of [waker.eventFd, waker.bellFd]) sys.close(fd)
    closeSync(device)
    rmSync(dir, { recursive: true })
  })
  return { waker, device, rung: () => readFileSync(path) }
}

t.test('a loop that polls is woken once by the eventfd, however often it was told', async (t) => {
  const { waker, device, rung } = withDevice(t)
  ringAt(waker, device)
  t.notOk(woken(waker))
  wake(waker)
  wake(waker)
  t.ok(woken(waker))
  t.notOk(woken(waker))
  t.equal(rung().length, 0)
  t.notOk(endReading(waker), 'and was not called')
})

t.test('a loop that reads is rung at its device, once', async (t) => {
  const { waker, device, rung } = withDevice(t)
  ringAt(waker, device)
  t.ok(beginReading(waker))
  wake(waker)
  wake(waker)
  t.same(rung(), RING)
  t.ok(endReading(waker))
  t.notOk(endReading(waker))
})

t.test('a loop that was called does not begin to read', async (t) => {
  const { waker } = withDevice(t)
  wake(waker)
  t.notOk(beginReading(waker))
  t.ok(endReading(waker))
  t.ok(beginReading(waker))
})

t.test('who wakes too late does not write to the device any more', async (t) => {
  const { waker, device, rung } = withDevice(t)
  ringAt(waker, device)
  t.ok(beginReading(waker))
  ringAt(waker, null)
  wake(waker)
  t.equal(rung().length, 0)
  t.ok(endReading(waker))
})

t.test('a bell rings from the answer to its first ring until it is forgotten', async (t) => {
  const bell = new Bell()
  bell.answered()
  t.notOk(bell.rings, 'the kernel does not know it')
  t.equal(bell.found().node, BELL_NODE)
  t.notOk(bell.rings)
  bell.answered()
  t.ok(bell.rings)
  bell.found()
  t.notOk(bell.forget(1))
  t.ok(bell.rings)
  t.ok(bell.forget(1))
  t.notOk(bell.rings)
  t.notOk(bell.forget(1), 'it was forgotten before')
  t.not(new Bell().name, bell.name)
})
