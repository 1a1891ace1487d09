// Stores on one machine, one of them reached from another by ssh: what the tests of deployments act on.
//
//   { skip: WITHOUT_SSHD }                  where none can be started
//   const land = await landOf(t)
//   await land.answer('deploy', …)          from the store that deploys, land.here
//   const host = await land.host('desk')    a store of its own behind the sshd, known here by that name
//
// Rule: everything goes with the test, mounts first.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Test } from 'tap'
import { ANSWERS, answered } from '../../lib/cli/answers/all.ts'
import { ReadySvsfs } from '../daemon/ready.ts'
import { type Done, PROGRAM } from '../story/svsfs.ts'
import { type Drawing, draw } from '../union/view-of.ts'
import { hasSshd, type Sshd, startSshd } from './sshd.ts'

export interface Answer {
  readonly layer: string
  readonly results: readonly {
    readonly host: string
    readonly ok: boolean | null
    readonly data: {
      readonly done: string
      readonly state: string
      readonly before: string | null
      readonly chunks: number
      readonly bytes: number
      readonly from: string | null
    } | null
    readonly error: { readonly code: string; readonly message: string } | null
  }[]
}

/** A store whose commands may fail. */
export class Store extends ReadySvsfs {
  raw(...words: string[]): Promise<Done> {
    return this.finish(words)
  }
}

export class Land {
  readonly dir: string
  readonly sshd: Sshd
  readonly here: Store
  readonly #stores: Store[] = []
  readonly #proxies: Server[] = []
  /** Done before the directory is removed. */
  readonly atEnd: (() => void)[] = []

  constructor(dir: string, sshd: Sshd) {
    this.dir = dir
    this.sshd = sshd
    this.here = this.store('here')
  }

  store(name: string): Store {
    const store = new Store(join(this.dir, name))
    this.#stores.push(store)
    return store
  }

  /** The words that add a host for that store. */
  words(
    name: string,
    store: string,
    more: { port?: number; options?: readonly string[] } = {},
  ): string[] {
    const { port = this.sshd.port, options = this.sshd.options } = more
    const alias = `HostKeyAlias=[127.0.0.1]:${this.sshd.port}`
    return [
      ...['host', 'add', name, this.sshd.url.replace(/\d+$/, String(port))],
      ...[...options, alias].flatMap((each) => ['--option', each]),
      ...['--program', `'${process.execPath}' '${PROGRAM}'`, '--store-there', store],
    ]
  }

  /** The last word of `path` is its name. */
  async host(path: string, port?: number): Promise<Store> {
    const store = this.store(path)
    const name = basename(path)
    await this.here.ask(...this.words(name, store.store, port === undefined ? {} : { port }))
    return store
  }

  /** A directory with a tree in it. */
  tree(name: string, drawing: Drawing): string {
    const at = join(this.dir, name)
    draw(at, drawing)
    return at
  }

  /** What a command says, also where it does not succeed on all hosts. */
  async answer(...words: string[]): Promise<{ status: number | null; data: Answer }> {
    const done = await this.here.raw(...words, '--json')
    const shape = ANSWERS[words[0] === 'host' ? words.slice(0, 2).join(' ') : words[0]!]!
    const answer = answered(shape).parse(JSON.parse(done.stdout)) as { data: Answer }
    return { status: done.status, data: answer.data }
  }

  /** A port that leads to the sshd, until so many bytes went that way: then the link is cut. */
  async cutAfter(bytes: number): Promise<{ port: number; mend(): void }> {
    let left = bytes
    const sockets = new Set<Socket>()
    const server = createServer((from) => {
      const to = connect(this.sshd.port, '127.0.0.1')
      const end = () => {
        from.destroy()
        to.destroy()
      }
      for (const socket of [from, to]) {
        sockets.add(socket)
        socket.on('error', end)
        socket.on('close', end)
      }
      from.on('data', (chunk: Buffer) => {
        left -= chunk.length
        if (left < 0) return end()
        // What waits in between is lost with the link: little is to.
        if (to.write(chunk)) return
        from.pause()
        to.once('drain', () => from.resume())
      })
      to.pipe(from)
    })
    server.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    this.#proxies.push(server)
    const { port } = server.address() as { port: number }
    return {
      port,
      mend() {
        left = Number.POSITIVE_INFINITY
      },
    }
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies) proxy.close()
    await this.sshd.stop()
    for (const store of this.#stores) {
      store.stop()
      await store.raw('umount', '--all', '--lazy')
    }
    for (const act of this.atEnd) act()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Writes into the writable part of a layer that no mount shows. */
export async function write(
  store: Store,
  layer: string,
  files: Readonly<Record<string, string | Buffer>>,
): Promise<void> {
  const { places } = (await store.ask('layer', 'show', layer)) as { places: { rw: string } }
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(places.rw, name)), { recursive: true })
    writeFileSync(join(places.rw, name), bytes)
  }
}

/** Why nothing here can be tested; false where it can. */
export const WITHOUT_SSHD = hasSshd()
  ? false
  : 'no sshd or ssh here (test/setup.sh says what brings them)'

/** `before`: done before its sshd is started. */
export async function landOf(t: Test, before?: (dir: string) => void): Promise<Land> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'svsfs-hosts-')))
  before?.(dir)
  const sshd = await startSshd(dir)
  if (sshd === null) throw new Error('no sshd')
  const land = new Land(dir, sshd)
  t.teardown(() => land.close())
  return land
}
