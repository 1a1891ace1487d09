// The command's end of run/daemon.sock: calls by name, answers as typed as the API's table.
//
// Rule: one connection for one command; closing it gives back what the command held (the
// private mount of `svsfs run`). A daemon that goes away fails every call under way: as
// SVS_DAEMON_STOPPING where it surely has not heard it, which may be asked again.

import { createConnection, type Socket } from 'node:net'
import { Failure } from '../base/failure.ts'
import { withAddress } from './address.ts'
import type { Answer, MethodName, Params } from './api.ts'
import { failureOf } from './errors.ts'
import { Lines, LONGEST_REPLY, type Reply } from './protocol.ts'
import type { StorePlaces } from './store-path.ts'

interface Waiting {
  progress(text: string): void
  resolve(data: unknown): void
  reject(failure: Failure): void
}

export class Client {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  /** The kernel says that what was written last was not read: the daemon ended before. */
  #unread = false

  /** The daemon of a store, or null where none answers. */
  static async connect(places: StorePlaces): Promise<Client | null> {
    try {
      return new Client(await withAddress(places, open))
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException
      if (code === 'EACCES' || code === 'EPERM')
        throw new Failure('SVS_STORE_OWNER', places.root, { cause: err })
      if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return null
      throw err
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    const lines = new Lines(
      LONGEST_REPLY,
      // What answers is this same program, which the kernel let only the owner start.
      (line) => this.#reply(JSON.parse(line) as Reply),
      () => socket.destroy(),
    )
    socket.on('data', (bytes) => lines.push(bytes as Buffer))
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      this.#unread = code === 'ECONNRESET' || code === 'EPIPE'
    })
    socket.on('close', () => this.#gone())
  }

  call<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
    progress: (text: string) => void = () => {},
  ): Promise<Answer<Name>> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Failure('SVS_DAEMON_STOPPING'))
      // The daemon is this same program: its table made the answer.
      this.#waiting.set(id, { progress, resolve: resolve as (data: unknown) => void, reject })
      this.#socket.write(`${JSON.stringify({ id, method, params })}\n`)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #reply(reply: Reply): void {
    // Said of the connection, not of one call: nothing more is answered.
    if (reply.id === null && !('progress' in reply) && !reply.ok) {
      const failure = failureOf(reply.error)
      for (const { reject } of this.#waiting.values()) reject(failure)
      this.#waiting.clear()
      return
    }
    const waiting = this.#waiting.get(reply.id ?? -1)
    if (waiting === undefined) return
    if ('progress' in reply) {
      waiting.progress(reply.progress)
      return
    }
    this.#waiting.delete(reply.id ?? -1)
    if (reply.ok) waiting.resolve(reply.data)
    else waiting.reject(failureOf(reply.error))
  }

  #gone(): void {
    // Of several calls the daemon may have heard the first.
    const unheard = this.#unread && this.#waiting.size === 1
    const code = unheard ? 'SVS_DAEMON_STOPPING' : 'SVS_DAEMON_GONE'
    for (const { reject } of this.#waiting.values()) reject(new Failure(code))
    this.#waiting.clear()
  }
}

function open(address: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(address)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
