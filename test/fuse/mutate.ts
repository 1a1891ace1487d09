// Requests made wrong: each change is one that no kernel makes, and any program could wish for.
//
//   everyMutation(seed)     each length, each odd value in each field, each odd name: one by one
//   anyMutation(seed, …)    one or several of them, drawn

import { BY_CODE } from '../../lib/fuse/operations.ts'
import { encode, type Field, type Known, type Message, pick, type Roll } from './messages.ts'

/** The bytes that arrive, and how many of them the read(2) is said to have given. */
export interface Case {
  readonly bytes: Buffer
  readonly length: number
}

/** Numbers that look random, and are the same for the same seed (mulberry32). */
export function dice(seed: number): Roll {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % below
  }
}

const U32 = [0, 1, 2, 40, 4096, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]
const U64 = [
  0n,
  1n,
  2n,
  1n << 31n,
  (1n << 32n) - 1n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 2n,
  (1n << 64n) - 1n,
]
const EVIL_NAMES = [
  '',
  '.',
  '..',
  '/',
  '../escaped',
  'a/b',
  '/etc/passwd',
  'x'.repeat(255),
  'x'.repeat(256),
  'x'.repeat(4096),
  '..\0hidden',
  'nul\0inside',
  '.wh.name',
  '\xff\xfe',
  '\n',
  'trusted.overlay.opaque',
  'user.svsfs.base',
  `user.${'x'.repeat(300)}`,
]
const LENGTHS = [0, 1, 16, 39, 40, 41, 0xffff, 0x10_0000, 0x7fff_ffff, 0xffff_ffff]

const said = (bytes: Buffer, length = bytes.length): Case => ({ bytes, length })

function telling(bytes: Buffer, told: number): Buffer {
  const lying = Buffer.from(bytes)
  if (lying.length >= 4) lying.writeUInt32LE(told >>> 0, 0)
  return lying
}

function withField(message: Message, at: number, field: Field): Message {
  return { ...message, fields: message.fields.with(at, field) }
}

function oddFields(field: Field): Field[] {
  if (field.kind === 'u32') return U32.map((value) => ({ kind: 'u32', value }))
  if (field.kind === 'u64') return U64.map((value) => ({ kind: 'u64', value }))
  if (field.kind === 'name') {
    const names = EVIL_NAMES.map((value): Field => ({ kind: 'name', value }))
    return [...names, { kind: 'bytes', value: Buffer.from(field.value) }]
  }
  const { value } = field
  return [
    { kind: 'bytes', value: Buffer.alloc(0) },
    { kind: 'bytes', value: value.subarray(0, value.length >> 1) },
    { kind: 'bytes', value: Buffer.alloc(value.length, 0xff) },
    { kind: 'bytes', value: Buffer.alloc(70_000, 0x61) },
  ]
}

/** Every single mistake in one request. */
export function* everyMutation(message: Message): Generator<Case> {
  const bytes = encode(message)
  yield said(bytes)
  for (let cut = 0; cut < bytes.length; cut++) {
    const short = Buffer.from(bytes.subarray(0, cut))
    yield said(short)
    yield said(telling(short, cut))
  }
  for (const told of LENGTHS) yield said(telling(bytes, told))
  for (const [at, field] of message.fields.entries()) {
    for (const odd of oddFields(field)) yield said(encode(withField(message, at, odd)))
  }
  for (const node of U64) yield said(encode({ ...message, node }))
  for (const unique of U64) yield said(encode({ ...message, unique }))
  for (const id of [0xffff_ffff, 0x7fff_ffff]) {
    yield said(encode({ ...message, uid: id, gid: 0 }))
    yield said(encode({ ...message, uid: 0, gid: id }))
  }
}

type Mutation = (message: Message, known: Known, roll: Roll) => Message

const ofMessage: readonly Mutation[] = [
  (message) => message,
  (message, known, roll) => ({ ...message, node: pick([...U64, ...known.nodes], roll) }),
  (message, known, roll) => ({ ...message, unique: pick([...U64, ...known.uniques], roll) }),
  (message, _known, roll) => ({ ...message, code: roll(roll(2) === 0 ? 64 : 0xffff_ffff) }),
  (message, _known, roll) => ({ ...message, code: roll(BY_CODE.length) }),
  (message, _known, roll) => ({ ...message, uid: pick(U32, roll), gid: pick(U32, roll) }),
  changeField,
  changeField,
  changeField,
]

function changeField(message: Message, known: Known, roll: Roll): Message {
  if (message.fields.length === 0) return message
  const at = roll(message.fields.length)
  const field = message.fields[at]!
  if (field.kind === 'u64' && roll(2) === 0) {
    return withField(message, at, {
      kind: 'u64',
      value: pick([{ handle: 1n }, ...known.opened], roll).handle,
    })
  }
  return withField(message, at, pick(oddFields(field), roll))
}

type Damage = (bytes: Buffer, roll: Roll) => Buffer

const ofBytes: readonly Damage[] = [
  (bytes) => bytes,
  (bytes, roll) => Buffer.from(bytes.subarray(0, roll(bytes.length + 1))),
  (bytes, roll) => Buffer.concat([bytes, Buffer.alloc(roll(200), roll(256))]),
  (bytes, roll) => telling(bytes, pick(LENGTHS, roll)),
  (bytes, roll) => scattered(bytes, roll, 40),
  (bytes, roll) => scattered(bytes, roll, 0),
  (bytes, roll) => Buffer.from(bytes).fill(roll(256), 40),
]

function scattered(bytes: Buffer, roll: Roll, from: number): Buffer {
  const damaged = Buffer.from(bytes)
  for (let left = 1 + roll(4); left > 0 && damaged.length > from; left--) {
    damaged[from + roll(damaged.length - from)] = roll(256)
  }
  return damaged
}

/** One request with one to three mistakes in it; one time in four with none. */
export function anyMutation(message: Message, known: Known, roll: Roll): Case {
  if (roll(4) === 0) return said(encode(message))
  let wrong = message
  for (let left = 1 + roll(2); left > 0; left--) wrong = pick(ofMessage, roll)(wrong, known, roll)
  const bytes = roll(3) === 0 ? pick(ofBytes, roll)(encode(wrong), roll) : encode(wrong)
  // Mostly the length field fits what arrived: what does not is refused before anything else.
  if (roll(2) === 0) return said(bytes.length >= 4 ? telling(bytes, bytes.length) : bytes)
  return said(bytes, roll(20) === 0 ? roll(bytes.length + 1) : bytes.length)
}
