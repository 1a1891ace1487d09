// The daemon's end of run/daemon.sock: reads requests, runs them from the API's table, answers.
//
// Rule: only the store's owner and root are heard: the socket is 0600 in a directory of 0700,
// and the kernel is asked who connected. Nothing that arrives here ends the daemon, or makes it grow
// without bound: connections, lines half said, requests at once and answers unread have a limit.

import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Log } from '../base/log.ts'
import { peerUid } from '../host/peer.ts'
import { socketPath, withAddress } from './address.ts'
import { type Call, perform } from './api.ts'
import type { Control } from './control.ts'
import { checked, errorWords } from './errors.ts'
import { Lines, LONGEST_LINE, type Reply } from './protocol.ts'

const requestShape = z.object({
  id: z.number().int().nonnegative(),
  method: z.string().max(64),
  params: z.unknown().optional(),
})

/** Connections at once: each running `svsfs run` keeps one. */
const MOST_CONNECTIONS = 512
/** Requests of one connection under way; further ones wait in its socket. */
const MOST_AT_ONCE = 32
/** Bytes of lines that have not ended, of all connections together. */
const MOST_PENDING = 16 << 20
/** How long one that was turned away may take to read why. */
const LINGER_MS = 1000

export class Server {
  readonly #control: Control
  readonly #log: Log
  readonly #net: NetServer
  readonly #connections = new Map<Socket, Connection>()
  /** Of all connections. */
  #pending = 0
  #draining = false

  constructor(control: Control, log: Log) {
    this.#control = control
    this.#log = log
    this.#net = createServer((socket) => this.#accept(socket))
  }

  /** The lock is ours, so a socket that lies there belongs to nobody. */
  async listen(): Promise<void> {
    const { places } = this.#control.store
    rmSync(socketPath(places), { force: true })
    await withAddress(places, (address) => {
      return new Promise<void>((resolve, reject) => {
        this.#net.once('error', reject)
        this.#net.listen(address, resolve)
      })
    })
    chmodSync(socketPath(places), 0o600)
  }

  /** Takes no more requests; those under way are still answered. */
  drain(): void {
    this.#draining = true
    this.#net.close()
  }

  /** Closes all connections, after what was written to them has left. */
  end(): void {
    for (const connection of this.#connections.values()) connection.end()
  }

  #accept(socket: Socket): void {
    const refusal = this.#refusalOf(socket)
    if (refusal !== null) {
      turnAway(socket, refusal)
      return
    }
    const refuse = () => (this.#draining ? new Failure('SVS_DAEMON_STOPPING') : null)
    const mayKeep = (more: number) => {
      this.#pending += more
      return more <= 0 || this.#pending <= MOST_PENDING
    }
    const connection = new Connection(socket, this.#control, this.#log, refuse, mayKeep)
    this.#connections.set(socket, connection)
    socket.on('close', () => {
      this.#connections.delete(socket)
      connection.closed()
    })
  }

  #refusalOf(socket: Socket): Failure | null {
    if (!isAllowed(socket)) {
      this.#log.warn('a process of another user was turned away from the socket')
      return new Failure('SVS_STORE_OWNER', this.#control.store.places.root)
    }
    if (this.#connections.size < MOST_CONNECTIONS) return null
    return new Failure('SVS_DAEMON_BUSY', `${MOST_CONNECTIONS} commands are connected`)
  }
}

/** Says why, and hears no more; whoever goes on talking is not cut off before it could have read that. */
function turnAway(socket: Socket, failure: Failure): void {
  const refusal: Reply = { id: null, ok: false, error: errorWords(failure) }
  socket.on('error', () => {})
  socket.end(`${JSON.stringify(refusal)}\n`)
  socket.resume()
  const patience = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.on('close', () => clearTimeout(patience))
}

/** One command that is connected, and what it holds. */
class Connection {
  readonly #socket: Socket
  readonly #control: Control
  readonly #log: Log
  /** Why no request is taken, or null. */
  readonly #refusal: () => Failure | null
  /** Takes or gives back bytes of unfinished lines; false where there are too many. */
  readonly #mayKeep: (more: number) => boolean
  readonly #lines: Lines
  readonly #givenBack: (() => void)[] = []
  /** Requests that came with others, and wait for their end. */
  readonly #waiting: string[] = []
  #running = 0
  #kept = 0
  #open = true

  constructor(
    socket: Socket,
    control: Control,
    log: Log,
    refusal: () => Failure | null,
    mayKeep: (more: number) => boolean,
  ) {
    this.#refusal = refusal
    this.#mayKeep = mayKeep
    this.#socket = socket
    this.#control = control
    this.#log = log
    this.#lines = new Lines(
      LONGEST_LINE,
      (line) => this.#hear(line),
      () => this.#refuse(new Failure('SVS_BAD_REQUEST', 'the daemon', 'message too long')),
    )
    socket.on('data', (bytes) => this.#take(bytes as Buffer))
    socket.on('drain', () => this.#goOn())
    socket.on('error', () => {})
  }

  /** Says that nothing more is heard, so that who asks just now may ask again elsewhere. */
  end(): void {
    if (this.#running === 0 && this.#open) this.#refuse(new Failure('SVS_DAEMON_STOPPING'))
    else this.#socket.end()
  }

  closed(): void {
    this.#open = false
    this.#waiting.length = 0
    this.#mayKeep(-this.#kept)
    this.#kept = 0
    for (const giveBack of this.#givenBack.splice(0)) giveBack()
  }

  #take(bytes: Buffer): void {
    if (!this.#open) return
    this.#lines.push(bytes)
    const more = this.#lines.pending - this.#kept
    this.#kept += more
    if (!this.#mayKeep(more)) this.#refuse(new Failure('SVS_DAEMON_BUSY', 'too much is half said'))
  }

  #hear(line: string): void {
    this.#waiting.push(line)
    this.#goOn()
  }

  // What is not read here waits in the socket, and then in the process that sends it.
  #goOn(): void {
    const isFull = () => this.#running >= MOST_AT_ONCE || this.#socket.writableNeedDrain
    while (!isFull() && this.#waiting.length > 0) {
      this.#running++
      void this.#request(this.#waiting.shift()!).finally(() => {
        this.#running--
        this.#goOn()
      })
    }
    if (isFull() && this.#open) this.#socket.pause()
    else this.#socket.resume()
  }

  async #request(line: string): Promise<void> {
    let id: number | null = null
    try {
      const request = checked(requestShape, 'the daemon', parse(line))
      id = request.id
      const refusal = this.#refusal()
      if (refusal !== null) throw refusal
      const data = await perform(this.#control, request.method, request.params, this.#call(id))
      this.#send({ id, ok: true, data: data ?? null })
    } catch (err) {
      const error = errorWords(err)
      if (error.code === 'SVS_INTERNAL') this.#log.error('a request failed unexpectedly', err)
      this.#send({ id, ok: false, error })
    }
  }

  #call(id: number): Call {
    return {
      progress: (progress) => this.#send({ id, progress }),
      whenGone: (giveBack) => {
        if (this.#open) this.#givenBack.push(giveBack)
        else giveBack()
      },
    }
  }

  #refuse(failure: Failure): void {
    this.#open = false
    this.#waiting.length = 0
    if (this.#socket.writable) turnAway(this.#socket, failure)
  }

  #send(reply: Reply): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(reply)}\n`)
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new Failure('SVS_BAD_REQUEST', 'the daemon', 'not JSON', { cause })
  }
}

// Node keeps the descriptor of a socket in its handle, which its types do not mention. Where it
// is not there, the modes of the socket and of its directory are the check.
function isAllowed(socket: Socket): boolean {
  const { fd } = (socket as unknown as { _handle?: { fd?: number } })._handle ?? {}
  if (fd === undefined || fd < 0) return true
  const uid = peerUid(fd)
  return uid === 0 || uid === process.geteuid?.()
}
