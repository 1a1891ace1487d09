// Which io thread gets which job, and what becomes of one that is wanted no more.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import t from 'tap'
import type { Job, JobWork } from '../../lib/fuse/filesystem.ts'
import { IoThreads, Jobs } from '../../lib/fuse/io.ts'
import type { IoRequest } from '../../lib/fuse/io-thread.ts'

let last = 0
const job = (work: JobWork): Job => ({ id: ++last, error: 0, done: false, ...work })
const pause = () => job({ kind: 'pause', milliseconds: 1 })
const flush = () => job({ kind: 'flush', pages: [] })

t.test('who waits for requests never shares a thread with what requests wait for', (t) => {
  const channels = [new MessageChannel(), new MessageChannel(), new MessageChannel()]
  const jobs = new Jobs(channels.map(({ port1 }) => port1))
  // Whatever the threads have to do already.
  const order = [pause, flush, pause, pause, flush, flush, pause, pause, pause, flush]
  for (const make of order) jobs.submit(make(), () => {})
  const kinds = channels.map(({ port2 }) => {
    const given = new Set<string | undefined>()
    for (let next = receiveMessageOnPort(port2); next; next = receiveMessageOnPort(port2))
      given.add((next.message as IoRequest).work?.kind)
    return [...given]
  })
  t.same(kinds, [['pause'], ['pause'], ['flush']])
  jobs.close()
  t.end()
})

t.test('a fill that is wanted no more before it began says that it has ended', (t) => {
  const threads = new IoThreads(1, null)
  const jobs = new Jobs(threads.ports)
  const state = new Int32Array(new SharedArrayBuffer(8))
  const fill = job({ kind: 'fill', from: -1, to: -1, runs: [0, 4096], flush: false, state })
  jobs.submit(fill, () => {})
  jobs.cancel(fill)
  threads.start(0)
  t.not(Atomics.wait(state, 0, 0, 5000), 'timed-out')
  jobs.close()
  t.end()
})
