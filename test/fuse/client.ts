// The other end of a session under attack: sends cases, and holds every answer against what
// the protocol allows.
//
//   client.send(case)   answers at once, or later where the request was parked
//   client.faults       what was wrong, in words; empty at the end of a good run
//
// Behind every message lies text of another one (`CANARY`), as it does in the buffer of a thread
// that serves many: what of it shows in an answer, or changes one, was read beyond the end.

import { ShortMessage } from '../../lib/base/cursor.ts'
import type { Log } from '../../lib/base/log.ts'
import { silent } from '../../lib/base/log.ts'
import type { FileSystem, Job } from '../../lib/fuse/filesystem.ts'
import { BY_CODE } from '../../lib/fuse/operations.ts'
import { REPLY_BUFFER, REQUEST_BUFFER } from '../../lib/fuse/protocol.ts'
import { copyData } from '../../lib/host/copy.ts'
import { S } from '../../lib/host/sys.ts'
import {
  CODE,
  type Known,
  type Opened,
  type OperationName,
  type Roll,
  TOUCHING,
} from './messages.ts'
import type { Case } from './mutate.ts'
import { initBody, request, TestSession } from './wire.ts'

export const CANARY = 'CANARY'

/** The kernel waits for no answer to these. */
const SILENT = new Set([CODE.forget, CODE.batchForget, CODE.interrupt, CODE.notifyReply])
const ENTRY = 128
const ATTR = 104
const MODE_OF_ENTRY = 100
const OPENED = 16
const LENGTHS: { readonly [Name in OperationName]?: number } = {
  lookup: ENTRY,
  getattr: ATTR,
  setattr: ATTR,
  symlink: ENTRY,
  mknod: ENTRY,
  mkdir: ENTRY,
  unlink: 0,
  rmdir: 0,
  rename: 0,
  rename2: 0,
  link: ENTRY,
  open: OPENED,
  opendir: OPENED,
  write: 8,
  statfs: 80,
  release: 0,
  releasedir: 0,
  fsync: 0,
  fsyncdir: 0,
  setxattr: 0,
  removexattr: 0,
  access: 0,
  init: 64,
  destroy: 0,
  create: ENTRY + OPENED,
  tmpfile: ENTRY + OPENED,
  fallocate: 0,
  lseek: 8,
  copyFileRange: 8,
  copyFileRange64: 8,
  syncfs: 0,
}
const LENGTH_OF = new Map(
  Object.entries(LENGTHS).map(([name, length]) => [CODE[name as OperationName], length]),
)
/** They make something known that is to be given back. */
const TELLING = new Set(
  [...LENGTH_OF]
    .filter(([, length]) => length !== undefined && length >= ENTRY)
    .map(([code]) => code),
)
for (const name of ['open', 'opendir', 'readdirplus'] as const) TELLING.add(CODE[name])
const MOST_KNOWN = 120
const MOST_ERRNO = 511

interface Answer {
  readonly unique: bigint
  readonly error: number
  readonly body: Buffer
}

class Attacked extends TestSession {
  readonly answers: Answer[] = []
  readonly faults: string[] = []
  /** What old answers leave in the buffer of the next. */
  poison = 0

  protected override send(bytes: Buffer, length: number): void {
    const told = bytes.readUInt32LE(0)
    if (told !== length || length < 16 || length > REPLY_BUFFER)
      this.faults.push(`a reply of ${length} bytes says ${told}`)
    const body = Buffer.from(bytes.subarray(16, length))
    this.answers.push({
      error: -bytes.readInt32LE(4),
      unique: bytes.readBigUInt64LE(8),
      body,
    })
    bytes.fill(this.poison, 0, length)
  }
}

interface Learned extends Known {
  readonly nodes: bigint[]
  readonly directories: bigint[]
  readonly opened: Opened[]
  readonly uniques: bigint[]
}

export class Client {
  readonly session: Attacked
  readonly faults: string[]
  /** Every answer, as text, where `keep` was asked for. */
  readonly told: string[] = []
  readonly known: Learned
  sent = 0
  readonly #roll: Roll
  readonly #arena = Buffer.alloc(REQUEST_BUFFER)
  readonly #behind: Buffer
  readonly #keep: boolean
  /** How many answers are owed, and which operation asked. */
  readonly #owed = new Map<bigint, { code: number; node: bigint; count: number }>()
  readonly #opened: Opened[] = []
  readonly #told = new Set<bigint>()
  #last = 2 ** 40

  constructor(
    fs: FileSystem,
    roll: Roll,
    options: { behind?: Buffer; poison?: number; keep?: boolean; names?: string[] } = {},
  ) {
    this.#roll = roll
    this.#keep = options.keep ?? false
    this.#behind = options.behind ?? Buffer.from(`${CANARY}\0`.repeat(20))
    this.known = {
      nodes: [1n],
      directories: [1n],
      opened: [],
      names: options.names ?? [],
      uniques: [],
    }
    const faults: string[] = []
    const log: Log = { ...silent, error: (text, cause) => noteUnexpected(faults, text, cause) }
    this.session = new Attacked(fs, { log, kernelTid: TOUCHING })
    this.session.poison = options.poison ?? 0
    this.faults = faults
    this.#fillArena(0, this.#arena.length)
    this.send({ bytes: request(CODE.init, 0, initBody(), { unique: 2 }), length: 104 })
  }

  /** Sends the first `length` bytes; what lies behind them is somebody else's. */
  send({ bytes, length }: Case): void {
    this.sent++
    if (length >= 40) {
      this.#apart(bytes)
      this.#owe(bytes)
    }
    bytes.copy(this.#arena, 0, 0, length)
    try {
      this.session.handle(this.#arena, length)
    } catch (err) {
      this.faults.push(`${codeName(bytes)}: left the session: ${String(err)}`)
    }
    this.#take()
    this.#fillArena(0, length)
  }

  /** Ends a job under way, sometimes with an error. */
  finishOne(failing = true): void {
    const next = this.session.submitted[0]
    if (next === undefined) return
    const error = failing && this.#roll(4) === 0 ? 28 : carryOut(next.job)
    this.session.finish(error)
    this.#take()
  }

  /** Everything ends: jobs, open files, nodes. */
  finish(): void {
    while (this.session.submitted.length > 0) this.finishOne(false)
    for (const { node, handle, directory } of this.#opened.splice(0)) {
      const body = Buffer.alloc(24)
      body.writeBigUInt64LE(handle)
      this.#sendLast(directory ? CODE.releasedir : CODE.release, node, body)
    }
    for (const node of this.#told) this.#sendLast(CODE.forget, node, Buffer.alloc(8, 0x3f))
    while (this.session.submitted.length > 0) this.finishOne(false)
    for (const [unique, { code, count }] of this.#owed) {
      if (count !== 0) this.faults.push(`${nameOf(code)} ${unique}: ${count} answers too few`)
    }
    if (this.session.waiting !== 0) this.faults.push(`${this.session.waiting} wait for ever`)
    this.faults.push(...this.session.faults)
  }

  #sendLast(code: number, node: bigint, body: Buffer): void {
    this.#last += 2
    const bytes = request(code, 0, body, { unique: this.#last })
    bytes.writeBigUInt64LE(node, 16)
    this.send({ bytes, length: bytes.length })
  }

  #fillArena(from: number, to: number): void {
    this.#arena.fill(this.#behind, from, Math.min(to + 4096, this.#arena.length))
  }

  // Which of two requests of one number was answered cannot be told: what opens has its own.
  #apart(bytes: Buffer): void {
    const owed = this.#owed.get(bytes.readBigUInt64LE(8))
    if (owed === undefined) return
    if (!TELLING.has(owed.code) && !TELLING.has(bytes.readUInt32LE(4))) return
    this.#last += 2
    bytes.writeBigUInt64LE(BigInt(this.#last), 8)
  }

  #owe(bytes: Buffer): void {
    const code = bytes.readUInt32LE(4)
    if (SILENT.has(code)) return
    const unique = bytes.readBigUInt64LE(8)
    const owed = this.#owed.get(unique)
    if (owed === undefined) {
      this.#owed.set(unique, { code, node: bytes.readBigUInt64LE(16), count: 1 })
    } else {
      // Which of the two an answer is for cannot be told.
      owed.code = owed.count === 0 ? code : -1
      owed.count++
    }
    const { uniques } = this.known
    if (uniques.length < 20) uniques.push(unique)
    else uniques[this.#roll(20)] = unique
  }

  #take(): void {
    for (const answer of this.session.answers.splice(0)) {
      const { unique, error, body } = answer
      if (this.#keep) this.told.push(`${unique} ${error} ${body.toString('hex')}`)
      const owed = this.#owed.get(unique)
      if (owed === undefined || owed.count === 0) {
        this.faults.push(`${unique}: an answer to nothing, or a second one`)
        continue
      }
      owed.count--
      this.#check(owed, answer)
      if (owed.count === 0) this.#owed.delete(unique)
    }
  }

  #check({ code, node }: { code: number; node: bigint }, { error, body }: Answer): void {
    const name = nameOf(code)
    if (error < 0 || error > MOST_ERRNO) this.faults.push(`${name}: errno ${error}`)
    if (error !== 0 && body.length > 0) this.faults.push(`${name}: an error with a body`)
    if (body.includes(CANARY)) this.faults.push(`${name}: tells what lay behind the message`)
    if (error !== 0 || code === -1) return
    const length = LENGTH_OF.get(code)
    if (length !== undefined && body.length !== length)
      this.faults.push(`${name}: ${body.length} bytes instead of ${length}`)
    else this.#learn(code, node, body)
  }

  #learn(code: number, asked: bigint, body: Buffer): void {
    const length = LENGTH_OF.get(code) ?? -1
    if (code === CODE.readdir || code === CODE.readdirplus) this.#learnList(code, body)
    if (length >= ENTRY) this.#learnNode(body)
    if (length === OPENED || length === ENTRY + OPENED) {
      const handle = body.readBigUInt64LE(length - OPENED)
      const node = length === OPENED ? asked : body.readBigUInt64LE(0)
      const opened = { node, handle, directory: code === CODE.opendir }
      this.#remember(this.known.opened, opened)
      this.#opened.push(opened)
    }
  }

  #learnNode(entry: Buffer): void {
    const node = entry.readBigUInt64LE(0)
    if (node === 0n) return
    this.#told.add(node)
    this.#remember(this.known.nodes, node)
    const isDirectory = (entry.readUInt32LE(MODE_OF_ENTRY) & S.IFMT) === S.IFDIR
    if (isDirectory) this.#remember(this.known.directories, node)
  }

  #learnList(code: number, body: Buffer): void {
    for (let at = 0; at < body.length; ) {
      const start = at
      if (code === CODE.readdirplus) {
        const node = body.readBigUInt64LE(at)
        if (node !== 0n) this.#told.add(node)
        at += ENTRY
      }
      if (at + 24 > body.length) return void this.faults.push('a listing ends in an entry')
      at += (24 + body.readUInt32LE(at + 16) + 7) & ~7
      if (at > body.length || at <= start) return void this.faults.push('a listing is cut off')
    }
  }

  #remember<T>(into: T[], value: T): void {
    if (into.length < MOST_KNOWN) into.push(value)
    else into[this.#roll(MOST_KNOWN)] = value
  }
}

const nameOf = (code: number): string => BY_CODE[code]?.name ?? `operation ${code}`
const codeName = (bytes: Buffer): string =>
  bytes.length >= 8 ? nameOf(bytes.readUInt32LE(4)) : 'a piece'

// A message that ends early is what the cursor is there to say; all else is a mistake of ours.
function noteUnexpected(faults: string[], text: string, cause: unknown): void {
  if (cause instanceof ShortMessage || cause === undefined) return
  const { stack } = cause as Error
  const fault = `${text.slice(0, 100)}: ${stack?.split('\n').slice(0, 4).join(' ') ?? String(cause)}`
  if (faults.length < 50) faults.push(fault)
}

/** What an io thread would do; nothing here has to reach the disk. */
function carryOut(job: Job): number {
  if (job.kind === 'copy' && job.from >= 0) copyData(job.from, job.to, job.size)
  return 0
}
