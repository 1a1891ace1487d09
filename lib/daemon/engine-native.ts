// The engine in the process's main thread, for the fuse-native transport: the same core, fed by
// Node's own loop.

import { EventEmitter } from 'node:events'
import type { Log } from '../base/log.ts'
import { IoThreads, Jobs } from '../fuse/io.ts'
import { KernelCalls, startKernelThread } from '../fuse/kernel-calls.ts'
import { loadFuseNative } from '../fuse/native-load.ts'
import { endThreads } from '../host/end-threads.ts'
import { raiseFileLimit } from '../host/thread.ts'
import { engineOf } from './engine.ts'
import type { Engine } from './engine-api.ts'
import { EngineCore } from './engine-core.ts'
import { natively } from './link-native.ts'

/** Throws a Failure where the package or libfuse 2 is missing, which says what to install. */
export async function createNativeEngine(log: Log): Promise<Engine> {
  const Fuse = await loadFuseNative()
  raiseFileLimit()
  const events = new EventEmitter()
  const kernelThread = startKernelThread(null)
  const io = new IoThreads(1, null)
  const jobs = new Jobs(io.ports, (thread) => void io.start(thread))
  const kernel = new KernelCalls(kernelThread.port)
  jobs.listen()
  kernel.listen()
  const core = new EngineCore({
    log,
    kernel,
    connect: natively(Fuse, { log, jobs }),
    emit: (event) => void events.emit('event', event),
    later: setImmediate,
    submit: jobs.submit,
  })
  const call = (name: Parameters<EngineCore['call']>[0], args: unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      core.call(name, args, (outcome) => {
        if ('error' in outcome) reject(outcome.error)
        else resolve(outcome.value)
      })
    })
  const stop = async () => {
    await new Promise<void>((resolve) => core.stop(resolve))
    jobs.close()
    kernel.close()
    await endThreads([kernelThread.worker, ...io.workers])
  }
  return engineOf(call, events, stop)
}
