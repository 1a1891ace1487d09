// svsfs top: who asks a real mount for what, counted while somebody looks.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { topLines, type Use, usesBetween } from '../../lib/cli/top-lines.ts'
import type { TopAnswer } from '../../lib/daemon/top-methods.ts'
import { toolsStore } from '../daemon/tools-store.ts'
import { PROGRAM } from './run-cli.ts'
import { Terminal } from './terminal.ts'

t.setTimeout(120_000)

const plain = { columns: 79, rows: 20, paint: (_: unknown, text: string) => text }

t.test('what lies between two looks is told, the busiest first, within the width', async (t) => {
  const asked = (pid: number, name: string, LOOKUP: number, read: number) => ({
    ...{ pid, name, operations: LOOKUP === 0 ? {} : { LOOKUP, READ: 1 }, read, written: 0 },
  })
  const look = (at: number, since: number | null, ...processes: ReturnType<typeof asked>[]) =>
    ({ at, mounts: [{ id: 1, mountPoint: '/m', since, processes }] }) as TopAnswer
  const first = look(1000, 5, asked(7, 'a', 10, 100), asked(8, 'idle', 3, 5))
  const last = look(3000, 5, asked(7, 'a', 14, 4196), asked(8, 'idle', 3, 5), asked(0, '', 9, 0))
  const found = usesBetween(first, last)
  t.match(found, {
    seconds: 2,
    uses: [
      { pid: null, name: 'page cache, kernel', operations: { LOOKUP: 9, READ: 1 }, requests: 10 },
      { pid: 7, name: 'a', operations: { LOOKUP: 4 }, requests: 4, read: 4096 },
    ],
  })
  t.equal(found.uses.length, 2, 'who asked for nothing meanwhile is not there')
  t.match(usesBetween(look(1000, 4, asked(7, 'a', 10, 100)), last).uses, { length: 3 }, 'anew')
  t.match(topLines(found, plain), [
    /^7\.0 requests\/s, 2 KiB\/s read/,
    /PID +PROCESS/,
    / - +page cache, kernel +5\.0 .* LOOKUP 9, READ 1$/,
    / 7 +a +2\.0 +2 KiB +0 B +LOOKUP 4$/,
  ])
  const odd = { ...found, uses: [{ ...found.uses[0]!, name: '\x1b[2J'.repeat(30) }] }
  for (const line of topLines(odd, { ...plain, columns: 30 })) {
    t.ok([...line].length <= 30, line)
    t.notMatch(line, '\x1b')
  }
  t.equal(topLines(found, { ...plain, rows: 3 }).length, 3)
  const native = topLines(usesBetween(look(1, null), look(2, null)), plain)
  t.match(native.join('\n'), /of \/m nothing is known: fuse-native\nnobody asks for anything/)
})

t.test('processes of a mount are told by name, with what they read and write', async (t) => {
  const { must, run, mountPoint, store } = toolsStore(t)
  must('mount', mountPoint)
  writeFileSync(join(mountPoint, 'large'), Buffer.alloc(300_000, 1))
  // Direct reads and writes: no cache answers them.
  const script = `n=0; while [ $n -lt 400 ]; do n=$((n+1))
    dd if=large of=/dev/null bs=64k iflag=direct; dd if=/dev/zero of=new bs=4k count=1 conv=fsync
    : > by-sh; sleep 0.1; done`
  const busy = spawn('sh', ['-c', script], { cwd: mountPoint, stdio: 'ignore' })
  t.teardown(() => busy.kill('SIGKILL'))
  const once = JSON.parse(run('top', '--json', '--interval', '1.5').out) as {
    data: { seconds: number; uses: Use[] }
  }
  t.ok(once.data.seconds >= 1.4)
  const { uses } = once.data
  t.ok(
    uses.some(
      ({ name, read, operations }) => name === 'dd' && read >= 300_000 && operations.READ! > 0,
    ),
  )
  t.ok(
    uses.some(({ pid, written }) => pid === null && written >= 4096),
    'the page cache',
  )
  t.ok(uses.some(({ pid, name }) => pid === busy.pid && name === 'sh'))
  t.match(run('top', '--once', '--interval', '0.5').out, /requests\/s[\s\S]*PROCESS[\s\S]* dd /)

  const live = new Terminal([PROGRAM, '--store', store, 'top', '--interval', '0.5'], { rows: 12 })
  t.teardown(() => live.kill())
  await live.until(/requests\/s[\s\S]* dd /)
  live.resize(40)
  await live.until(/requests\/s/)
  live.type('q')
  t.equal(await live.ended(), 0)
  t.match(live.raw, /\x1b\[\?25h\x1b\[\?1049l\s*icanon/, 'the terminal is as it was')
  t.notMatch(live.raw, /-icanon/)
  const interrupted = new Terminal([PROGRAM, '--store', store, 'top'])
  t.teardown(() => interrupted.kill())
  await interrupted.until(/q ends it/)
  interrupted.type('\x03')
  t.equal(await interrupted.ended(), 0)
  t.match(run('top', '--interval', '0'), { status: 2, err: /0\.1 or more/ })
  busy.kill('SIGKILL')
  must('umount', '--all')
})
