// The direct transport: a Session on /dev/fuse in the loop of this thread; mounting, and what
// the kernel is told, by way of the kernel-call thread.

import type { Log } from '../base/log.ts'
import type { Job, Notification } from '../fuse/filesystem.ts'
import type { Jobs } from '../fuse/io.ts'
import type { KernelCalls } from '../fuse/kernel-calls.ts'
import { Session } from '../fuse/session.ts'
import type { Tally } from '../fuse/tally.ts'
import { mayPassThrough } from '../host/passthrough.ts'
import type { View } from '../union/view.ts'
import type { MountSpec } from './engine-api.ts'
import type { Connect, LinkEvents, MountLink } from './link.ts'

export interface DirectParts {
  readonly log: Log
  readonly kernel: KernelCalls
  readonly jobs: Jobs
  /** Runs something so many milliseconds later. */
  readonly after: (milliseconds: number, act: () => void) => void
  /** Adds a session to the loop. */
  readonly serve: (session: Session) => void
}

/**
 * Nodes of one mount above which the kernel is asked to forget those that it does not use: each
 * costs about 250 bytes here, and four times that in the kernel.
 */
const MOST_NODES = 300_000

const mostNodes = (): number => Number(process.env.SVSFS_MOST_NODES) || MOST_NODES

/** Connects mounts through /dev/fuse. */
export function directly(parts: DirectParts): Connect {
  const links = new Set<DirectLink>()
  parts.kernel.onTid = (tid) => {
    for (const link of links) link.kernelTid = tid
  }
  return (spec, view, events) => new DirectLink(parts, spec, view, events, links)
}

class DirectLink implements MountLink {
  readonly #parts: DirectParts
  readonly #spec: MountSpec
  readonly #view: View
  readonly #events: LinkEvents
  readonly #all: Set<DirectLink>
  #session: Session | null = null
  #device = -1
  /** Until it was told. */
  #tellReady: (() => void) | null = null

  constructor(
    parts: DirectParts,
    spec: MountSpec,
    view: View,
    events: LinkEvents,
    all: Set<DirectLink>,
  ) {
    this.#parts = parts
    this.#spec = spec
    this.#view = view
    this.#events = events
    this.#all = all
    const { mountPoint, source, allowOther } = spec
    const request = { mountPoint, source, readOnly: spec.view.readOnly, allowOther }
    parts.kernel.call({ kind: 'mount', request }, (outcome) => {
      if ('value' in outcome) {
        this.#start(outcome.value)
        return
      }
      view.destroy()
      events.failed(outcome.error)
    })
  }

  get requests(): number {
    return this.#session?.requests ?? 0
  }

  get tally(): Tally | null {
    return this.#session?.tally ?? null
  }

  set tally(tally: Tally | null) {
    if (this.#session !== null) this.#session.tally = tally
  }

  get hasRequests(): boolean {
    return this.#session?.hasRequests ?? false
  }

  set kernelTid(tid: number) {
    if (this.#session !== null) this.#session.kernelTid = tid
  }

  #start(device: number): void {
    const { log, jobs, kernel, serve } = this.#parts
    this.#device = device
    this.#view.device = device
    this.#session = new Session({
      fs: this.#view,
      device,
      log,
      submit: (job, done) => this.#submit(job, done),
      cancel: jobs.cancel,
      passthrough: this.#spec.dataPath === 'passthrough' && mayPassThrough(),
      cap: this.#spec.kernelCap,
      trace: this.#spec.trace ? (line) => this.#events.trace(line) : null,
      kernelTid: kernel.tid,
      onReady: (agreed) => {
        if (agreed.prunes) this.#view.bound.most = mostNodes()
        this.#view.mayWriteThrough = agreed.flags.has('DIRECT_IO_ALLOW_MMAP')
        this.#view.passes = agreed.passthrough
        kernel.call({ kind: 'readahead', mountPoint: this.#spec.mountPoint }, () => {})
        this.#tellReady = () => {
          this.#tellReady = null
          this.#events.ready(agreed.passthrough ? 'passthrough' : 'cached')
        }
        // Whoever unmounts it as soon as it is mounted does not find us in it.
        this.#hangBell(() => this.#tellReady?.())
      },
      onBellGone: () => this.#hangBell(() => {}),
      onEnded: (reason) => this.#ended(reason),
    })
    this.#all.add(this)
    serve(this.#session)
  }

  // A moment needs no io thread, which might have to be started for it; nor the kernel-call thread,
  // which may wait for who waits here.
  #submit(job: Job, done: (job: Job) => void): void {
    const { jobs, after } = this.#parts
    if (job.kind !== 'pause') {
      jobs.submit(job, done)
      return
    }
    after(job.milliseconds, () => {
      job.done = true
      done(job)
    })
  }

  // Without it, the loop goes on polling.
  #hangBell(done: () => void): void {
    const { name } = this.#session!.bell
    const { mountPoint } = this.#spec
    this.#parts.kernel.call({ kind: 'bell', device: this.#device, mountPoint, name }, done)
  }

  #ended(reason: string): void {
    this.#tellReady?.()
    this.#all.delete(this)
    this.#view.device = -1
    this.#parts.kernel.call({ kind: 'close', fd: this.#device }, () => {})
    this.#events.ended(reason)
  }

  umount(lazy: boolean, done: (error: Error | null) => void): void {
    const { mountPoint } = this.#spec
    this.#parts.kernel.call({ kind: 'umount', mountPoint, lazy }, (outcome) =>
      done('error' in outcome ? outcome.error : null),
    )
  }

  tell(batch: readonly Notification[], done: (error: Error | null) => void): void {
    const session = this.#session
    if (session === null || session.ended) {
      done(null)
      return
    }
    const expireOnly = session.agreed?.expireOnly ?? false
    const { mountPoint } = this.#spec
    const call = { kind: 'notify', device: this.#device, mountPoint, expireOnly, batch } as const
    this.#parts.kernel.call(call, (outcome) => done('error' in outcome ? outcome.error : null))
  }
}
