// INIT: what is asked of a kernel, whatever it offers.

import t from 'tap'
import { ERRNO } from '../../lib/base/errno.ts'
import { INIT } from '../../lib/fuse/protocol.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import { initBody, TestSession } from './wire.ts'

const flagsOf = (body: Buffer): bigint =>
  BigInt(body.readUInt32LE(12)) | (BigInt(body.readUInt32LE(32)) << 32n)
const has = (body: Buffer, flag: keyof typeof INIT): boolean =>
  ((flagsOf(body) >> BigInt(INIT[flag])) & 1n) === 1n

t.test('a new kernel gets everything but passthrough, with writes of 1 MiB', (t) => {
  const session = new TestSession(new MemoryFileSystem())
  const { body, error } = session.ask(26, 0, initBody(45))!
  t.equal(error, 0)
  t.equal(body.length, 64)
  t.same([body.readUInt32LE(0), body.readUInt32LE(4)], [7, 45])
  t.equal(body.readUInt32LE(20), 1024 * 1024, 'max_write')
  t.equal(body.readUInt32LE(24), 1, 'times to the nanosecond')
  t.equal(body.readUInt16LE(28), 256, 'max_pages')
  for (const flag of Object.keys(INIT) as (keyof typeof INIT)[]) {
    t.equal(has(body, flag), flag !== 'PASSTHROUGH', flag)
  }
  t.ok(session.agreed?.killPriv && session.agreed.expireOnly && session.agreed.writeback)
  t.end()
})

t.test('capped to 6.1 it speaks 7.38, and refuses what came later', (t) => {
  const session = new TestSession(new MemoryFileSystem(), { cap: '6.1' })
  const { body } = session.ask(26, 0, initBody(45))!
  t.equal(body.readUInt32LE(4), 38)
  t.notOk(has(body, 'DIRECT_IO_ALLOW_MMAP'))
  t.ok(has(body, 'HAS_EXPIRE_ONLY'))
  t.equal(session.ask(52, 1, Buffer.alloc(24))!.error, ERRNO.ENOSYS, 'STATX')
  t.equal(session.ask(53, 1, Buffer.alloc(56))!.error, ERRNO.ENOSYS, 'COPY_FILE_RANGE_64')
  t.end()
})

t.test('a kernel that lacks a flag gets less, not an error', (t) => {
  const session = new TestSession(new MemoryFileSystem())
  const { body } = session.ask(26, 0, initBody(31, ['MAX_PAGES', 'INIT_EXT', 'SETXATTR_EXT']))!
  t.equal(body.readUInt32LE(20), 128 * 1024)
  t.equal(body.readUInt32LE(32), 0, 'no second word of flags')
  t.notOk(session.agreed?.setxattrExt)
  t.notOk(session.agreed?.expireOnly)
  t.end()
})

t.test('writeback is off where the mount does not want it', (t) => {
  const session = new TestSession(new MemoryFileSystem(), { writeback: false })
  t.notOk(has(session.ask(26, 0, initBody())!.body, 'WRITEBACK_CACHE'))
  t.end()
})

t.test('passthrough comes instead of writeback, where it is offered', (t) => {
  const newer = new TestSession(new MemoryFileSystem(), { passthrough: true })
  const { body } = newer.ask(26, 0, initBody(45))!
  t.ok(has(body, 'PASSTHROUGH'))
  t.notOk(has(body, 'WRITEBACK_CACHE'))
  t.equal(body.readUInt32LE(36), 1, 'max_stack_depth')
  t.same([newer.agreed?.passthrough, newer.agreed?.writeback], [true, false])
  const older = new TestSession(new MemoryFileSystem(), { passthrough: true, cap: '6.1' })
  const reply = older.ask(26, 0, initBody(45))!.body
  t.same([has(reply, 'PASSTHROUGH'), has(reply, 'WRITEBACK_CACHE')], [false, true])
  t.equal(reply.readUInt32LE(36), 0)
  t.end()
})

t.test('another major version, or half a message, is refused', (t) => {
  const session = new TestSession(new MemoryFileSystem())
  const other = initBody()
  other.writeUInt32LE(8, 0)
  t.equal(session.ask(26, 0, other)!.error, ERRNO.EPROTO)
  t.equal(session.ask(26, 0, Buffer.alloc(7))!.error, ERRNO.EPROTO)
  t.equal(session.agreed, null)
  t.end()
})
