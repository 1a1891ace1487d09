// What a daemon costs while it does nothing: memory after a `find` over many files, and the
// processor time of some idle seconds.
//
// Rule: the files are real and each is a name of its own; the kernel keeps them in its cache,
// so the daemon has to remember every one.

import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { AT_FDCWD, must, O, sys } from '../lib/host/sys.ts'
import { daemonsOf, memoryOf, processorTimeOf, run } from './processes.ts'

/** How often idle time is measured until nothing is used in it. */
const WINDOWS = 6

/** Less than this, in µs for a second, is nothing: the kernel's own bookkeeping. */
const NOTHING = 100

export interface Footprint {
  readonly files: number
  /** MiB of all processes that serve the mount. */
  readonly memory: number
  /** Processor time in an idle second, in µs. */
  readonly idle: number
}

/** Makes empty files below `dir`, 1000 a directory. */
export function makeEmptyFiles(dir: string, count: number): void {
  for (let i = 0; i < count; i++) {
    if (i % 1000 === 0) mkdirSync(`${dir}/${i / 1000}`, { recursive: true })
    const name = `${dir}/${Math.floor(i / 1000)}/file-${i}.txt`
    sys.close(must(sys.openat(AT_FDCWD, name, O.WRONLY | O.CREAT, 0o644), 'create'))
  }
}

/** Walks the mount with a stat of each file, and looks at its daemon then. */
export async function footprint(mountPoint: string, idleSeconds: number): Promise<Footprint> {
  const found = await run(['sh', '-c', `find '${mountPoint}' -type f -size -1000 | wc -l`])
  const daemons = daemonsOf(mountPoint)
  if (daemons.length === 0) throw new Error(`no process serves ${mountPoint}`)
  const sum = (of: (pid: number) => number) => daemons.reduce((total, pid) => total + of(pid), 0)
  const memory = sum(memoryOf)
  const idle = await idleTimeOf(() => sum(processorTimeOf), idleSeconds)
  return { files: Number(found), memory, idle }
}

/** Processor time in an idle second, in µs. */
export async function idleTimeOf(processorTime: () => number, seconds: number): Promise<number> {
  // V8 collects once more, some seconds after a thread became idle: a later window counts then.
  let idle = 0
  for (let window = 0; window < WINDOWS; window++) {
    const before = processorTime()
    await sleep(seconds * 1000)
    idle = (processorTime() - before) / seconds
    if (idle < NOTHING) break
  }
  return idle
}
