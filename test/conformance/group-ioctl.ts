// ioctl(2) of filesystems, statfs(2), and file handles.

import { O, sys } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call } from './calls.ts'
import type { Case } from './case.ts'

/** Requests by name, with as many bytes as they take. */
const REQUESTS: Readonly<Record<string, readonly [number, number]>> = {
  FS_IOC_GETFLAGS: [0x80086601, 8],
  FS_IOC_GETVERSION: [0x80087601, 8],
  FS_IOC_FSGETXATTR: [0x801c581f, 28],
  FS_IOC_FIEMAP: [0xc020660b, 4096],
  FICLONE: [0x40049409, 8],
  FIONREAD: [0x541b, 8],
  FIGETBSZ: [2, 8],
  FIONBIO: [0x5421, 8],
  FIDEDUPERANGE: [0xc0189436, 64],
  TCGETS: [0x5401, 64],
  BLKGETSIZE64: [0x80081272, 8],
  nothing: [0x12345678, 64],
}

const ioctls: Case[] = Object.entries(REQUESTS).map(([name, [request, size]]) => ({
  title: `ioctl ${name}`,
  given(place) {
    put(place, 'f', 'x'.repeat(5000))
    place.mkdir('d')
  },
  trial(t) {
    for (const path of ['f', 'd']) {
      const { fd } = t.place.open(path)
      const bytes = Buffer.alloc(size)
      t.says(`${name} of ${path}`, () => call.ioctl(fd, request, bytes))
      // What is told of a disk's own blocks and numbers differs by right.
      if (['FIONREAD', 'FIGETBSZ'].includes(name)) t.says('answer', () => bytes.readUInt32LE())
    }
    t.says(
      'O_PATH',
      () => call.ioctl(t.place.open('f', O.PATH).fd, request, Buffer.alloc(size)),
      'EBADF',
    )
  },
}))

const figures: Case = {
  title: 'statfs tells the disk that new files go to',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    for (const path of ['', 'f']) {
      t.says(`statfs ${path}`, () => {
        const { namelen, bsize, blocks } = t.place.statfs(path)
        return `${namelen} ${bsize} ${blocks}`
      })
    }
    t.wants('ENOENT').statfs('n')
    t.wants('ENOTDIR').statfs('f/n')
    t.says('what a file takes is free no more', () => {
      const file = t.place.open('large', O.CREAT | O.RDWR)
      // Others use the disk, too: what they free meanwhile hides it.
      for (let tries = 0; tries < 20; tries++) {
        const before = freeBlocks(t.place.fd)
        file.allocate(0, 0, 64 << 20)
        const taken = before - freeBlocks(t.place.fd)
        file.truncate(0)
        if (taken >= 60 << 20 && taken < 2 ** 31) return true
      }
      return false
    })
  },
}

/** Bytes that are free, as statfs(2) says. */
function freeBlocks(path: number): number {
  const bytes = Buffer.alloc(120)
  sys.fstatfs(path, bytes)
  return Number(bytes.readBigUInt64LE(8)) * Number(bytes.readBigUInt64LE(24))
}

const handles: Case = {
  title: 'a file handle finds its file, wherever it went',
  needs: ['root'],
  given(place) {
    place.mkdir('d')
    put(place, 'd/f', 'content')
  },
  trial(t) {
    const mount = t.place.open('').fd
    const read = (handle: Buffer, flags: number = O.RDONLY) => {
      const fd = call.openByHandle(mount, handle, flags)
      const bytes = Buffer.alloc(100)
      const length = sys.read(fd, bytes, 100)
      sys.close(fd)
      return length < 0 ? length : bytes.latin1Slice(0, length)
    }
    const file = call.handleOf(t.place.fd, 'd/f')
    const directory = call.handleOf(t.place.fd, 'd')
    t.says('open', () => read(file), null)
    t.calls.rename('d/f', 'g')
    t.says('after a rename', () => read(file))
    put(t.place, 'g', 'CONTENT')
    t.says('after a change', () => read(file))
    t.says('a directory', () => read(directory))
    const holder = t.place.open('g')
    t.calls.unlink('g')
    t.says('unlinked and open', () => read(file))
    holder.close()
    t.says('unlinked', () => read(file), 'ESTALE')
    t.says(
      'nonsense',
      () => read(Buffer.concat([file.subarray(0, 8), Buffer.alloc(128, 7)])),
      'ESTALE',
    )
    t.says(
      'no room',
      () => call.nameToHandle(mount, Buffer.from('d\0'), Buffer.alloc(8), Buffer.alloc(4), 0),
      'EOVERFLOW',
    )
    t.says('nothing there', () => call.handleOf(mount, 'gone'), 'ENOENT')
  },
}

export const ioctl: readonly Case[] = [...ioctls, figures, handles]
