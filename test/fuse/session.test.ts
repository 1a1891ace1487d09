// Requests and replies of a session, byte for byte, without a device.

import t from 'tap'
import { ERRNO, Errno } from '../../lib/base/errno.ts'
import type { Log } from '../../lib/base/log.ts'
import { silent } from '../../lib/base/log.ts'
import type { Job } from '../../lib/fuse/filesystem.ts'
import { OPERATIONS as OP } from '../../lib/fuse/operations.ts'
import { Tally } from '../../lib/fuse/tally.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import { begun, fields, request, TestSession } from './wire.ts'

const SETATTR = (valid: number, size = 0n) =>
  fields(valid, 0, 0n, size, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0)

const job = (id = 1): Job => ({ kind: 'fsync', fd: 2, dataOnly: false, id, error: 0, done: false })

function keptErrors(): { log: Log; errors: string[] } {
  const errors: string[] = []
  return { errors, log: { ...silent, error: (text) => errors.push(text) } }
}

t.test('LOOKUP answers node, attributes and how long they are valid', (t) => {
  const fs = new MemoryFileSystem()
  fs.valid = 1.5
  const node = fs.put('etc', 'text')
  const session = begun(fs)
  const reply = session.ask(OP.lookup.code, 1, fields('etc'))!
  t.equal(reply.error, 0)
  t.equal(reply.body.length, 128)
  t.equal(reply.body.readBigUInt64LE(0), BigInt(node.id))
  t.equal(reply.body.readBigUInt64LE(16), 1n, 'entry valid, seconds')
  t.equal(reply.body.readUInt32LE(32), 500_000_000, 'and nanoseconds')
  t.equal(reply.body.readBigUInt64LE(48), 4n, 'size')
  t.equal(reply.body.readUInt32LE(40 + 60), 0o100644, 'mode')
  t.equal(session.ask(OP.lookup.code, 1, fields('none'))!.body.readBigUInt64LE(0), 0n)
  fs.valid = 0
  const absent = session.ask(OP.lookup.code, 1, fields('none'))!
  t.equal(absent.error, ERRNO.ENOENT, 'an absence that may not be remembered is an error')
  t.equal(session.ask(OP.statfs.code, 1)!.body.length, 80)
  t.end()
})

t.test('requests are counted until nobody has looked for long enough', (t) => {
  const session = begun(new MemoryFileSystem())
  const look = () => session.ask(OP.lookup.code, 1, fields('none'))
  const tally = new Tally(performance.now() + 60_000)
  session.tally = tally
  look()
  look()
  t.match(tally.list(), [{ operations: { LOOKUP: 2 }, read: 0, written: 0 }])
  tally.until = 0
  look()
  t.equal(session.tally, null)
  t.match(tally.list(), [{ operations: { LOOKUP: 2 } }])
  t.end()
})

t.test('a time before 1970 keeps its sign', (t) => {
  const fs = new MemoryFileSystem()
  fs.root.attr.mtime = -5
  const reply = begun(fs).ask(OP.getattr.code, 1, fields(0, 0, 0n))!
  t.equal(reply.body.readBigInt64LE(16 + 32), -5n)
  t.end()
})

t.test('a name of 256 bytes is ENAMETOOLONG, also in LOOKUP; 255 bytes are not', (t) => {
  const session = begun(new MemoryFileSystem())
  t.equal(session.ask(OP.lookup.code, 1, fields('x'.repeat(256)))!.error, ERRNO.ENAMETOOLONG)
  t.equal(session.ask(OP.lookup.code, 1, fields('x'.repeat(255)))!.error, 0)
  const mkdir = (name: string) => session.ask(OP.mkdir.code, 1, fields(0o755, 0, name))!.error
  t.equal(mkdir('y'.repeat(256)), ERRNO.ENAMETOOLONG)
  t.equal(mkdir('y'.repeat(255)), 0)
  t.equal(mkdir('..'), ERRNO.EINVAL)
  t.equal(mkdir('a/b'), ERRNO.EINVAL)
  t.end()
})

t.test('"." and ".." are looked up by number where the filesystem can, else ESTALE', (t) => {
  const fs = new MemoryFileSystem()
  const session = begun(fs)
  t.equal(session.ask(OP.lookup.code, 1, fields('.'))!.body.readBigUInt64LE(0), 1n)
  t.equal(session.ask(OP.lookup.code, 1, fields('..'))!.body.readBigUInt64LE(0), 1n)
  t.notOk(
    fs.calls.some((call) => call.startsWith('lookup')),
    'no such name is looked up',
  )
  const plain: MemoryFileSystem = new MemoryFileSystem()
  Object.defineProperty(plain, 'lookupParent', { value: undefined })
  t.equal(begun(plain).ask(OP.lookup.code, 1, fields('..'))!.error, ERRNO.ESTALE)
  t.end()
})

t.test('an unknown operation is ENOSYS, IOCTL is ENOTTY, FLUSH is ENOSYS', (t) => {
  const session = begun(new MemoryFileSystem())
  t.equal(session.ask(37, 1)!.error, ERRNO.ENOSYS)
  t.equal(session.ask(9999, 1)!.error, ERRNO.ENOSYS)
  t.equal(session.ask(OP.ioctl.code, 1)!.error, ERRNO.ENOTTY)
  t.equal(session.ask(OP.flush.code, 1)!.error, ERRNO.ENOSYS)
  t.end()
})

t.test('an Errno is answered as it is, anything else is EIO, logged with the operation', (t) => {
  const fs = new MemoryFileSystem()
  const { log, errors } = keptErrors()
  const session = begun(fs, { log })
  fs.failWith.set('lookup', new Errno(ERRNO.EACCES))
  t.equal(session.ask(OP.lookup.code, 1, fields('a'))!.error, ERRNO.EACCES)
  t.same(errors, [])
  fs.failWith.set('lookup', new TypeError('a mistake'))
  t.equal(session.ask(OP.lookup.code, 1, fields('secret\xff'))!.error, ERRNO.EIO)
  t.match(errors[0], /LOOKUP of node 1 "secret\\xff"/)
  fs.failWith.clear()
  t.equal(session.ask(OP.getattr.code, 1, fields(0, 0, 0n))!.error, 0, 'the session goes on')
  t.end()
})

t.test('a message that ends early is EIO, and logged; one without a header has no reply', (t) => {
  const { log, errors } = keptErrors()
  const session = begun(new MemoryFileSystem(), { log })
  t.equal(session.ask(OP.setattr.code, 1, Buffer.alloc(10))!.error, ERRNO.EIO)
  t.equal(session.ask(OP.lookup.code, 1, Buffer.from('no end'))!.error, ERRNO.EIO)
  const lying = request(OP.getattr.code, 1, fields(0, 0, 0n))
  lying.writeUInt32LE(4000, 0)
  session.handle(lying, lying.length)
  t.equal(session.sent.at(-1)!.error, ERRNO.EIO)
  const before = session.sent.length
  session.handle(lying, 12)
  t.equal(session.sent.length, before)
  t.equal(errors.length, 4)
  t.end()
})

t.test('READ puts its bytes right behind the header, and no more than were agreed', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'a'.repeat(5000))
  const session = begun(fs)
  const read = (offset: bigint, size: number) =>
    session.ask(OP.read.code, node.id, fields(1n, offset, size, 0, 0n, 0, 0))!.body
  t.equal(read(0n, 4096).toString(), 'a'.repeat(4096))
  t.equal(read(4096n, 4096).length, 904)
  t.equal(read(0n, 10).length, 10)
  t.equal(read(9000n, 4096).length, 0)
  t.equal(read(0n, 0xffff_ffff).length, 5000)
  t.end()
})

t.test('READDIR stops where the reply is full, and goes on from there', (t) => {
  const fs = new MemoryFileSystem()
  for (let i = 0; i < 50; i++) fs.put(`file-${i}`, '')
  const session = begun(fs)
  for (const [code, extra] of [
    [OP.readdir.code, 0],
    [OP.readdirplus.code, 128],
  ] as const) {
    const names: string[] = []
    for (let offset = 0n, more = true; more; ) {
      const { body } = session.ask(code, 1, fields(1n, offset, 1000, 0, 0n, 0, 0))!
      t.ok(body.length <= 1000)
      more = body.length > 0
      for (let at = 0; at < body.length; ) {
        const length = body.readUInt32LE(at + extra + 16)
        names.push(body.latin1Slice(at + extra + 24, at + extra + 24 + length))
        offset = body.readBigUInt64LE(at + extra + 8)
        at += extra + ((24 + length + 7) & ~7)
      }
    }
    t.equal(names.length, 52)
    t.equal(new Set(names).size, 52)
  }
  t.equal(fs.root.children.get('file-7')!.lookups, 1, 'READDIRPLUS counts as a lookup, once')
  t.end()
})

t.test('attributes of a file: the length first, then the value, ERANGE, ENODATA', (t) => {
  const fs = new MemoryFileSystem()
  const session = begun(fs)
  const set = fields(5, 0, 0, 0, 'user.a', Buffer.from('value'))
  t.equal(session.ask(OP.setxattr.code, 1, set)!.error, 0)
  const get = (name: string, size: number) =>
    session.ask(OP.getxattr.code, 1, fields(size, 0, name))!
  t.equal(get('user.a', 0).body.readUInt32LE(0), 5)
  t.equal(get('user.a', 100).body.toString(), 'value')
  t.equal(get('user.a', 3).error, ERRNO.ERANGE)
  t.equal(get('user.b', 100).error, ERRNO.ENODATA)
  const list = session.ask(OP.listxattr.code, 1, fields(100, 0))!
  t.equal(list.body.toString(), 'user.a\0')
  t.end()
})

t.test('what was forgotten is counted, one by one and in batches', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', '')
  const session = begun(fs)
  for (let i = 0; i < 5; i++) session.ask(OP.lookup.code, 1, fields('f'))
  t.equal(session.ask(OP.forget.code, node.id, fields(2n)), null, 'no reply')
  const many = fields(2, 0, BigInt(node.id), 2n, 77n, 1n)
  t.equal(session.ask(OP.batchForget.code, 0, many), null)
  t.equal(node.lookups, 1)
  t.end()
})

t.test('a parked request runs again when its job is done, and others go on meanwhile', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const other = fs.put('g', 'y')
  const session = begun(fs)
  const waited = job()
  fs.park.set('open', waited)
  t.equal(session.ask(OP.open.code, node.id, fields(2, 0), { unique: 100 }), null)
  t.equal(session.submitted.length, 1)
  t.equal(session.ask(OP.getattr.code, other.id, fields(0, 0, 0n))!.error, 0)
  session.finish()
  t.equal(session.sent.at(-1)!.unique, 100)
  t.equal(session.sent.at(-1)!.error, 0)
  t.equal(session.waiting, 0)
  t.end()
})

t.test('changes of a node queue behind what is parked on it, in order; reads overtake', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const session = begun(fs)
  fs.park.set('setattr', job())
  session.ask(OP.setattr.code, node.id, SETATTR(8, 3n), { unique: 100 })
  const write = fields(1n, 0n, 2, 0, 0n, 0, 0, Buffer.from('ab'))
  t.equal(session.ask(OP.write.code, node.id, write, { unique: 102 }), null)
  t.equal(session.ask(OP.release.code, node.id, fields(1n, 0, 0, 0n), { unique: 104 }), null)
  t.equal(session.ask(OP.getattr.code, node.id, fields(0, 0, 0n), { unique: 106 })!.error, 0)
  t.equal(
    session.ask(OP.symlink.code, 1, fields('l', 'f'), { unique: 108 })!.error,
    0,
    'another node',
  )
  session.finish()
  t.same(
    session.sent.map((sent) => sent.unique),
    [106, 108, 100, 102, 104],
  )
  t.equal(node.bytes.toString(), 'ab\0')
  t.end()
})

t.test(
  "what waits for pages lets the kernel's writes of them by, and keeps its place then",
  (t) => {
    const fs = new MemoryFileSystem()
    const node = fs.put('f', 'x')
    const session = begun(fs)
    const flush: Job = { kind: 'flush', pages: [], id: 7, error: 0, done: false }
    fs.park.set('open', flush)
    t.equal(session.ask(OP.open.code, node.id, fields(2, 0), { unique: 100 }), null)
    const write = fields(1n, 0n, 2, 0, 0n, 0, 0, Buffer.from('ab'))
    t.equal(session.ask(OP.write.code, node.id, write, { unique: 102 })!.error, 0, 'a page')
    fs.park.set('setattr', job())
    t.equal(session.ask(OP.setattr.code, node.id, SETATTR(8, 3n), { unique: 104 }), null)
    session.finish()
    t.equal(session.sent.at(-1)!.unique, 102, 'something of the node is under way by now')
    t.same(fs.abandoned, [flush], 'what it waited with is given back')
    session.finish()
    t.same(
      session.sent.map((sent) => sent.unique),
      [102, 104, 100],
    )
    t.equal(session.waiting, 0)
    t.end()
  },
)

t.test('who comes to wait for pages in a line makes way for those behind', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const session = begun(fs)
  fs.park.set('setattr', job())
  session.ask(OP.setattr.code, node.id, SETATTR(8, 3n), { unique: 100 })
  fs.park.set('open', { kind: 'flush', pages: [], id: 7, error: 0, done: false })
  t.equal(session.ask(OP.open.code, node.id, fields(2, 0), { unique: 102 }), null)
  const write = fields(1n, 0n, 2, 0, 0n, 0, 0, Buffer.from('ab'))
  t.equal(session.ask(OP.write.code, node.id, write, { unique: 104 }), null)
  session.finish()
  t.same(
    session.sent.map((sent) => sent.unique),
    [100, 104],
  )
  session.finish()
  t.equal(session.sent.at(-1)!.unique, 102)
  t.equal(session.waiting, 0)
  t.end()
})

t.test('a rename waits behind either of its directories, and holds both up', (t) => {
  const fs = new MemoryFileSystem()
  const session = begun(fs)
  const made = (name: string) =>
    Number(session.ask(OP.mkdir.code, 1, fields(0o755, 0, name))!.body.readBigUInt64LE(0))
  const [a, b] = [made('a'), made('b')]
  fs.put('f', '')
  session.sent.length = 0
  fs.park.set('mkdir', job())
  const asks = [
    () => session.ask(OP.mkdir.code, b, fields(0o755, 0, 'n'), { unique: 100 }),
    () => session.ask(OP.rename2.code, a, fields(BigInt(b), 0, 0, 'x', 'y'), { unique: 102 }),
    () => session.ask(OP.symlink.code, a, fields('l', 'target'), { unique: 104 }),
    () => session.ask(OP.symlink.code, b, fields('l', 'target'), { unique: 106 }),
  ]
  for (const ask of asks) t.equal(ask(), null)
  t.equal(session.ask(OP.symlink.code, 1, fields('l', 't'), { unique: 108 })!.error, 0)
  session.finish()
  t.same(
    session.sent.map((sent) => sent.unique),
    [108, 100, 102, 104, 106],
  )
  t.equal(session.sent[2]!.error, ERRNO.ENOENT)
  t.end()
})

t.test('two requests for one job begin it once', (t) => {
  const fs = new MemoryFileSystem()
  const [f, g] = [fs.put('f', ''), fs.put('g', '')]
  const session = begun(fs)
  fs.park.set('open', job())
  session.ask(OP.open.code, f.id, fields(2, 0))
  session.ask(OP.open.code, g.id, fields(2, 0))
  t.equal(session.submitted.length, 1)
  session.finish()
  t.equal(session.sent.length, 2)
  t.end()
})

t.test(
  'the request of a killed caller is EINTR, has no effect, and lets those behind it go on',
  (t) => {
    const fs = new MemoryFileSystem()
    const node = fs.put('f', 'x')
    const session = begun(fs, { isBeingKilled: () => true })
    const waited = job()
    fs.park.set('setattr', waited)
    session.ask(OP.setattr.code, node.id, SETATTR(8, 3n), { unique: 100 })
    session.ask(OP.unlink.code, node.id, fields('z'), { unique: 102 })
    session.ask(OP.link.code, node.id, fields(BigInt(node.id), 'k'), { unique: 104 })
    session.ask(OP.interrupt.code, 0, fields(104n))
    t.same(session.sent.at(-1), { unique: 104, error: ERRNO.EINTR, body: Buffer.alloc(0) })
    session.ask(OP.interrupt.code, 0, fields(100n))
    t.equal(session.sent[1]!.error, ERRNO.EINTR)
    t.equal(session.sent[2]!.unique, 102, 'the next one ran at once')
    t.equal(node.bytes.length, 1)
    session.ask(OP.interrupt.code, 0, fields(4242n))
    session.finish()
    t.equal(session.sent.length, 3)
    t.same(fs.abandoned, [waited], 'the filesystem is told that the job was for nothing')
    t.end()
  },
)

t.test('a signal that kills nobody interrupts nothing', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const session = begun(fs)
  fs.park.set('setattr', job())
  session.ask(OP.setattr.code, node.id, SETATTR(8, 3n), { unique: 100 })
  session.ask(OP.interrupt.code, 0, fields(100n))
  t.equal(session.sent.length, 0)
  session.finish()
  t.equal(session.sent[0]!.error, 0)
  t.equal(node.bytes.length, 3)
  t.end()
})

t.test('FORGET of a node with a parked request is kept until that is done', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const session = begun(fs)
  session.ask(OP.lookup.code, 1, fields('f'))
  fs.park.set('open', job())
  session.ask(OP.open.code, node.id, fields(2, 0))
  session.ask(OP.forget.code, node.id, fields(1n))
  t.equal(node.lookups, 1)
  session.finish()
  t.equal(node.lookups, 0)
  t.end()
})

t.test(
  'a job that was done already is not waited for; one that never ends its request is EIO',
  (t) => {
    const fs = new MemoryFileSystem()
    const node = fs.put('f', 'x')
    const session = begun(fs)
    const old = { ...job(), done: true }
    fs.park.set('open', old)
    t.equal(session.ask(OP.open.code, node.id, fields(2, 0))!.error, 0)
    t.equal(session.submitted.length, 0)
    fs.open = () => {
      fs.park.set('open', { ...job(), done: true })
      return MemoryFileSystem.prototype.open.call(
        fs,
        { uid: 0, gid: 0, pid: 0, finished: null },
        node.id,
        0,
      )
    }
    t.equal(session.ask(OP.open.code, node.id, fields(2, 0))!.error, ERRNO.EIO)
    t.end()
  },
)

t.test('a mount that ends destroys its filesystem after the last job is done', (t) => {
  const fs = new MemoryFileSystem()
  const node = fs.put('f', 'x')
  const session = begun(fs)
  fs.park.set('open', job())
  session.ask(OP.open.code, node.id, fields(2, 0))
  session.end('unmounted')
  session.end('again')
  t.same([fs.destroyed, session.ends], [0, []], 'its descriptors are in use')
  session.finish()
  t.same([fs.destroyed, session.ends], [1, ['unmounted']])
  t.equal(session.sent.length, 0)
  t.end()
})

t.test('the touch for inotify is answered and changes nothing', (t) => {
  const fs = new MemoryFileSystem()
  const session = begun(fs, { kernelTid: 99 })
  const touch = SETATTR(16 | 32 | 128 | 256)
  fs.park.set('mkdir', job())
  session.ask(OP.mkdir.code, 1, fields(0o755, 0, 'd'))
  const reply = session.ask(OP.setattr.code, 1, touch, { pid: 99 })!
  t.equal(reply.error, 0, 'also while something is parked on the directory')
  t.equal(reply.body.length, 104)
  t.equal(fs.root.attr.mtimeNsec, 123_456_789)
  t.notOk(fs.calls.some((call) => call.startsWith('setattr')))
  session.finish()
  session.ask(OP.setattr.code, 1, touch, { pid: 98 })
  t.ok(fs.calls.at(-1)!.startsWith('setattr'), 'the same from anybody else is a change')
  session.ask(OP.setattr.code, 1, SETATTR(1), { pid: 99 })
  t.ok(fs.calls.at(-1)!.startsWith('setattr'), 'and so is anything else from that thread')
  t.end()
})

t.test('the trace has a readable line for each request and reply', (t) => {
  const lines: string[] = []
  const fs = new MemoryFileSystem()
  const session = new TestSession(fs, { trace: (line) => lines.push(line) })
  session.ask(OP.lookup.code, 1, fields('ä\x01'), { unique: 8 })
  t.equal(lines[0], '> 8 LOOKUP node 1 "\\xe4\\x01" uid 1000 pid 4711')
  t.match(lines[1], /^< 8 LOOKUP ok 144 bytes \d+ µs$/)
  fs.park.set('unlink', job(5))
  session.ask(OP.unlink.code, 1, fields('a'), { unique: 10 })
  t.equal(lines.at(-1), '= 10 UNLINK parked for fsync 5')
  session.ask(OP.rename.code, 1, fields(1n, 'a', 'b'), { unique: 12 })
  t.equal(lines.at(-1), '= 12 RENAME waits its turn')
  session.finish()
  t.match(lines.at(-1), /^< 12 RENAME ENOENT/)
  t.end()
})
