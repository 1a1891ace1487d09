// Serves a MemoryFileSystem at a mount point, as the daemon's threads would: a program of its
// own, because the process that serves a mount must not walk it.
//
//   node serve-memory.js MOUNTPOINT [JSON options]     prints "ready {agreed}", later "ended REASON"
//   setfattr user.command on the root                  see `commands`

import { writeSync } from 'node:fs'
import { logTo } from '../../lib/base/log.ts'
import { bytesOf } from '../../lib/base/path.ts'
import type { Job, JobWork, Notification } from '../../lib/fuse/filesystem.ts'
import type { KernelCap } from '../../lib/fuse/init.ts'
import { IoThreads, Jobs } from '../../lib/fuse/io.ts'
import { KernelCalls, startKernelThread } from '../../lib/fuse/kernel-calls.ts'
import { Loop } from '../../lib/fuse/loop.ts'
import { Session } from '../../lib/fuse/session.ts'
import { endThreads } from '../../lib/host/end-threads.ts'
import { mountFuse } from '../../lib/host/mount.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'

export interface ServeOptions {
  source?: string
  readOnly?: boolean
  allowOther?: boolean
  cap?: KernelCap
  trace?: boolean
  valid?: number
  writeback?: boolean
  spin?: number
}

const [mountPoint = '', json = '{}'] = process.argv.slice(2)
const options = JSON.parse(json) as ServeOptions
const say = (line: string): void => void writeSync(1, `${line}\n`)
const log = logTo(2, 'serve')

const fs = new MemoryFileSystem()
fs.valid = options.valid ?? 1000
fs.put('hello', 'hello\n')
fs.root.attr.uid = process.geteuid?.() ?? 0

const device = mountFuse({
  mountPoint: bytesOf(mountPoint),
  source: options.source ?? 'memory',
  readOnly: options.readOnly ?? false,
  allowOther: options.allowOther ?? false,
})
const loop = new Loop({
  spin: options.spin ?? 0,
  onMessages: () => {
    jobs.receive()
    kernel.receive()
  },
})
const io = new IoThreads(1, loop.waker)
io.start(0)
const jobs = new Jobs(io.ports)
const thread = startKernelThread(loop.waker)
const kernel = new KernelCalls(thread.port)

const session = new Session({
  fs,
  device,
  log,
  submit: jobs.submit,
  writeback: options.writeback ?? true,
  cap: options.cap ?? null,
  trace: options.trace ? say : null,
  onReady: (agreed) => {
    const ready = JSON.stringify({ ...agreed, flags: [...agreed.flags] })
    hangBell(() => say(`ready ${ready}`))
  },
  onBellGone: () => hangBell(() => {}),
  onEnded: (reason) => {
    say(`ended ${reason}`)
    kernel.call({ kind: 'close', fd: device }, () => loop.stop())
  },
})
function hangBell(done: () => void): void {
  const { name } = session.bell
  kernel.call({ kind: 'bell', device, mountPoint: bytesOf(mountPoint), name }, done)
}

kernel.onTid = (tid) => {
  session.kernelTid = tid
}

let jobId = 0
const newJob = (work: JobWork): Job => ({ id: ++jobId, error: 0, done: false, ...work })

function announce(...batch: Notification[]): void {
  kernel.call(
    {
      kind: 'notify',
      device,
      mountPoint: bytesOf(mountPoint),
      expireOnly: session.agreed?.expireOnly ?? false,
      batch,
    },
    (outcome) => say(`announced ${JSON.stringify(outcome)}`),
  )
}

const commands: Record<string, (argument: string) => void> = {
  /** Another content, and the kernel is told. */
  replace(text) {
    const node = fs.root.children.get('hello')!
    node.bytes = Buffer.from(text)
    node.attr.size = node.bytes.length
    announce({ kind: 'inode', node: node.id, offset: 0, length: 0 })
  },
  /** A name that was absent appears. */
  appear(name) {
    fs.put(name, 'new')
    announce({ kind: 'entry', parent: fs.root.id, name, expire: false })
  },
  /** The name gets another node; what is open stays. */
  exchange(text) {
    fs.root.children.delete('hello')
    fs.put('hello', text)
    announce({ kind: 'entry', parent: fs.root.id, name: 'hello', expire: true })
  },
  /** A directory is gone; where `quietly`, the kernel is not made to take it down. */
  vanish(argument) {
    const [name = '', quietly] = argument.split(' ')
    fs.root.children.delete(name)
    const expired = { kind: 'entry', parent: fs.root.id, name, expire: true } as const
    announce(expired, ...(quietly === undefined ? [{ kind: 'gone', path: name } as const] : []))
  },
  touch(path) {
    announce({ kind: 'touch', node: fs.root.id, path })
  },
  /** Of all nodes the kernel is to forget those that it does not use. */
  prune() {
    announce({ kind: 'prune', nodes: [...fs.nodes.keys()] })
  },
  unknown() {
    announce({ kind: 'entry', parent: fs.root.id, name: 'never', expire: true })
  },
  sync() {
    kernel.call({ kind: 'sync', mountPoint: bytesOf(mountPoint) }, (outcome) => {
      say(`synced ${JSON.stringify(outcome)} ${fs.root.children.get('dirty')?.bytes.length}`)
    })
  },
  /** The next call of this method waits for a real fsync of stdout's file, done by the io thread. */
  park(method) {
    fs.park.set(method as 'open', newJob({ kind: 'fsync', fd: 2, dataOnly: false }))
  },
  fail(method) {
    fs.failWith.set(method as 'open', new Error('as the test asked'))
  },
  calls() {
    say(`calls ${JSON.stringify(fs.calls)}`)
    fs.calls.length = 0
  },
  umount() {
    kernel.call({ kind: 'umount', mountPoint: bytesOf(mountPoint), lazy: false }, (outcome) => {
      say(`unmounted ${'value' in outcome ? 'ok' : outcome.error.message}`)
    })
  },
}

fs.onCommand = (text) => {
  const space = text.indexOf(' ')
  const name = space === -1 ? text : text.slice(0, space)
  commands[name]?.(space === -1 ? '' : text.slice(space + 1))
}

loop.add(session)
loop.run()
jobs.close()
kernel.close()
await endThreads([thread.worker, ...io.workers])
