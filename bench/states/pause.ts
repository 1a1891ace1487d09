// What a freeze and a snapshot cost a program that writes meanwhile: latencies of its writes before,
// and while both are under way, over a writable sublayer of many files and bytes.
//
//   measurePause({ files: 20_000, bytes: 4 GiB, seconds: 20 }) ─▶ { before, meanwhile } in milliseconds
//   node dist/bench/states/pause.js [FILES [MIB [SECONDS]]]
//
// Rule: the writer is a process of its own; the store goes with the measurement.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Svsfs } from '../../test/story/svsfs.ts'

export interface PauseWish {
  readonly files: number
  /** Bytes of the writable sublayer. */
  readonly bytes: number
  /** How long is measured, each time. */
  readonly seconds: number
}

export interface Latencies {
  readonly count: number
  readonly p50: number
  readonly p999: number
  readonly worst: number
}

export interface Pause {
  readonly before: Latencies
  /** From a freeze to its thaw, with a snapshot between. */
  readonly meanwhile: Latencies
  /** Milliseconds that the snapshot took. */
  readonly snapshot: number
}

/** Overwrites, appends, makes and renames by turns, and prints how long each took, in microseconds. */
const WRITER = `
  const fs = require('fs')
  const [dir, files] = process.argv.slice(1)
  const page = Buffer.alloc(4096, 'w')
  const big = fs.openSync(dir + '/big', 'r+')
  const pages = Math.floor(fs.fstatSync(big).size / 4096)
  const at = (n, below) => Math.floor((n * 2654435761) % below)
  for (let n = 1, out = []; ; n++) {
    const name = dir + '/d' + at(n, 200) + '/f' + at(n * 7, files)
    const begin = process.hrtime.bigint()
    if (n % 4 === 0) fs.writeFileSync(name, page)
    else if (n % 4 === 1) { fs.writeFileSync(dir + '/new', page); fs.renameSync(dir + '/new', dir + '/last') }
    else if (n % 4 === 2) fs.writeSync(big, page, 0, 4096, at(n * 13, pages) * 4096)
    else { fs.writeSync(big, page, 0, 4096, at(n * 17, pages) * 4096); fs.fdatasyncSync(big) }
    out.push(Number(process.hrtime.bigint() - begin) / 1000)
    if (out.length === 50) { fs.writeSync(1, out.join(' ') + '\\n'); out = [] }
  }
`

/** Makes a store, measures, and takes it away. */
export async function measurePause({ files, bytes, seconds }: PauseWish): Promise<Pause> {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-pause-'))
  const svsfs = new Svsfs(join(dir, 'store'))
  const at = join(dir, 'mount')
  for (const name of ['mount', 'source']) mkdirSync(join(dir, name))
  let stop = () => {}
  try {
    await svsfs.ask('layer', 'create', 'app', '--from', join(dir, 'source'))
    await svsfs.ask('activate', 'app')
    await svsfs.ask('mount', at)
    fill(at, files, bytes)
    const taken: number[] = []
    const writer = spawn(process.execPath, ['-e', WRITER, at, String(files)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    stop = () => writer.kill('SIGKILL')
    createInterface({ input: writer.stdout }).on('line', (line) => {
      taken.push(...line.split(' ').map(Number))
    })
    await sleep(3000)
    taken.length = 0
    await sleep(seconds * 1000)
    const before = latenciesOf(taken.splice(0))
    const { id } = (await svsfs.ask('freeze', 'app')) as { id: string }
    const begin = performance.now()
    await svsfs.ask('snapshot', 'app')
    const snapshot = performance.now() - begin
    await sleep(Math.max(0, seconds * 1000 - snapshot))
    await svsfs.ask('thaw', id)
    return { before, meanwhile: latenciesOf(taken.splice(0)), snapshot }
  } finally {
    stop()
    await svsfs.ask('umount', '--all', '--lazy').catch(() => {})
    rmSync(dir, { recursive: true, force: true })
  }
}

function fill(at: string, files: number, bytes: number): void {
  for (let i = 0; i < 200; i++) mkdirSync(join(at, `d${i}`))
  const small = Buffer.alloc(4096, 'small')
  for (let i = 0; i < files; i++) {
    const fd = openSync(join(at, `d${i % 200}`, `f${i}`), 'w')
    writeSync(fd, small)
    closeSync(fd)
  }
  const big = openSync(join(at, 'big'), 'w')
  const piece = Buffer.alloc(1024 * 1024, 'big')
  for (let done = files * small.length; done < bytes; done += piece.length) writeSync(big, piece)
  closeSync(big)
}

function latenciesOf(microseconds: readonly number[]): Latencies {
  const sorted = [...microseconds].sort((a, b) => a - b)
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) / 1000
  return { count: sorted.length, p50: at(0.5), p999: at(0.999), worst: at(1) }
}

const isProgram = process.argv[1]?.endsWith('pause.js') === true
if (isProgram) {
  const [files = 20_000, mib = 4096, seconds = 20] = process.argv.slice(2).map(Number)
  const pause = await measurePause({ files, bytes: mib * 1024 * 1024, seconds })
  process.stdout.write(`${JSON.stringify(pause, null, 2)}\n`)
}
