// Acts on open files: every way of opening one, and what can be done by its descriptor while
// its names come and go.

import fc from 'fast-check'
import { must, O, sys } from '../../lib/host/sys.ts'
import { alignedBuffer, more } from '../behaviour/libc.ts'
import { type Act, type At, act, bytesOf, onFile, sayAt, type Trait } from './act.ts'
import { SIZES } from './acts-names.ts'
import { sayFacts } from './answer.ts'
import type { Names } from './names.ts'
import { FILE_SLOTS, type Side } from './side.ts'
import type { Weighed } from './vocabulary.ts'

const slot = fc.nat(FILE_SLOTS - 1)
const seed = fc.nat(999)
const size = fc.constantFrom(...SIZES)
const OFFSETS = [0, 1, 100, 4095, 4096, 5000, 8192, 65_536, 300_000, 2 ** 32 - 7, 2 ** 32 + 4096]
const offset = fc.constantFrom(...OFFSETS)

/** Bits that may be set beside the access mode, each as likely as it stands here often. */
const EXTRA: readonly (keyof typeof O)[] = [
  'CREAT',
  'CREAT',
  'CREAT',
  'EXCL',
  'TRUNC',
  'TRUNC',
  'APPEND',
  'APPEND',
  'NOFOLLOW',
  'DIRECTORY',
  'DIRECT',
  'SYNC',
  'DSYNC',
  'NOATIME',
  'PATH',
]
const ACCESS = ['RDONLY', 'RDWR', 'RDWR', 'WRONLY'] as const
const flags = fc.tuple(
  fc.constantFrom(...ACCESS),
  fc.uniqueArray(fc.constantFrom(...EXTRA), { maxLength: 3 }),
)

export function actsOnOpenFiles(names: Names): Weighed[] {
  return [...opening(names), ...bytes(), ...room(), ...others(names)]
}

function opening({ any, old, folder }: Names): Weighed[] {
  return [
    { weight: 10, arbitrary: fc.tuple(slot, old, flags).map(openAct) },
    { weight: 5, arbitrary: fc.tuple(slot, any, flags).map(openAct) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(slot, folder, fc.constantFrom<number>(O.RDWR, O.WRONLY, O.RDWR | O.EXCL, O.RDONLY))
        .map(([n, at, bits]) =>
          act(
            `#${n} = tmpfile in ${sayAt(at)} flags ${bits.toString(8)}`,
            { needs: bits === O.RDONLY ? ['nameless', 'kernel'] : ['nameless'], names: [at] },
            (side) =>
              void side.keepFile(n, () => side.at(at.folder).tmpfile(at.path, bits, 0o666), bits),
          ),
        ),
    },
    { weight: 4, arbitrary: slot.map((n) => onFile(n, 'close', (side) => side.closeFile(n))) },
  ]
}

function openAct([n, at, [access, extra]]: readonly [
  number,
  At,
  readonly [string, readonly string[]],
]): Act {
  const direct = extra.includes('DIRECT')
  // A mount takes what O_DIRECT of a disk refuses: an end of the file that is no multiple of pages.
  const words = [access, ...extra].filter((word) => !direct || word !== 'APPEND')
  const bits = words.reduce<number>((all, word) => all | O[word as keyof typeof O], O.NONBLOCK)
  const simple = extra.every((word) => ['CREAT', 'TRUNC', 'APPEND'].includes(word))
  const needs: Trait[] = simple && at.folder === null ? [] : ['kernel']
  return act(
    `#${n} = open ${sayAt(at)} ${words.join('|')}`,
    { names: [at], needs, folders: at.folder === null ? [] : [at.folder] },
    (side) => {
      const file = side.keepFile(n, () => side.at(at.folder).open(at.path, bits, 0o664), bits)
      return sayFacts(file.stat())
    },
  )
}

const isFile = (side: Side, n: number): boolean => side.file(n).stat().kind === 'file'
const isDirect = (side: Side, n: number): boolean => ((side.files[n]?.flags ?? 0) & O.DIRECT) !== 0

/** What O_DIRECT takes on every disk: whole pages, from memory that starts at one. */
const whole = (value: number): number => Math.ceil(value / 4096) * 4096

function readAt(side: Side, n: number, count: number, at: number | null): Buffer {
  if (!isDirect(side, n))
    return at === null ? side.file(n).read(count) : side.file(n).pread(count, at)
  const into = alignedBuffer(whole(count))
  const got = must(sys.pread(side.fd(n), into, into.length, whole(at ?? 0)), 'pread')
  return into.subarray(0, got)
}

function writeAt(side: Side, n: number, from: Buffer, at: number | null): number {
  if (!isDirect(side, n)) {
    if (at === null) return side.file(n).write(from)
    return side.file(n).pwrite(from, at)
  }
  const aligned = alignedBuffer(whole(from.length))
  aligned.fill(from.length === 0 ? 'x' : from)
  return must(sys.pwrite(side.fd(n), aligned, aligned.length, whole(at ?? 0)), 'pwrite')
}

function bytes(): Weighed[] {
  const read = (n: number, count: number, at: number | null) => (side: Side) =>
    Buffer.from(readAt(side, n, count, at))
  const write = (n: number, from: Buffer, at: number | null) => (side: Side) =>
    writeAt(side, n, from, at)
  return [
    {
      weight: 4,
      arbitrary: fc
        .tuple(slot, size)
        .map(([n, count]) => onFile(n, `read ${count}`, read(n, count, null))),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(slot, size, offset)
        .map(([n, count, at]) => onFile(n, `pread ${count} at ${at}`, read(n, count, at))),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(slot, seed, size)
        .map(([n, s, count]) =>
          onFile(n, `write ${count} of ${s}`, write(n, bytesOf(s, count), null)),
        ),
    },
    {
      weight: 8,
      arbitrary: fc
        .tuple(slot, seed, size, offset)
        .map(([n, s, count, at]) =>
          onFile(n, `pwrite ${count} of ${s} at ${at}`, write(n, bytesOf(s, count), at)),
        ),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(slot, fc.oneof(size, offset))
        .map(([n, to]) => onFile(n, `ftruncate ${to}`, (side) => side.file(n).truncate(to))),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(slot, fc.boolean())
        .map(([n, dataOnly]) =>
          onFile(n, dataOnly ? 'fdatasync' : 'fsync', (side) => side.file(n).sync(dataOnly)),
        ),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(slot, offset, fc.nat(2))
        .map(([n, at, whence]) =>
          onFile(n, `seek ${at} from ${['start', 'here', 'end'][whence]}`, (side) =>
            side.file(n).seek(at, whence),
          ),
        ),
    },
  ]
}

const ROOMS: readonly (readonly [string, number])[] = [
  ['allocate', 0],
  ['allocate, keep size', 1],
  ['punch', 3],
  ['punch, change size', 2],
  ['zero', 0x10],
  ['zero, keep size', 0x11],
]

function room(): Weighed[] {
  return [
    {
      weight: 4,
      arbitrary: fc
        .tuple(slot, fc.constantFrom(...ROOMS), offset, size)
        .map(([n, [word, bits], at, length]) =>
          onFile(
            n,
            `${word} ${length} at ${at}`,
            (side) => side.file(n).allocate(bits, at, length),
            {
              needs: ['holes'],
            },
          ),
        ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(slot, offset, fc.constantFrom(3, 4)).map(([n, at, whence]) =>
        onFile(
          n,
          `seek ${whence === 3 ? 'data' : 'hole'} at ${at}`,
          // What a directory answers there is each filesystem's own.
          (side) => (isFile(side, n) ? side.file(n).seek(at, whence) : 'no file'),
          { needs: ['holes'] },
        ),
      ),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(slot, slot, offset, offset, size)
        .map(([n, to, at, toAt, length]) =>
          onFile(
            n,
            `copy ${length} at ${at} to #${to} at ${toAt}`,
            (side) => copyRange(side, [n, to], [at, toAt], length),
            { needs: ['holes', 'kernel'], files: [n, to] },
          ),
        ),
    },
  ]
}

/** How many bytes are copied at a time is a filesystem's own; that all are is not. */
function copyRange(
  side: Side,
  [n, to]: [number, number],
  [at, toAt]: [number, number],
  length: number,
): number {
  if (isDirect(side, n) || isDirect(side, to)) return 0
  let done = 0
  for (;;) {
    const some = side.file(n).copyTo(side.file(to), at + done, toAt + done, length - done)
    done += some
    if (some === 0 || done >= length) return done
  }
}

function others({ any }: Names): Weighed[] {
  return [
    {
      weight: 4,
      arbitrary: slot.map((n) =>
        onFile(n, 'fstat', (side) => {
          const facts = side.file(n).stat()
          const held = side.files[n]?.ino === facts.ino ? 'the same' : 'another'
          return `${sayFacts(facts)}, ${held} inode number`
        }),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(slot, any).map(([n, at]) =>
        act(
          `#${n} link to ${sayAt(at)}`,
          {
            files: [n],
            names: at.folder === null ? [at] : [],
            needs: ['links', 'kernel'],
          },
          (side) => side.file(n).linkTo(at.path),
        ),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(slot, fc.constantFrom(1, 2, 8)).map(([n, how]) =>
        onFile(n, `flock ${how}`, (side) => void must(sys.flock(side.fd(n), how | 4), 'flock'), {
          needs: ['kernel'],
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: slot.map((n) =>
        onFile(n, 'drop its pages', (side) => void more.dropCache(side.fd(n)), {
          needs: ['kernel'],
        }),
      ),
    },
  ]
}
