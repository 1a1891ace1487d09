// A MemoryFileSystem mounted by a program of its own, for a test: gone when the test is over.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { Negotiated } from '../../lib/fuse/init.ts'
import type { ServeOptions } from './serve-memory.ts'

export class Served {
  readonly mountPoint: string
  readonly lines: string[] = []
  readonly child: ChildProcess
  stderr = ''
  /** What was agreed with the kernel; its flags are a list here. */
  agreed: Pick<Negotiated, 'minor' | 'prunes'> | null = null
  #wake: () => void = () => {}

  constructor(
    mountPoint: string,
    options: ServeOptions,
    as?: { uid: number; gid: number },
    name = 'serve-memory',
  ) {
    this.mountPoint = mountPoint
    const program = new URL(`./${name}.js`, import.meta.url).pathname
    this.child = spawn(process.execPath, [program, mountPoint, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...as,
    })
    this.child.stderr?.on('data', (text) => {
      this.stderr += text
    })
    this.child.on('exit', () => this.#wake())
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(line)
      this.#wake()
    })
  }

  /**
   * Waits for a line that begins so, takes it out, and answers what follows. A mount may end late:
   * somebody's copy of the machine's mounts may hold it.
   */
  async line(start: string, patience = 60_000): Promise<string> {
    const until = Date.now() + patience
    for (;;) {
      const place = this.lines.findIndex((line) => line.startsWith(`${start} `))
      if (place !== -1) return this.lines.splice(place, 1)[0]!.slice(start.length + 1)
      const dead = this.child.exitCode !== null || this.child.signalCode !== null
      if (dead || Date.now() > until) {
        throw new Error(`no "${start}"; said ${this.lines.join(' | ')}; ${this.stderr}`)
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, 100)
      })
    }
  }

  /** One of the commands of serve-memory.ts. */
  command(text: string): void {
    const args = ['-n', 'user.command', '-v', text, this.mountPoint]
    const ran = spawnSync('setfattr', args, { encoding: 'utf8' })
    if (ran.status !== 0) throw new Error(`setfattr: ${ran.stderr}`)
  }

  async exit(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await new Promise((resolve) => this.child.once('exit', resolve))
    }
    return this.child.exitCode
  }
}

/** Mounted and answering; unmounted, ended and removed when the test is over. */
export async function served(
  t: Test,
  options: ServeOptions = {},
  as?: { uid: number; gid: number },
  name = 'serve-memory',
): Promise<Served> {
  const mountPoint = mkdtempSync(join(tmpdir(), 'svsfs-fuse-'))
  if (as !== undefined) spawnSync('chown', [`${as.uid}:${as.gid}`, mountPoint])
  const server = new Served(mountPoint, options, as, name)
  t.teardown(async () => {
    spawnSync('umount', ['-l', mountPoint], { stdio: 'ignore' })
    if (server.child.exitCode === null) server.child.kill('SIGKILL')
    await server.exit()
    rmdirSync(mountPoint)
  })
  server.agreed = JSON.parse(await server.line('ready'))
  return server
}
