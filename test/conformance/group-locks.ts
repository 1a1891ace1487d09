// Locks: flock(2), record locks of processes and of open files, leases.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call, F, LOCK } from './calls.ts'
import type { Case } from './case.ts'
import type { Trial } from './trial.ts'

const CHILD = fileURLToPath(new URL('lock-child.js', import.meta.url))

function child(t: Trial, path: string, type: number, start: number, length: number): void {
  const words = [CHILD, t.place.path(path), type, start, length].map(String)
  t.says(`another process: ${path} ${type} ${start} ${length}`, () =>
    execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 60_000 }),
  )
}

const whole: Case = {
  title: 'flock by descriptor, also over a copy-up, a rename and a further name',
  given(place) {
    put(place, 'f', 'x')
    place.mkdir('d')
  },
  trial(t) {
    const a = t.place.open('f').fd
    const lock = (words: string, fd: number, operation: number, wanted?: string) =>
      t.says(words, () => call.flock(fd, operation), wanted ?? null)
    lock('shared', a, LOCK.SH, '0')
    const b = t.place.open('f', O.RDWR).fd
    lock('shared too', b, LOCK.SH | LOCK.NB, '0')
    lock('alone', b, LOCK.EX | LOCK.NB, 'EAGAIN')
    lock('free', a, LOCK.UN, '0')
    lock('alone', b, LOCK.EX | LOCK.NB, '0')
    lock('again', a, LOCK.SH | LOCK.NB, 'EAGAIN')
    t.calls.rename('f', 'g')
    t.calls.link('g', 'h')
    const c = t.place.open('h', O.WRONLY)
    lock('by another name', c.fd, LOCK.EX | LOCK.NB, 'EAGAIN')
    t.calls.unlink('g')
    t.calls.unlink('h')
    lock('without a name', c.fd, LOCK.EX | LOCK.NB, 'EAGAIN')
    lock('free', b, LOCK.UN)
    lock('without a name', c.fd, LOCK.EX | LOCK.NB)
    lock('nothing', a, 0, 'EINVAL')
    lock('O_PATH', t.place.open('d', O.PATH).fd, LOCK.SH, 'EBADF')
    const [one, two] = [t.place.open('d'), t.place.open('d')]
    lock('a directory', one.fd, LOCK.EX | LOCK.NB, '0')
    lock('a directory', two.fd, LOCK.EX | LOCK.NB, 'EAGAIN')
    one.close()
    lock('closed', two.fd, LOCK.EX | LOCK.NB, '0')
  },
}

const records: Case = {
  title: 'record locks of open files: ranges, types, whence',
  given: (place) => put(place, 'f', 'x'.repeat(100)),
  trial(t) {
    const a = t.place.open('f', O.RDWR).fd
    const b = t.place.open('f', O.RDWR).fd
    const set = (fd: number, type: number, start: number, length: number, whence = 0) =>
      t.says(`${fd === a ? 'a' : 'b'} ${type} ${start} ${length} ${whence}`, () =>
        call.lock(fd, F.OFD_SETLK, type, start, length, whence),
      )
    const ask = (fd: number, type: number, start: number, length: number) =>
      t.says(`who: ${type} ${start} ${length}`, () =>
        call.lock(fd, F.OFD_GETLK, type, start, length),
      )
    set(a, F.WRLCK, 10, 10)
    set(b, F.RDLCK, 0, 10)
    set(b, F.RDLCK, 0, 11)
    set(b, F.WRLCK, 20, 0)
    ask(a, F.RDLCK, 0, 0)
    ask(b, F.RDLCK, 12, 1)
    set(a, F.RDLCK, 10, 10)
    set(b, F.RDLCK, 15, 10)
    set(a, F.UNLCK, 0, 0)
    set(b, F.WRLCK, 0, 0)
    set(b, F.UNLCK, 5, 5)
    ask(a, F.WRLCK, 0, 20)
    set(a, F.WRLCK, 5, 5)
    set(a, F.WRLCK, -95, 5, 2)
    set(a, F.WRLCK, -1, 5)
    set(a, F.WRLCK, 9, -4)
    set(a, 9, 0, 0)
    const reader = t.place.open('f').fd
    t.says('write lock, read only', () => call.lock(reader, F.OFD_SETLK, F.WRLCK, 90, 1), 'EBADF')
    const path = t.place.open('f', O.PATH).fd
    t.says('O_PATH', () => call.lock(path, F.SETLK, F.RDLCK, 0, 0), 'EBADF')
  },
}

const processes: Case = {
  title: 'record locks between processes, over a copy-up, gone with the first close',
  given: (place) => put(place, 'f', 'x'.repeat(100)),
  trial(t) {
    const reader = t.place.open('f')
    t.says('read lock', () => call.lock(reader.fd, F.SETLK, F.RDLCK, 0, 50))
    child(t, 'f', F.WRLCK, 40, 20)
    child(t, 'f', F.RDLCK, 40, 20)
    const writer = t.place.open('f', O.RDWR)
    t.says('write lock', () => call.lock(writer.fd, F.SETLK, F.WRLCK, 60, 10))
    child(t, 'f', F.RDLCK, 0, 0)
    t.says('by open file', () => call.lock(writer.fd, F.OFD_SETLK, F.WRLCK, 65, 1), 'EAGAIN')
    t.calls.rename('f', 'g')
    child(t, 'g', F.WRLCK, 69, 1)
    reader.close()
    // POSIX: closing any descriptor of the file gives up all of the process's locks.
    child(t, 'g', F.WRLCK, 0, 0)
  },
}

const leases: Case = {
  title: 'leases',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    const file = t.place.open('f')
    t.says('none', () => call.fcntl(file.fd, F.GETLEASE, 0))
    t.says('read lease', () => call.fcntl(file.fd, F.SETLEASE, F.RDLCK))
    t.says('what is it', () => call.fcntl(file.fd, F.GETLEASE, 0))
    t.says('given up', () => call.fcntl(file.fd, F.SETLEASE, F.UNLCK))
    t.says('write lease', () => call.fcntl(file.fd, F.SETLEASE, F.WRLCK))
    t.says('given up', () => call.fcntl(file.fd, F.SETLEASE, F.UNLCK))
    const writer = t.place.open('f', O.RDWR)
    t.says('read lease beside a writer', () => call.fcntl(file.fd, F.SETLEASE, F.RDLCK), 'EAGAIN')
    writer.close()
  },
}

export const locks: readonly Case[] = [whole, records, processes, leases]
