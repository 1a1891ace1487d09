// The line to a server: it counts what passes, and can be cut in the middle.

import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

export class Line {
  /** Bytes towards the server, and back. */
  up = 0
  down = 0
  /** How often it was cut. */
  cuts = 0
  #cut: { way: 'up' | 'down'; after: number } | null = null
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const [from, to, way] of [
        [near, far, 'up'],
        [far, near, 'down'],
      ] as const) {
        this.#sockets.add(from)
        from.on('data', (bytes) => {
          this[way] += bytes.length
          const left = this.#left(way, bytes.length)
          if (left !== null) {
            // What came through before the cut did arrive.
            to.write(bytes.subarray(0, left), () => {
              near.destroy()
              far.destroySoon()
            })
            return
          }
          if (!to.write(bytes)) {
            from.pause()
            to.once('drain', () => from.resume())
          }
        })
        from.on('end', () => to.end())
        from.on('error', () => to.destroy())
        from.on('close', () => {
          this.#sockets.delete(from)
          to.destroySoon()
        })
      }
    })
  }

  static async to(t: Test, port: number): Promise<Line> {
    const line = new Line(port)
    await new Promise<void>((resolve) => line.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => line.close())
    return line
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Cuts the connection that carries so many bytes from now on; the next ones are whole. */
  cutAfter(way: 'up' | 'down', after: number): void {
    this.#cut = { way, after }
  }

  /** What passed since it was asked last. */
  passed(): { up: number; down: number } {
    const { up, down } = this
    this.up = 0
    this.down = 0
    return { up, down }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #left(way: 'up' | 'down', length: number): number | null {
    if (this.#cut?.way !== way) return null
    if (length < this.#cut.after) {
      this.#cut.after -= length
      return null
    }
    const { after } = this.#cut
    this.#cut = null
    this.cuts += 1
    return after
  }
}
