// mmap(2) of files, and the calls that flush and advise: fsync(2), sync_file_range(2),
// readahead(2), posix_fadvise(2), syncfs(2).

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call, MAP, Mapping, PROT } from './calls.ts'
import type { Case } from './case.ts'

const PAGE = 4096
const CONTENT = [...'abc'].map((letter) => letter.repeat(PAGE)).join('')
const RW = PROT.READ | PROT.WRITE

const rights: Case[] = [O.RDONLY, O.WRONLY, O.RDWR, O.PATH].map((flags) => ({
  title: `mapping a file opened with flags ${flags.toString(8)}`,
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const { fd } = t.place.open('f', flags)
    for (const kind of [MAP.SHARED, MAP.PRIVATE, MAP.SHARED_VALIDATE]) {
      for (const protection of [PROT.NONE, PROT.READ, PROT.WRITE, RW, PROT.READ | PROT.EXEC]) {
        t.says(`mmap ${kind} ${protection}`, () => new Mapping(fd, PAGE, protection, kind).free())
      }
      t.says(`mmap ${kind}, then writable`, () => {
        const mapping = new Mapping(fd, PAGE, PROT.READ, kind)
        try {
          mapping.protect(RW)
        } finally {
          mapping.free()
        }
      })
    }
    // Without DAX there is none; which refusal comes first is the kernel's own matter.
    if (flags === O.RDWR)
      t.says('MAP_SYNC', () => new Mapping(fd, PAGE, RW, MAP.SHARED_VALIDATE | MAP.SYNC).free())
    t.says('no page', () => new Mapping(fd, PAGE, PROT.READ, MAP.SHARED, 100).free())
    t.says('no length', () => new Mapping(fd, 0, PROT.READ, MAP.SHARED).free())
    t.says('neither', () => new Mapping(fd, PAGE, PROT.READ, 0).free())
  },
}))

const shared: Case = {
  title: 'a shared mapping and the file are one',
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const file = t.place.open('f', O.RDWR)
    const mapping = new Mapping(file.fd, 3 * PAGE, RW, MAP.SHARED)
    const [reader, bytes] = [t.calls.open('f'), mapping.bytes]
    bytes.write('mapped', 10)
    reader?.pread(20, 5)
    file.pwrite('written', PAGE - 3)
    t.says('seen', () => bytes.latin1Slice(PAGE - 5, PAGE + 6))
    const other = new Mapping(t.place.open('f').fd, PAGE, PROT.READ, MAP.SHARED)
    bytes.write('again', 0)
    t.says('seen by the other', () => other.bytes.latin1Slice(0, 20))
    t.moves(['f'], () => {
      bytes.write('at last', 2 * PAGE)
      mapping.sync()
    })
    file.truncate(PAGE + 10)
    file.truncate(3 * PAGE)
    t.says('zeros', () => bytes.latin1Slice(PAGE + 5, PAGE + 15))
    t.calls.unlink('f')
    bytes.write('unlinked', 100)
    mapping.sync()
    reader?.pread(20, 95)
    other.free()
    mapping.free()
    reader?.stat()
  },
}

const ownCopy: Case = {
  title: 'a private mapping keeps its changes',
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const mapping = new Mapping(t.place.open('f').fd, 2 * PAGE, RW, MAP.PRIVATE)
    mapping.bytes.write('private', 3)
    t.calls.open('f')?.read(12)
    t.moves(['f'], () => mapping.bytes.write('more', PAGE), 'f: none')
    t.calls.open('f', O.RDWR)?.pwrite('public', 0)
    t.says('kept', () => mapping.bytes.latin1Slice(0, 12))
    mapping.free()
    t.calls.open('f')?.read(12)
  },
}

const beforeCopyUp: Case = {
  title: 'a mapping for reading sees what another writes later',
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const mapping = new Mapping(t.place.open('f').fd, PAGE, PROT.READ, MAP.SHARED)
    t.says('before', () => mapping.bytes.latin1Slice(0, 8))
    const writer = t.calls.open('f', O.RDWR)
    writer?.pwrite('changed', 0)
    t.says('after', () => mapping.bytes.latin1Slice(0, 8))
    writer?.truncate(0)
    writer?.pwrite('from new', 0)
    t.says('and then', () => mapping.bytes.latin1Slice(0, 8))
    mapping.free()
  },
}

const flushes: Case = {
  title: 'flushing files and directories of every sort',
  given(place) {
    put(place, 'f', CONTENT)
    place.mkdir('d')
    place.mknod('p', 0o010_644)
  },
  trial(t) {
    const fds = {
      reader: t.place.open('f').fd,
      writer: t.place.open('f', O.RDWR).fd,
      directory: t.place.open('d').fd,
      top: t.place.open('').fd,
      path: t.place.open('f', O.PATH).fd,
      fifo: t.place.open('p', O.RDWR | O.NONBLOCK).fd,
      none: -1,
    }
    for (const [name, fd] of Object.entries(fds)) {
      t.says(`fsync ${name}`, () => call.fsync(fd))
      t.says(`fdatasync ${name}`, () => call.fdatasync(fd))
      t.says(`syncfs ${name}`, () => call.syncfs(fd))
      t.says(`sync_file_range ${name}`, () => call.syncRange(fd, 0, 100, 7))
      t.says(`readahead ${name}`, () => call.readahead(fd, 0, 100))
      t.says(`posix_fadvise ${name}`, () => call.fadvise(fd, 0, 0, 3))
    }
    const { writer } = fds
    t.says('sync_file_range, flags', () => call.syncRange(writer, 0, 100, 8), 'EINVAL')
    t.says('sync_file_range, offset', () => call.syncRange(writer, -1, 100, 1), 'EINVAL')
    for (const advice of [0, 1, 2, 3, 4, 5, 6])
      t.says(`posix_fadvise ${advice}`, () => call.fadvise(writer, 0, 100, advice))
    t.calls.open('f')?.pread(10, 0)
  },
}

export const mmap: readonly Case[] = [...rights, shared, ownCopy, beforeCopyUp, flushes]
