// read(2), write(2), their positioned and vectored kin, sendfile(2), splice(2), O_DIRECT.

import { O, sys } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call, MAP, Mapping, PROT } from './calls.ts'
import { type Case, make } from './case.ts'

const RWF = { HIPRI: 1, DSYNC: 2, SYNC: 4, NOWAIT: 8, APPEND: 16, UNKNOWN: 1 << 20 } as const
const WORDS = 'some words of a file'

const modes: Case[] = [
  O.RDONLY,
  O.WRONLY,
  O.RDWR,
  O.PATH,
  O.WRONLY | O.APPEND,
  O.RDWR | O.APPEND,
].map((flags) => ({
  title: `a file opened with flags ${flags.toString(8)}`,
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const file = t.calls.open('f', flags)
    file?.read(4)
    file?.pread(4, 8)
    file?.write('WRITE')
    file?.pwrite('AT', 1)
    file?.seek(0, 1)
    file?.read(0)
    file?.write('')
    file?.truncate(18)
    file?.sync()
    file?.close()
    t.calls.open('f')?.read(100)
  },
}))

const offsets: Case = {
  title: 'offsets before, at and behind the end',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    for (const at of [-1, 0, 19, 20, 21, 4096, 2 ** 40]) file?.pread(5, at)
    file?.pwrite('x', -1)
    for (const at of [3, 20, 30, 5000, 70_000]) {
      file?.pwrite('here', at)
      file?.stat()
    }
    file?.pread(100, 4960)
    for (const [offset, whence] of [
      [0, 0],
      [-1, 0],
      [7, 1],
      [-8, 1],
      [0, 2],
      [-5, 2],
      [9, 2],
      [0, 5],
    ])
      file?.seek(offset!, whence!)
    file?.write('at the end')
    file?.stat()
    file?.seek(2 ** 62, 0)
  },
}

const appends: Case = {
  title: 'O_APPEND writes at the end, wherever the offset is',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const [one, two] = [
      t.calls.open('f', O.RDWR | O.APPEND),
      t.calls.open('f', O.WRONLY | O.APPEND),
    ]
    one?.write(' one')
    two?.write(' two')
    one?.write(' three')
    one?.seek(0, 0)
    one?.write(' four')
    one?.seek(0, 1)
    one?.pwrite(' five', 0)
    const plain = t.calls.open('f', O.RDWR)
    plain?.write('SOME')
    plain?.truncate(6)
    two?.write('!')
    plain?.pread(100, 0)
    const fd = t.place.open('f', O.RDWR).fd
    // O_APPEND can be set and taken off later.
    t.says('F_SETFL', () => call.fcntl(fd, 4, O.APPEND))
    t.says('write', () => sys.write(fd, Buffer.from('set'), 3))
    t.says('F_SETFL', () => call.fcntl(fd, 4, 0))
    t.says('pwrite', () => sys.pwrite(fd, Buffer.from('off'), 3, 0))
    plain?.pread(100, 0)
  },
}

const times: Case = {
  title: 'times that reading and writing move',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    t.moves(['f'], () => file?.write('S'), 'f: mtime ctime')
    t.moves(['f'], () => file?.write(''), 'f: none')
    t.moves(['f'], () => file?.pwrite('far', 100), 'f: mtime ctime')
    t.moves(['f'], () => file?.pread(10, 0), 'f: none')
    t.moves(['f'], () => file?.sync(), 'f: none')
    t.moves(['f', ''], () => file?.close(), 'f: none, .: none')
    t.moves(['f'], () => t.calls.open('f', O.WRONLY)?.close(), 'f: none')
  },
}

const notFiles: Case = {
  title: 'directories and pipes have no bytes',
  given(place) {
    place.mkdir('d')
    make(place, 'fifo', 'p')
  },
  trial(t) {
    t.says('read', () => t.place.open('d').read(10), 'EISDIR')
    t.says('pread', () => t.place.open('d').pread(10, 0), 'EISDIR')
    t.says('write', () => t.place.open('d').write('x'), 'EBADF')
    const pipe = t.calls.open('p', O.RDWR | O.NONBLOCK)
    pipe?.write('through')
    pipe?.read(20)
    pipe?.read(20)
    pipe?.pread(1, 0)
    pipe?.pwrite('x', 0)
    pipe?.seek(0, 0)
    pipe?.truncate(0)
    pipe?.sync()
    pipe?.close()
    t.wants('ENXIO').open('p', O.WRONLY | O.NONBLOCK)
    t.sees('p')
  },
}

const flagged: Case = {
  title: 'preadv2 and pwritev2 with flags',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const { fd } = t.place.open('f', O.RDWR)
    for (const flags of [0, RWF.HIPRI, RWF.DSYNC, RWF.SYNC, RWF.APPEND, RWF.UNKNOWN]) {
      t.says(`pwritev2 ${flags}`, () => call.pwritev2(fd, '12', 3, flags))
      t.says(`preadv2 ${flags}`, () => call.preadv2(fd, 30, 0, flags))
    }
    t.says('at the offset', () => call.pwritev2(fd, '34', -1, 0))
    t.says('at the offset', () => call.preadv2(fd, 30, -1, 0))
    t.sees('f')
  },
}

const moved: Case = {
  title: 'sendfile and splice move bytes from file to file, and through a pipe',
  given(place) {
    put(place, 'from', 'x'.repeat(9000) + WORDS)
    put(place, 'to', 'in the way of what comes')
  },
  trial(t) {
    const [from, to] = [t.place.open('from'), t.place.open('to', O.RDWR)]
    t.says('sendfile', () => call.sendfile(to.fd, from.fd, 8990, 100))
    t.says('sendfile, at the offset', () => call.sendfile(to.fd, from.fd, null, 5000))
    t.says('sendfile, at the end', () => call.sendfile(to.fd, from.fd, 10_000, 5))
    t.says('onto one that cannot', () => call.sendfile(from.fd, to.fd, 0, 5), 'EBADF')
    const added = t.place.open('to', O.WRONLY | O.APPEND)
    t.says('onto O_APPEND', () => call.sendfile(added.fd, from.fd, 8000, 5))
    const [out, into] = call.pipe()
    t.says('into a pipe', () => call.splice(from.fd, 8995, into, null, 20))
    t.says('out of it', () => call.splice(out, null, to.fd, 1, 20))
    t.says('onto O_APPEND', () => call.splice(from.fd, 0, into, null, 3))
    t.says('onto O_APPEND', () => call.splice(out, null, added.fd, null, 3))
    t.says('two files', () => call.splice(from.fd, 0, to.fd, 0, 3), 'EINVAL')
    sys.close(out)
    sys.close(into)
    t.sees('to')
    t.calls.open('to')?.read(8000)
  },
}

const direct: Case = {
  title: 'O_DIRECT sees and makes what the cache does',
  given: (place) => put(place, 'f', 'abcdefgh'.repeat(4096)),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    file?.pwrite('cached', 4096)
    const sees = () => t.calls.open('f')?.pread(16, 4096)
    const straight = t.calls.open('f', O.RDWR | O.DIRECT)
    if (straight === null || straight === undefined) return
    const { fd } = straight
    const room = aligned(8192)
    t.says('read', () => sys.pread(fd, room, 8192, 4096))
    t.says('bytes', () => room.latin1Slice(0, 16))
    room.fill('direct')
    t.says('write', () => sys.pwrite(fd, room, 4096, 8192))
    sees()
    file?.pread(16, 8192)
    t.says('over the end', () => sys.pwrite(fd, room, 8192, 28_672))
    t.sees('f')
    t.says('at the end', () => sys.pread(fd, room, 4096, 36_864))
    t.says('part of it', () => sys.pread(fd, room, 8192, 32_768))
    straight.sync()
    straight.truncate(10_000)
    t.says('the last of it', () => sys.pread(fd, room, 4096, 8192))
    t.calls.open('f')?.pread(20, 9990)
  },
}

/** A buffer that begins at a page, as O_DIRECT asks. */
const aligned = (size: number): Buffer =>
  new Mapping(-1, size, PROT.READ | PROT.WRITE, MAP.PRIVATE | MAP.ANONYMOUS).bytes

const removed: Case = {
  title: 'a file without a name is read and written',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const [reader, writer] = [t.calls.open('f'), t.calls.open('f', O.RDWR)]
    t.calls.unlink('f')
    writer?.pwrite('gone', 4)
    reader?.read(100)
    put(t.place, 'f', 'another')
    writer?.write('still')
    reader?.pread(100, 0)
    reader?.stat()
    t.calls.open('f')?.read(100)
  },
}

const large: Case = {
  title: 'writes and reads of a megabyte and more',
  given: (place) => put(place, 'f', ''),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    const block = Buffer.alloc((1 << 21) + 13, 'pattern of some length ')
    file?.write(block)
    file?.write(block)
    file?.stat()
    file?.pread(1 << 22, 77)
    file?.pread((1 << 21) + 100, 1 << 21)
    file?.close()
    t.calls.open('f')?.pread(1 << 22, 1)
  },
}

export const readwrite: readonly Case[] = [
  ...modes,
  offsets,
  appends,
  times,
  notFiles,
  flagged,
  moved,
  direct,
  removed,
  large,
]
