// Which io thread gets which job.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import t from 'tap'
import type { Job, JobWork } from '../../lib/fuse/filesystem.ts'
import { Jobs } from '../../lib/fuse/io.ts'
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
