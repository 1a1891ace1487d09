// Valid requests, one for each operation, as lists of fields: what a fuzzer begins from.
//
//   seedOf('mkdir', known, roll) ─▶ { code: 9, node, fields: [u32 mode, u32 umask, name] }
//   encode(seed) ─▶ bytes
//
// Rule: every operation of the protocol has a seed here; one that is added without does not compile.

import { OPERATIONS } from '../../lib/fuse/operations.ts'
import { initBody, request } from './wire.ts'

/** One field of a request: its bytes, and what kind of field it is. */
export type Field =
  | { kind: 'u32'; value: number }
  | { kind: 'u64'; value: bigint }
  | { kind: 'name'; value: string }
  | { kind: 'bytes'; value: Buffer }

export interface Message {
  code: number
  node: bigint
  unique: bigint
  uid: number
  gid: number
  pid: number
  fields: Field[]
}

export interface Opened {
  readonly node: bigint
  readonly handle: bigint
  readonly directory: boolean
}

/** What a client of the session has been told: numbers that mean something. */
export interface Known {
  readonly nodes: readonly bigint[]
  readonly directories: readonly bigint[]
  readonly opened: readonly Opened[]
  readonly names: readonly string[]
  readonly uniques: readonly bigint[]
}

/** The thread whose SETATTR changes nothing. */
export const TOUCHING = 4712

export type Roll = (below: number) => number

export const u32 = (value: number): Field => ({ kind: 'u32', value })
export const u64 = (value: bigint | number): Field => ({ kind: 'u64', value: BigInt(value) })
const nameField = (value: string): Field => ({ kind: 'name', value })
const raw = (value: Buffer): Field => ({ kind: 'bytes', value })

type Draw = (draw: Drawing) => Field[]

/** What a seed is drawn from. */
interface Drawing {
  readonly roll: Roll
  readonly node: () => bigint
  readonly directory: () => bigint
  readonly handle: () => bigint
  readonly name: () => string
  readonly unique: () => bigint
}

const creation = ({ name, roll }: Drawing): Field[] => [
  u32(pick([2, 0o102, 0o302, 0o1001], roll)),
  u32(0o100644),
  u32(0o022),
  u32(0),
  nameField(name()),
]
const reading = ({ handle }: Drawing): Field[] => [
  u64(handle()),
  u64(0),
  u32(4096),
  u32(0),
  u64(0),
  u32(0),
  u32(0),
]
const copying = ({ handle, node }: Drawing): Field[] => [
  u64(handle()),
  u64(0),
  u64(node()),
  u64(handle()),
  u64(0),
  u64(100),
  u64(0),
]
const releasing = ({ handle }: Drawing): Field[] => [u64(handle()), u32(0), u32(0), u64(0)]
const flushing = ({ handle, roll }: Drawing): Field[] => [u64(handle()), u32(roll(2)), u32(0)]
const opening = ({ roll }: Drawing): Field[] => [u32(pick([0, 1, 2, 0o1002], roll)), u32(0)]
const nothing: Draw = () => []

const SEEDS: Record<keyof typeof OPERATIONS, Draw> = {
  lookup: ({ name }) => [nameField(name())],
  forget: () => [u64(1)],
  getattr: ({ handle, roll }) => [u32(roll(2)), u32(0), u64(handle())],
  setattr: ({ roll, handle }) => [
    u32(pick([1, 8, 0x30, 0x1b0, 0x86, 0x48], roll)),
    u32(0),
    u64(handle()),
    u64(roll(9000)),
    u64(0),
    u64(1_600_000_000),
    u64(1_600_000_000),
    u64(0),
    u32(1),
    u32(2),
    u32(3),
    u32(pick([0o644, 0o755, 0o4755], roll)),
    u32(0),
    u32(1000),
    u32(1000),
    u32(0),
  ],
  readlink: nothing,
  symlink: ({ name }) => [nameField(name()), nameField('../target')],
  mknod: ({ name, roll }) => [
    u32(pick([0o100644, 0o010644, 0o140644, 0o020644], roll)),
    u32(roll(2) * 0x103),
    u32(0o022),
    u32(0),
    nameField(name()),
  ],
  mkdir: ({ name }) => [u32(0o755), u32(0o022), nameField(name())],
  unlink: ({ name }) => [nameField(name())],
  rmdir: ({ name }) => [nameField(name())],
  rename: ({ name, directory }) => [u64(directory()), nameField(name()), nameField(name())],
  link: ({ name, node }) => [u64(node()), nameField(name())],
  open: opening,
  read: reading,
  write: ({ handle, roll }) => [
    u64(handle()),
    u64(roll(5000)),
    u32(5),
    u32(pick([0, 1, 4], roll)),
    u64(0),
    u32(0),
    u32(0),
    raw(Buffer.from('bytes')),
  ],
  statfs: nothing,
  release: releasing,
  fsync: flushing,
  setxattr: ({ roll }) => [
    u32(5),
    u32(roll(3)),
    u32(roll(2)),
    u32(0),
    nameField(pick(['user.a', 'user.overlay.opaque', 'trusted.svsfs.base', 'security.x'], roll)),
    raw(Buffer.from('value')),
  ],
  getxattr: ({ roll }) => [
    u32(pick([0, 100], roll)),
    u32(0),
    nameField(pick(['user.a', 'trusted.overlay.redirect', 'security.capability'], roll)),
  ],
  listxattr: ({ roll }) => [u32(pick([0, 1000], roll)), u32(0)],
  removexattr: ({ roll }) => [nameField(pick(['user.a', 'user.overlay.metacopy'], roll))],
  flush: ({ handle }) => [u64(handle()), u32(0), u32(0), u64(0)],
  init: () => [raw(initBody())],
  opendir: () => [u32(0), u32(0)],
  readdir: reading,
  releasedir: releasing,
  fsyncdir: flushing,
  access: () => [u32(4), u32(0)],
  create: creation,
  interrupt: ({ unique }) => [u64(unique())],
  destroy: nothing,
  ioctl: ({ handle }) => [u64(handle()), u32(0), u32(0x5401), u64(0), u32(0), u32(0)],
  notifyReply: () => [u64(0), u64(0), u32(3), u32(0), u64(0), u64(0), raw(Buffer.from('abc'))],
  batchForget: ({ node, roll }) => [
    u32(2),
    u32(0),
    u64(node()),
    u64(roll(2)),
    u64(node()),
    u64(roll(2)),
  ],
  fallocate: ({ handle, roll }) => [u64(handle()), u64(0), u64(100), u32(roll(4)), u32(0)],
  readdirplus: reading,
  rename2: ({ name, directory, roll }) => [
    u64(directory()),
    u32(roll(4)),
    u32(0),
    nameField(name()),
    nameField(name()),
  ],
  lseek: ({ handle, roll }) => [u64(handle()), u64(0), u32(3 + roll(2)), u32(0)],
  copyFileRange: copying,
  syncfs: () => [u64(0)],
  tmpfile: creation,
  statx: ({ handle }) => [u32(0), u32(0), u64(handle()), u32(0), u32(0xfff)],
  copyFileRange64: copying,
}

export type OperationName = keyof typeof SEEDS
export const NAMES = Object.keys(SEEDS) as OperationName[]
/** By the number that the kernel uses. */
export const CODE = Object.fromEntries(
  NAMES.map((name) => [name, OPERATIONS[name].code]),
) as Record<OperationName, number>

export function pick<T>(from: readonly T[], roll: Roll): T {
  return from[roll(from.length)]!
}

const IN_DIRECTORY = new Set<OperationName>([
  'lookup',
  'symlink',
  'mknod',
  'mkdir',
  'unlink',
  'rmdir',
  'rename',
  'rename2',
  'link',
  'create',
  'tmpfile',
  'opendir',
])
const OF_DIRECTORY = new Set<OperationName>(['readdir', 'readdirplus', 'releasedir', 'fsyncdir'])

/** A request that a kernel might send now; sometimes about a thing of the wrong kind. */
export function seedOf(name: OperationName, known: Known, roll: Roll, unique: bigint): Message {
  const some = <T>(from: readonly T[], otherwise: T): T =>
    from.length === 0 ? otherwise : pick(from, roll)
  const odd = roll(10) === 0
  const kind = known.opened.filter(({ directory }) => odd || directory === OF_DIRECTORY.has(name))
  const opened = some(kind, { node: 1n, handle: 1n, directory: true })
  let handles = 0
  const owner = pick([0, 0, 1000], roll)
  const fields = SEEDS[name]({
    roll,
    node: () => some(known.nodes, 1n),
    directory: () => some(odd ? known.nodes : known.directories, 1n),
    handle: () => (handles++ === 0 ? opened : some(kind, opened)).handle,
    name: () => some(known.names, 'name'),
    unique: () => some(known.uniques, 2n),
  })
  const whole = IN_DIRECTORY.has(name) && !odd ? known.directories : known.nodes
  const node = handles > 0 && roll(10) !== 0 ? opened.node : some(whole, 1n)
  const pid = pick([4711, TOUCHING], roll)
  return { code: CODE[name], node, unique, uid: owner, gid: owner, pid, fields }
}

/** The bytes of a message, its length field right. */
export function encode(message: Message): Buffer {
  const body = Buffer.concat(message.fields.map(bytesOfField))
  const { uid, gid, pid } = message
  const bytes = request(message.code, 0, body, { uid, gid, pid })
  bytes.writeBigUInt64LE(BigInt.asUintN(64, message.unique), 8)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, message.node), 16)
  return bytes
}

function bytesOfField(field: Field): Buffer {
  if (field.kind === 'bytes') return field.value
  if (field.kind === 'name') return Buffer.from(`${field.value}\0`, 'latin1')
  const bytes = Buffer.alloc(field.kind === 'u32' ? 4 : 8)
  if (field.kind === 'u32') bytes.writeUInt32LE(field.value >>> 0)
  else bytes.writeBigUInt64LE(BigInt.asUintN(64, field.value))
  return bytes
}
