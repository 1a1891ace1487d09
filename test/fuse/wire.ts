// Requests as the kernel would write them, and replies taken apart: for tests of the session
// without a device.

import { silent } from '../../lib/base/log.ts'
import type { FileSystem, Job } from '../../lib/fuse/filesystem.ts'
import { INIT } from '../../lib/fuse/protocol.ts'
import { Session, type SessionOptions } from '../../lib/fuse/session.ts'

export interface Sent {
  readonly unique: number
  /** Positive errno, 0 for success. */
  readonly error: number
  /** What follows the header. */
  readonly body: Buffer
}

/** A session whose replies are kept, and whose jobs are done when the test says so. */
export class TestSession extends Session {
  readonly sent: Sent[] = []
  readonly submitted: { job: Job; done: (job: Job) => void }[] = []
  readonly ends: string[] = []

  constructor(fs: FileSystem, options: Partial<SessionOptions> = {}) {
    const submitted: TestSession['submitted'] = []
    const ends: string[] = []
    super({
      fs,
      device: -1,
      log: silent,
      submit: (job, done) => submitted.push({ job, done }),
      onReady: () => {},
      onEnded: (reason) => ends.push(reason),
      ...options,
    })
    this.submitted = submitted
    this.ends = ends
  }

  protected override send(bytes: Buffer, length: number): void {
    const told = bytes.readUInt32LE(0)
    if (told !== length) throw new Error(`reply of ${length} bytes says ${told}`)
    this.sent.push({
      error: -bytes.readInt32LE(4),
      unique: Number(bytes.readBigUInt64LE(8)),
      body: Buffer.from(bytes.subarray(16, length)),
    })
  }

  /** Handles one request and answers what was sent for it, or null where nothing was. */
  ask(code: number, node: number, body: Buffer = Buffer.alloc(0), options: Ask = {}): Sent | null {
    const bytes = request(code, node, body, options)
    const before = this.sent.length
    this.handle(bytes, bytes.length)
    return this.sent[before] ?? null
  }

  /** Ends the oldest job under way. */
  finish(error = 0): void {
    const { job, done } = this.submitted.shift()!
    job.error = error
    job.done = true
    done(job)
  }
}

export interface Ask {
  unique?: number
  uid?: number
  gid?: number
  pid?: number
}

let unique = 0

export function request(code: number, node: number, body: Buffer, options: Ask = {}): Buffer {
  unique += 2
  const bytes = Buffer.alloc(40 + body.length)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt32LE(code, 4)
  bytes.writeBigUInt64LE(BigInt(options.unique ?? unique), 8)
  bytes.writeBigUInt64LE(BigInt(node), 16)
  bytes.writeUInt32LE(options.uid ?? 1000, 24)
  bytes.writeUInt32LE(options.gid ?? 1000, 28)
  bytes.writeUInt32LE(options.pid ?? 4711, 32)
  body.copy(bytes, 40)
  return bytes
}

/** Bytes of fields: a number is a u32, a bigint a u64, a string a name with its NUL. */
export function fields(...values: (number | bigint | string | Buffer)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (Buffer.isBuffer(value)) return value
      if (typeof value === 'string') return Buffer.from(`${value}\0`, 'latin1')
      const bytes = Buffer.alloc(typeof value === 'bigint' ? 8 : 4)
      if (typeof value === 'bigint') bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
      else bytes.writeUInt32LE(value >>> 0)
      return bytes
    }),
  )
}

/** INIT of a kernel that offers everything but the flags named. */
export function initBody(minor = 45, without: (keyof typeof INIT)[] = []): Buffer {
  let flags = 0n
  for (const [name, bit] of Object.entries(INIT)) {
    if (!without.includes(name as keyof typeof INIT)) flags |= 1n << BigInt(bit)
  }
  const low = Number(flags & 0xffff_ffffn)
  return fields(7, minor, 131072, low, Number(flags >> 32n), Buffer.alloc(44))
}

/** A session that has said INIT. */
export function begun(fs: FileSystem, options: Partial<SessionOptions> = {}): TestSession {
  const session = new TestSession(fs, options)
  session.ask(26, 0, initBody())
  session.sent.length = 0
  return session
}
