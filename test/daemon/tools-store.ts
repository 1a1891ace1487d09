// A store with one active layer for one test, acted upon by commands, each a process of its own.
//
//   const { must, read } = toolsStore(t)
//   must('mount', mountPoint)            read('tool') === 'as imported'
//
// Rule: whatever the test does, nothing stays mounted.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Status } from '../../lib/daemon/status-methods.ts'
import { ask, type Ran, svsfs } from '../cli/run-cli.ts'
import { mountsBelow } from '../runner/mounts.ts'
import { directory, type Test, throwAway } from './place.ts'

/** A store with the layer `tools`, and a place to mount at. Everything is unmounted at the end. */
export function toolsStore(t: Test) {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  const mountPoint = directory(dir, 'm')
  const run = (...words: string[]) => svsfs(store, ...words)
  const must = (...words: string[]) => done(run(...words), words)
  t.teardown(() => {
    // The daemon of a store ends with its last mount, or a few seconds after it mounted nothing.
    if (mountsBelow(dir).length > 0) run('umount', '--all', '--lazy')
  })
  execFileSync('cp', ['-a', madeStore(), store])
  const status = () => ask(store, 'status').data as Status
  const read = (name: string) => readFileSync(join(mountPoint, name), 'utf8')
  const write = (name: string, text: string) => writeFileSync(join(mountPoint, name), text)
  return { dir, store, mountPoint, run, must, status, read, write }
}

/** Made once for all tests of a file: a store names nothing outside, so a copy is one like it. */
function madeStore(): string {
  const made = join(tmpdir(), `made-${process.pid}`)
  const store = join(made, 'store')
  if (existsSync(store)) return store
  process.once('exit', () => rmSync(made, { recursive: true }))
  const from = directory(made, 'from')
  writeFileSync(join(from, 'tool'), 'as imported')
  const create = ['layer', 'create', 'tools', '--from', from, '--activate']
  done(svsfs(store, ...create), create)
  return store
}

function done(ran: Ran, words: readonly string[]): Ran {
  if (ran.status !== 0) throw new Error(`svsfs ${words.join(' ')}: ${ran.err}`)
  return ran
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (holds()) return
    await sleep(20)
  }
  throw new Error(`not within forty seconds: ${what}`)
}
