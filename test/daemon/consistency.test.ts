// A snapshot is one instant, also while a program writes: what was fsynced before is in it, and of
// two files that were written in turn the second is never ahead of the first.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { storeOf } from './store-of.ts'

t.setTimeout(240_000)

// Says each number once it is safely in all three files.
const WRITER = `
  const fs = require('fs')
  const [dir] = process.argv.slice(1)
  const a = fs.openSync(dir + '/a', 'a'), b = fs.openSync(dir + '/b', 'a')
  for (let n = 1; ; n++) {
    for (const fd of [a, b]) { fs.writeSync(fd, n + '\\n'); fs.fsyncSync(fd) }
    const fd = fs.openSync(dir + '/new', 'w')
    fs.writeSync(fd, 'whole ' + n); fs.fsyncSync(fd); fs.closeSync(fd)
    fs.renameSync(dir + '/new', dir + '/state')
    fs.writeSync(1, n + '\\n')
  }
`

const last = (path: string): number => Number(readFileSync(path, 'utf8').trim().split('\n').at(-1))

t.test('ten states taken at full speed are each one instant', async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'd/base': 'b' })
  await place.mount()
  await place.ask('activate', 'app')
  const dir = join(place.at, 'd')
  const writer = spawn(process.execPath, ['-e', WRITER, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => writer.kill('SIGKILL'))
  let acknowledged = 0
  writer.stdout.on('data', (chunk: Buffer) => {
    acknowledged = Number(chunk.toString().trim().split('\n').at(-1))
  })
  await once(writer.stdout, 'data')
  const states: { id: string; before: number }[] = []
  while (states.length < 10) {
    const before = acknowledged
    const { id } = (await place.ask('snapshot', 'app', '-m', `${before}`)) as { id: string }
    states.push({ id, before })
  }
  writer.kill('SIGKILL')
  await once(writer, 'exit')
  t.ok(states.at(-1)!.before > states[0]!.before, 'the writer went on meanwhile')
  for (const { id, before } of states) {
    await place.ask('restore', 'app', id, '--force')
    const [a, b] = [last(join(dir, 'a')), last(join(dir, 'b'))]
    t.ok(b >= before, `${b} is there, ${before} was acknowledged before`)
    t.ok(a === b || a === b + 1, `a ends with ${a}, b with ${b}`)
    const state = readFileSync(join(dir, 'state'), 'utf8')
    t.match(state, /^whole \d+$/)
    t.ok(Number(state.slice(6)) >= before && Number(state.slice(6)) <= b)
    if (existsSync(join(dir, 'new'))) t.ok(a === b, 'only after both were written')
  }
})
