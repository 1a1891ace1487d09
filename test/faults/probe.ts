// How long requests of a mount take at worst, as another process meets them: a program of its own.
//
//   node probe.js DIRECTORY MILLISECONDS     prints {"worst": ms, "of": "create", "usual": ms, "count": rounds}
//
// It looks for absent names, makes, reads and removes files, and lists: what the kernel's caches
// answer is not asked.

import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const [directory = '', milliseconds = '1000'] = process.argv.slice(2)
let count = 0
const name = () => join(directory, `p${process.pid}-${count}`)

const ACTS: Record<string, () => void> = {
  lookup: () => void statSync(`${name()}-absent`, { throwIfNoEntry: false }),
  create: () => {
    const fd = openSync(name(), 'wx')
    writeSync(fd, 'some bytes\n')
    closeSync(fd)
  },
  read: () => void readFileSync(name()),
  unlink: () => unlinkSync(name()),
  mkdir: () => mkdirSync(name()),
  list: () => void readdirSync(name()),
  rmdir: () => rmdirSync(name()),
}

let worst = 0
const all: number[] = []
let of = ''
const until = performance.now() + Number(milliseconds)
while (performance.now() < until) {
  count += 1
  for (const [kind, act] of Object.entries(ACTS)) {
    const began = performance.now()
    act()
    const took = performance.now() - began
    // The first round compiles the program.
    if (count < 3) continue
    all.push(took)
    if (took <= worst) continue
    worst = took
    of = kind
  }
}
all.sort((a, b) => a - b)
const usual = all[Math.floor(all.length * 0.999)] ?? 0
process.stdout.write(`${JSON.stringify({ worst, of, usual, count })}\n`)
