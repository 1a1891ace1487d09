// What a thread has of its own: credentials, signals, the number of open files.

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  dropResourcePrivilege,
  raiseFileLimit,
  setFileOwner,
  setThreadGroups,
  threadId,
} from '../../lib/host/thread.ts'

const status = (field: string): string =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(
    readFileSync(`/proc/self/task/${threadId()}/status`, 'utf8'),
  )?.[1] ?? ''

t.test('the main thread has the number of the process', async (t) => {
  t.equal(threadId(), process.pid)
})

t.test('the limit of open files is raised to what it may be', async (t) => {
  const limit = raiseFileLimit()
  t.match(readFileSync('/proc/self/limits', 'utf8'), new RegExp(`open files +${limit} +${limit}`))
})

t.test('files are made with the owner that was set, as root', async (t) => {
  if (process.geteuid?.() !== 0) return t.comment('not run: needs root')
  const path = join(tmpdir(), `svsfs-owner-${process.pid}`)
  t.teardown(() => rmSync(path, { force: true }))
  setFileOwner(12345, 54321)
  writeFileSync(path, '')
  setFileOwner(0, 0)
  const { uid, gid } = statSync(path)
  t.same([uid, gid], [12345, 54321])
  t.equal(setThreadGroups([7, 8]), 0)
  t.equal(status('Groups').trim(), '7 8')
  t.equal(setThreadGroups([]), 0)
})

t.test('CAP_SYS_RESOURCE is given up, and nothing else', async (t) => {
  const before = BigInt(`0x${status('CapEff')}`)
  dropResourcePrivilege()
  t.equal(BigInt(`0x${status('CapEff')}`), before & ~(1n << 24n))
  dropResourcePrivilege()
})
