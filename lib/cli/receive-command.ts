// svsfs receive: the other end of svsfs deploy, on a host. It hears requests on stdin, and answers on
// stdout (lib/deploy/receiver.ts); what it is asked to do, the methods of the store do.
//
//   link ─▶ row ─▶ incoming/ (chunks as they come) ─▶ receive.… of the API
//
// Rule: what was begun is ended, whether anybody listens or not. One layer is deployed by one link at a
// time; its lock goes with this process.

import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { arch, release } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { errorWords } from '../daemon/errors.ts'
import { storeExists } from '../daemon/store.ts'
import { dropOld, Incoming, lockLayer } from '../deploy/incoming.ts'
import {
  type About,
  callParams,
  type LayerAnswer,
  layerParams,
  offerParams,
  REMOTE,
  type RolledBack,
  rollbackParams,
  type Taken,
  takeParams,
  type Wanted,
} from '../deploy/messages.ts'
import { type Asked, type Rows, receive, row } from '../deploy/receiver.ts'
import type { CommandRow } from './command.ts'
import type { Session } from './session.ts'
import { version } from './version.ts'

export const receiveCommand: CommandRow<null, null> = {
  about:
    'Started by ssh for svsfs deploy, rollback and all commands with --host. A key that may do nothing else: command="svsfs receive" in front of it in ~/.ssh/authorized_keys.',
  examples: ['svsfs receive --store /srv/layers'],
  parse: () => null,
  async run({ session }) {
    const end = new ReceivingEnd(session)
    // Nobody may listen any more; what is under way goes on.
    process.stdout.removeAllListeners('error')
    process.stdout.on('error', () => {})
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
    try {
      await receive({ input: process.stdin, output: process.stdout }, end.rows, (err) => ({
        ...errorWords(err),
      }))
    } finally {
      end.close()
    }
    return null
  },
  print: () => {},
}

interface Deployment {
  readonly layer: string
  readonly payload: string
  readonly allowUnsigned: boolean
  readonly incoming: Incoming
  wanted: ReadonlySet<string>
}

const MOST_OUTPUT = 2000
/** What the doctor looks at that mounts need. */
const OF_FUSE: ReadonlySet<string> = new Set(['/dev/fuse', 'fusermount3', 'kernel'])

class ReceivingEnd {
  readonly #session: Session
  readonly #locks = new Map<string, () => void>()
  #deployment: Deployment | null = null
  #progress: (text: string) => void = () => {}

  constructor(session: Session) {
    this.#session = session
    session.onProgress((text) => this.#progress(text))
    session.keepOpen('svsfs receive')
  }

  close(): void {
    this.#deployment?.incoming.close()
    for (const release of this.#locks.values()) release()
  }

  readonly rows: Rows = {
    about: row(z.strictObject({}), () => this.#about()),
    layer: row(layerParams, (params) => this.#layer(params)),
    offer: row(offerParams, (params, asked) => this.#offer(params, asked)),
    pieces: row(z.strictObject({}), (_, asked) => this.#pieces(asked)),
    take: row(takeParams, (params, asked) => this.#take(params, asked)),
    drop: row(z.strictObject({}), async () => this.#drop()),
    rollback: row(rollbackParams, (params, asked) => this.#rollback(params.layer, asked)),
    call: row(callParams, ({ method, params }, asked) => this.#call(method, params, asked)),
  }

  get #hasStore(): boolean {
    return storeExists(this.#session.places.root)
  }

  async #about(): Promise<About> {
    const { examineHost } = await import('../daemon/doctor-host.ts')
    const { codecsHere } = await import('../daemon/receive-methods.ts')
    const found = await examineHost()
    const failing = found.filter(({ verdict, name }) => verdict === 'failure' && OF_FUSE.has(name))
    const rest = this.#hasStore
      ? await this.#session.call('receive.about', {})
      : { free: freeAbove(this.#session.places.root), layers: null }
    return {
      version: version(),
      arch: arch(),
      kernel: release(),
      fuse:
        failing.length === 0
          ? null
          : failing.map(({ name, says }) => `${name}: ${says}`).join('; '),
      codecs: codecsHere(),
      ...rest,
    }
  }

  async #layer(params: z.infer<typeof layerParams>): Promise<LayerAnswer> {
    if (this.#hasStore) return this.#session.call('receive.layer', params)
    const { codecsHere } = await import('../daemon/receive-methods.ts')
    return { bases: null, state: null, codecs: codecsHere() }
  }

  async #lock(layer: string): Promise<string> {
    const { incoming } = await this.#session.call('receive.begin', {})
    if (!this.#locks.has(layer)) this.#locks.set(layer, lockLayer(incoming, layer))
    return incoming
  }

  async #offer(params: z.infer<typeof offerParams>, { pieces }: Asked): Promise<Wanted> {
    const { layer, payload, allowUnsigned, ...lengths } = params
    const dir = await this.#lock(layer)
    const bytes = await collected(pieces, lengths.manifest + lengths.signature)
    const manifest = bytes.subarray(0, lengths.manifest)
    if (hash('sha256', manifest) !== payload)
      throw new Failure('SVS_ARCHIVE_DAMAGED', 'the archive', 'its manifest is another one')
    dropOld(dir)
    this.#deployment?.incoming.close()
    const incoming = new Incoming(dir, payload)
    this.#deployment = { layer, payload, allowUnsigned, incoming, wanted: new Set() }
    return unlessUseless(incoming, async () => {
      incoming.setTexts(manifest, bytes.subarray(lengths.manifest))
      return this.#wanted()
    })
  }

  async #wanted(): Promise<Wanted> {
    const { layer, payload, allowUnsigned } = this.#begun()
    const answer = await this.#session.call('receive.offer', { layer, payload, allowUnsigned })
    this.#begun().wanted = new Set(answer.wanted)
    return answer
  }

  async #pieces({ pieces }: Asked): Promise<Wanted> {
    const { incoming, wanted } = this.#begun()
    await unlessUseless(incoming, async () => {
      for await (const bytes of pieces) {
        if (!wanted.has(hash('sha256', bytes)))
          throw new Failure('SVS_BAD_REQUEST', 'pieces', 'a chunk that nobody wanted')
        incoming.put(bytes)
      }
    })
    return this.#wanted()
  }

  async #take(params: z.infer<typeof takeParams>, asked: Asked): Promise<Taken> {
    const { layer, payload, incoming } = this.#begun()
    if (params.layer !== layer || params.payload !== payload)
      throw new Failure('SVS_BAD_REQUEST', 'take', 'something else was offered')
    const { check, checkTime, ...wish } = params
    this.#progress = asked.progress
    const pending = check !== null && wish.restore
    const taken = await unlessUseless(incoming, () =>
      this.#session.call('receive.take', { ...wish, pending }),
    )
    if (taken.done === 'wanted') return taken
    this.#drop()
    if (pending && taken.done === 'switched')
      await this.#check(layer, taken, check, checkTime, asked)
    return taken
  }

  async #check(
    layer: string,
    { state }: Taken,
    command: string,
    seconds: number,
    asked: Asked,
  ): Promise<void> {
    asked.progress('running the check')
    const env = {
      SVSFS_STORE: this.#session.places.root,
      SVSFS_LAYER: layer,
      SVSFS_STATE: state ?? '',
    }
    // It may ask the store.
    await this.#session.rest()
    const why = await failureOfCheck(command, seconds, env)
    await this.#session.call('receive.settle', { layer, stays: why === null })
    if (why !== null) throw new Failure('SVS_CHECK_FAILED', 'this host', why, layer)
  }

  #drop(): null {
    this.#deployment?.incoming.close()
    this.#deployment?.incoming.remove()
    this.#deployment = null
    return null
  }

  async #rollback(layer: string, asked: Asked): Promise<RolledBack> {
    this.#progress = asked.progress
    if (!this.#hasStore) throw new Failure('SVS_NOTHING_DEPLOYED', layer)
    await this.#lock(layer)
    return this.#session.call('receive.rollback', { layer })
  }

  async #call(method: string, params: object, asked: Asked): Promise<unknown> {
    if (!REMOTE.has(method))
      throw new Failure('SVS_BAD_REQUEST', method, 'not from another machine')
    this.#progress = asked.progress
    return this.#session.call(method as 'status', params as Record<string, never>)
  }

  #begun(): Deployment {
    if (this.#deployment === null)
      throw new Failure('SVS_BAD_REQUEST', 'pieces', 'nothing was offered')
    return this.#deployment
  }
}

/** So many bytes, and no more. */
async function collected(pieces: AsyncIterable<Buffer>, length: number): Promise<Buffer> {
  const all: Buffer[] = []
  let left = length
  for await (const bytes of pieces) {
    left -= bytes.length
    if (left < 0) break
    all.push(bytes)
  }
  if (left !== 0) throw new Failure('SVS_BAD_REQUEST', 'offer', 'it has another length')
  return Buffer.concat(all)
}

/** After these, what came is of no use: it keeps a disk full, or will not do the next time either. */
const USELESS: ReadonlySet<string> = new Set([
  'SVS_DISK_FULL',
  'SVS_RESTORE_NO_ROOM',
  'SVS_ARCHIVE_DAMAGED',
])

/** What came is let go where the disk is full, which it would keep full, and where it is damaged. */
async function unlessUseless<T>(incoming: Incoming, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (err) {
    if (USELESS.has(errorWords(err).code)) incoming.remove()
    throw err
  }
}

function freeAbove(path: string): number {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = statfsSync(at)
      return bavail * bsize
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ENOENT' || at === '/') throw err
    }
  }
}

/** Runs a check in a shell; why it failed, or null. */
function failureOfCheck(
  command: string,
  seconds: number,
  env: Readonly<Record<string, string>>,
): Promise<string | null> {
  return new Promise((resolve) => {
    // A group of its own, so that all of it ends when its time is over.
    const child = spawn('/bin/sh', ['-c', command], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-MOST_OUTPUT)
      })
    let late = false
    const clock = setTimeout(() => {
      late = true
      endGroup(child.pid)
    }, seconds * 1000)
    const end = (how: string | null) => {
      clearTimeout(clock)
      // What it left running would hold the link open.
      endGroup(child.pid)
      const words = said.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
      resolve(how === null ? null : words === '' ? how : `${how}: ${words}`)
    }
    child.once('error', (err) => end(err.message))
    child.once('exit', (code, signal) => {
      if (late) end(`it took more than ${seconds} s`)
      else end(code === 0 ? null : code === null ? `signal ${signal}` : `exit status ${code}`)
    })
  })
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
  }
}
