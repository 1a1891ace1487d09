// What is measured: one row a line of the table. Each works below a root that it knows nothing
// else about, prepares what it needs untimed, and times system calls alone.
//
//   root/names/DD/fFF   4 KiB files of the lower tree, found through the mount for the first time
//   root/big, random    large files of the lower tree
//   root/trees/         copies of a source tree
//   root/out/           where rows make things; fresh in every round
//
// There are two such roots in one mount: rows run once below `warm`, untimed, so that the code
// of caller and daemon is compiled, and once below `timed`.
//
// Rule: every mount is new in each round, so that no row finds what an earlier round left in
// the kernel's caches; the rows of one round run in the order of this table.

import { spawnSync } from 'node:child_process'
import { libc } from '../lib/host/libc.ts'
import { AT_FDCWD, must, O, sys } from '../lib/host/sys.ts'

export const NAMES = { dirs: 50, files: 100 }
export const MIB = 1024 * 1024

/** How much load a run makes. */
export interface Load {
  /** Operations of a row that makes files. */
  readonly operations: number
  /** Bytes of the large files. */
  readonly bytes: number
  readonly tar: string
}

export interface Measured {
  readonly seconds: number
  /** Operations done, or MiB moved. */
  readonly amount: number
}

export interface Row {
  readonly unit: 'µs' | 'MiB/s'
  readonly what: string
  /** Needs something below to copy up from: a plain directory takes no part. */
  readonly unionOnly?: true
  readonly run: (root: string, load: Load) => Measured
}

export const ROWS: Record<string, Row> = {
  lookup: {
    unit: 'µs',
    what: 'stat of a name never looked up before',
    run: (root) => eachName(root, 'f', 0),
  },
  absent: {
    unit: 'µs',
    what: 'stat of a name that does not exist',
    run: (root) => eachName(root, 'none', -2),
  },
  open: {
    unit: 'µs',
    what: 'open, read 4 KiB and close of a file found before',
    run(root, { operations }) {
      eachName(root, 'f', 0)
      return each(operations, (i) => {
        const fd = must(sys.openat(AT_FDCWD, `${root}/${namePath('f', i)}`, O.RDONLY), 'open')
        must(sys.read(fd, block, 4096), 'read')
        sys.close(fd)
      })
    },
  },
  find: {
    unit: 'µs',
    what: 'find with a stat of each entry of source trees, per entry',
    run: (root) => external(['find', `${root}/trees`, '-size', '-1000000', '-print']),
  },
  'read sequential': {
    unit: 'MiB/s',
    what: '1 MiB reads of a large file',
    run(root, { bytes }) {
      const fd = must(sys.openat(AT_FDCWD, `${root}/big`, O.RDONLY), 'open')
      return closing(fd, bytes / MIB, () => {
        while (must(sys.read(fd, block, MIB), 'read') > 0);
      })
    },
  },
  'read random': {
    unit: 'µs',
    what: '4 KiB reads at random offsets of a large file',
    run(root, { operations, bytes }) {
      const fd = must(sys.openat(AT_FDCWD, `${root}/random`, O.RDONLY), 'open')
      const next = offsets(bytes)
      return closing(fd, operations, () => {
        for (let i = 0; i < operations; i++) must(sys.pread(fd, block, 4096, next()), 'pread')
      })
    },
  },
  create: {
    unit: 'µs',
    what: 'create, write 4 KiB and close',
    run: (root, { operations }) => each(operations, makeFiles(directory(root, 'create'))),
  },
  rename: {
    unit: 'µs',
    what: 'rename within a directory',
    run(root, { operations }) {
      const dir = directory(root, 'rename')
      each(operations, makeFiles(dir))
      return each(operations, (i) =>
        must(sys.renameat(AT_FDCWD, `${dir}/f${i}`, AT_FDCWD, `${dir}/g${i}`), 'rename'),
      )
    },
  },
  unlink: {
    unit: 'µs',
    what: 'unlink of a new file',
    run(root, { operations }) {
      const dir = directory(root, 'unlink')
      each(operations, makeFiles(dir))
      return each(operations, (i) => must(sys.unlinkat(AT_FDCWD, `${dir}/f${i}`), 'unlink'))
    },
  },
  mkdir: {
    unit: 'µs',
    what: 'mkdir',
    run(root, { operations }) {
      const dir = directory(root, 'mkdir')
      return each(operations, (i) => must(sys.mkdirat(AT_FDCWD, `${dir}/d${i}`, 0o755), 'mkdir'))
    },
  },
  'copy-up': {
    unit: 'µs',
    what: 'open, append 1 byte and close of a lower 4 KiB file',
    unionOnly: true,
    run: (root, { operations }) =>
      each(operations / 2, (i) => {
        const path = `${root}/${namePath('f', i)}`
        const fd = must(sys.openat(AT_FDCWD, path, O.WRONLY | O.APPEND), 'open')
        must(sys.write(fd, block, 1), 'write')
        sys.close(fd)
      }),
  },
  'write sequential': {
    unit: 'MiB/s',
    what: '1 MiB writes of a new large file, until close returned',
    run: (root, { bytes }) => writeLarge(`${directory(root, 'large')}/sequential`, bytes),
  },
  'write random': {
    unit: 'µs',
    what: '4 KiB writes at random offsets of a large file, until close returned',
    run(root, { operations, bytes }) {
      const path = `${directory(root, 'random')}/file`
      writeLarge(path, bytes)
      const fd = must(sys.openat(AT_FDCWD, path, O.RDWR), 'open')
      const next = offsets(bytes)
      return closing(fd, operations, () => {
        for (let i = 0; i < operations; i++) must(sys.pwrite(fd, block, 4096, next()), 'pwrite')
      })
    },
  },
  untar: {
    unit: 'µs',
    what: 'tar -x of a source tree, per entry',
    run: (root, { tar }) => external(['tar', '-xvf', tar, '-C', directory(root, 'untar')]),
  },
}

const block = Buffer.alloc(MIB, 'svsfs')

/** Path of the i-th of the names of the lower tree. */
export function namePath(kind: string, i: number): string {
  return `names/${Math.floor(i / NAMES.files) % NAMES.dirs}/${kind}${i % NAMES.files}`
}

function timed(amount: number, work: () => void): Measured {
  const start = process.hrtime.bigint()
  work()
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, amount }
}

function each(count: number, operation: (i: number) => unknown): Measured {
  return timed(count, () => {
    for (let i = 0; i < count; i++) operation(i)
  })
}

function closing(fd: number, amount: number, work: () => void): Measured {
  return timed(amount, () => {
    work()
    must(sys.close(fd), 'close')
  })
}

const STATX_BASIC = 0x7ff // as stat(2) asks: a birth time would cost a FUSE daemon one more request
const NO_FOLLOW = 0x100
const attributes = Buffer.alloc(256)
const path = Buffer.alloc(4096)

function eachName(root: string, kind: string, expected: number): Measured {
  return each(NAMES.dirs * NAMES.files, (i) => {
    path[path.latin1Write(`${root}/${namePath(kind, i)}`, 0)] = 0
    const answer = libc.statx(AT_FDCWD, path, NO_FOLLOW, STATX_BASIC, attributes)
    if (answer !== Math.sign(expected)) throw new Error(`stat of ${kind}${i} answered ${answer}`)
  })
}

function directory(root: string, name: string): string {
  const dir = `${root}/out/${name}`
  must(sys.mkdirat(AT_FDCWD, dir, 0o755), 'mkdir')
  return dir
}

const makeFiles = (dir: string) => (i: number) => {
  const fd = must(
    sys.openat(AT_FDCWD, `${dir}/f${i}`, O.WRONLY | O.CREAT | O.EXCL, 0o644),
    'create',
  )
  must(sys.write(fd, block, 4096), 'write')
  must(sys.close(fd), 'close')
}

/** Makes a file of `bytes`, by 1 MiB writes. */
export function writeLarge(file: string, bytes: number): Measured {
  const fd = must(sys.openat(AT_FDCWD, file, O.WRONLY | O.CREAT, 0o644), 'create')
  return closing(fd, bytes / MIB, () => {
    for (let done = 0; done < bytes; done += MIB) must(sys.write(fd, block, MIB), 'write')
  })
}

/** The same page-aligned offsets in every run (a linear congruential sequence). */
function offsets(bytes: number): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state % (bytes / 4096)) * 4096
  }
}

/** A program that prints a line an entry. */
function external([program, ...args]: string[]): Measured {
  const start = process.hrtime.bigint()
  const ran = spawnSync(program!, args, { maxBuffer: 64 * MIB })
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  if (ran.status !== 0) throw new Error(`${program}: ${ran.stderr}`)
  return { seconds, amount: ran.stdout.toString('latin1').split('\n').length - 1 }
}
