// A process that has ended is not alive, whether or not somebody has asked for its status; one whose
// first thread has ended, and no other, is.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { isAlive } from '../../lib/host/alive.ts'

const stateOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.[0] ?? ''

async function untilEnded(pid: number): Promise<void> {
  for (let waited = 0; stateOf(pid) !== 'Z'; waited += 10) {
    if (waited > 20_000) throw new Error(`process ${pid} does not end`)
    await sleep(10)
  }
}

/** A process that prints a process number of its own making, and lives on. */
async function parent(t: { teardown(act: () => void): void }, words: string[]): Promise<number> {
  const child = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  return Number(said.toString())
}

t.test('this process is alive, and one that was waited for is not', async (t) => {
  t.ok(isAlive(process.pid))
  t.notOk(isAlive(spawnSync('true').pid))
})

t.test('one that ended is not, while its parent has not asked for its status', async (t) => {
  // `exec` turns the parent into a program that never asks.
  const pid = await parent(t, ['sh', '-c', 'sleep 0.1 & echo $!; exec sleep 60'])
  await untilEnded(pid)
  t.notOk(isAlive(pid))
})

t.test('one whose threads outlive the first is', async (t) => {
  // The main thread leaves by the call that ends a thread alone; the others stay.
  const program = `
    const koffi = require('koffi')
    const exit = koffi.load('libc.so.6').func('long syscall(long number, long status)')
    process.stdout.write(String(process.pid))
    setTimeout(() => exit(process.arch === 'x64' ? 60 : 93, 0), 100)`
  const pid = await parent(t, [process.execPath, '-e', program])
  await untilEnded(pid)
  t.ok(isAlive(pid))
})
