// A store with a mount for one test, served by a daemon of its own; everything goes with the test.
//
//   const place = await storeOf(t)
//   await place.layer('app', { 'bin/app': 'program' })       made, not active
//   await place.mount()                                     at place.at

import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive } from '../../lib/host/alive.ts'
import { type Drawing, draw } from '../union/view-of.ts'
import { ReadySvsfs } from './ready.ts'

export class StorePlace extends ReadySvsfs {
  readonly dir: string
  /** The mount point. */
  readonly at: string

  constructor(dir: string) {
    super(join(dir, 'store'))
    this.dir = dir
    this.at = join(dir, 'mount')
    mkdirSync(this.at)
  }

  async layer(name: string, drawing: Drawing): Promise<void> {
    const from = join(this.dir, `${name}-source`)
    draw(from, drawing)
    await this.ask('layer', 'create', name, '--from', from)
  }

  async mount(...options: string[]): Promise<void> {
    await this.ask('mount', this.at, ...options)
  }

  /** Process number of the daemon. */
  async daemon(): Promise<number> {
    const status = (await this.ask('status')) as { daemon: { pid: number } | null }
    if (status.daemon === null) throw new Error('no daemon runs')
    return status.daemon.pid
  }

  /** Waits until a process is gone, by what the kernel's table says and not by when a signal was sent. */
  async ended(pid: number): Promise<void> {
    while (isAlive(pid)) await sleep(20)
  }

  async close(): Promise<void> {
    this.stop()
    await this.ask('umount', '--all', '--lazy')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export async function storeOf(t: {
  teardown(act: () => Promise<void>): void
}): Promise<StorePlace> {
  const place = new StorePlace(realpathSync(mkdtempSync(join(tmpdir(), 'svsfs-live-'))))
  t.teardown(() => place.close())
  return place
}
