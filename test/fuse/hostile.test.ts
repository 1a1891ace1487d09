// Requests that no kernel sends. The seed is printed by the title of a failing run.

import t from 'tap'
import type { Job } from '../../lib/fuse/filesystem.ts'
import { BY_CODE } from '../../lib/fuse/operations.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import { begun, fields, request } from './wire.ts'

/** Numbers that look random, and are the same for the same seed (mulberry32). */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % below
  }
}

const codes = BY_CODE.flatMap((known, code) => (known === undefined ? [] : [code]))
const BODIES = [
  fields('name'),
  fields(1n, 0n, 4096, 0, 0n, 0, 0),
  fields(1n, 0, 0, 'a', 'b'),
  fields(8, 0, 0n, 3n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0),
  fields(0o755, 0, 0, 0, 'made'),
  fields(5, 0, 0, 0, 'user.a', Buffer.from('value')),
  fields(1n, 0n, 2n, 1n, 0n, 10n, 0n),
  fields(1n, 0n, 3, 0, 0n, 0, 0, Buffer.from('abc')),
]

const newJob = (id: number): Job => ({
  kind: 'copy',
  from: -1,
  to: -1,
  size: 0,
  flush: false,
  id,
  error: 0,
  done: false,
})

const { SEED } = process.env
const seed = Number(SEED ?? Date.now() % 1_000_000)

t.test(`30,000 mutated requests are each answered at most once (SEED=${seed})`, (t) => {
  const roll = dice(seed)
  const fs = new MemoryFileSystem()
  // Sizes of gigabytes are the filesystem's affair, and this one is made of memory.
  fs.setattr = (_caller, node) => ({ attr: fs.nodes.get(node)?.attr ?? fs.root.attr, attrValid: 0 })
  fs.write = (_caller, _node, { data }) => data.length
  fs.fallocate = () => {}
  fs.copyFileRange = () => 0
  const session = begun(fs)
  let jobs = 0
  for (let i = 0; i < 30_000; i++) {
    if (roll(50) === 0) fs.park.set(roll(2) === 0 ? 'open' : 'rename', newJob(++jobs))
    if (roll(20) === 0 && session.submitted.length > 0) session.finish(roll(2) * 5)
    const code = roll(20) === 0 ? roll(5000) : codes[roll(codes.length)]!
    const body = Buffer.from(BODIES[roll(BODIES.length)]!)
    for (let n = roll(4); n > 0 && body.length > 0; n--) body[roll(body.length)] = roll(256)
    const cut = roll(4) === 0 ? roll(body.length + 1) : body.length
    const bytes = request(code, roll(6), body.subarray(0, cut), { unique: 2 * i + 2 })
    if (roll(10) === 0) bytes[roll(bytes.length)] = roll(256)
    session.handle(bytes, roll(30) === 0 ? roll(bytes.length + 1) : bytes.length)
  }
  while (session.submitted.length > 0) session.finish()
  t.equal(session.waiting, 0, 'nobody waits for ever')
  t.ok(session.sent.length > 15_000, `${session.sent.length} answers`)
  const fine = session.sent.filter(({ error }) => error >= 0 && error < 512)
  t.equal(fine.length, session.sent.length, 'each errno is one that a kernel takes')
  t.equal(session.ask(3, 1, fields(0, 0, 0n))!.error, 0, 'and the session goes on')
  t.end()
})
