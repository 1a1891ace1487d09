// Acts on the bytes and attributes of a worker's own files, by path and by what it holds open.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { using } from '../behaviour/act.ts'
import type { OpenFile } from '../behaviour/place.ts'
import { type BelievedFile, bytesDiffer, factsDiffer, MARK } from './believed.ts'
import type { Hand } from './hand.ts'

const MOST_HELD = 4
const PUNCH_KEEPING_SIZE = 3

function written(thing: BelievedFile, data: Buffer, at: number): void {
  const size = Math.max(thing.bytes.length, at + data.length)
  const bytes = Buffer.alloc(size)
  thing.bytes.copy(bytes)
  data.copy(bytes, at)
  thing.bytes = bytes
}

function cut(thing: BelievedFile, size: number): void {
  const bytes = Buffer.alloc(size)
  thing.bytes.copy(bytes)
  thing.bytes = bytes
}

const write = (file: OpenFile, data: Buffer, at: number): void =>
  assert.equal(file.pwrite(data, at), data.length)

function withFile(
  hand: Hand,
  words: string,
  flags: number,
  act: (file: OpenFile, thing: BelievedFile) => void,
): void {
  const spot = hand.file()
  if (spot === undefined) return
  hand.says(`${words} ${spot.path}`)
  using(hand.place.open(spot.path, flags), (file) => act(file, spot.thing))
}

function overwrite(hand: Hand): void {
  withFile(hand, 'overwrite', O.WRONLY | O.TRUNC, (file, thing) => {
    const data = hand.bytes(hand.random(8) === 0 ? 300_000 : 20_000)
    write(file, data, 0)
    thing.bytes = data
  })
}

function append(hand: Hand): void {
  withFile(hand, 'append', O.WRONLY | O.APPEND, (file, thing) => {
    const data = hand.bytes(5000)
    assert.equal(file.write(data), data.length)
    written(thing, data, thing.bytes.length)
  })
}

function change(hand: Hand): void {
  withFile(hand, 'change', O.RDWR, (file, thing) => {
    const data = hand.bytes(3000)
    if (data.length === 0) return
    const at = hand.random(thing.bytes.length + 5000)
    write(file, data, at)
    written(thing, data, at)
    if (hand.random(3) === 0) file.sync(hand.random(2) === 0)
  })
}

function mapped(hand: Hand): void {
  withFile(hand, 'map', O.RDWR, (file, thing) => {
    const size = thing.bytes.length
    if (size === 0) return
    const bytes = file.map(size)
    assert.deepEqual(bytesDiffer('mapping', Buffer.from(bytes), thing.bytes), [])
    const at = hand.random(size)
    const data = hand.bytes(2000).subarray(0, size - at)
    data.copy(bytes, at)
    written(thing, data, at)
    assert.deepEqual(bytesDiffer('beside its mapping', file.pread(size, 0), thing.bytes), [])
  })
}

function truncate(hand: Hand): void {
  const spot = hand.file()
  if (spot === undefined) return
  const size = hand.random(3) === 0 ? 0 : hand.random(spot.thing.bytes.length + 3000)
  hand.says(`truncate ${spot.path} to ${size}`)
  hand.place.truncate(spot.path, size)
  cut(spot.thing, size)
}

function punch(hand: Hand): void {
  withFile(hand, 'punch', O.RDWR, (file, thing) => {
    const size = thing.bytes.length
    if (size < 2) return
    const at = hand.random(size - 1)
    const length = 1 + hand.random(size - at)
    file.allocate(PUNCH_KEEPING_SIZE, at, length)
    thing.bytes = Buffer.from(thing.bytes)
    thing.bytes.fill(0, at, Math.min(at + length, size))
  })
}

function copyRange(hand: Hand): void {
  const [from, to] = [hand.file(), hand.file()]
  if (from === undefined || to === undefined || from.thing === to.thing) return
  const length = hand.random(from.thing.bytes.length + 1)
  const at = hand.random(to.thing.bytes.length + 1)
  hand.says(`copy ${length} of ${from.path} into ${to.path} at ${at}`)
  using(hand.place.open(from.path), (source) =>
    using(hand.place.open(to.path, O.RDWR), (target) => {
      const done = source.copyTo(target, 0, at, length)
      written(to.thing, from.thing.bytes.subarray(0, done), at)
    }),
  )
}

function chmod(hand: Hand): void {
  const spot = hand.file()
  if (spot === undefined) return
  const mode = hand.mode()
  hand.says(`chmod ${spot.path} ${mode.toString(8)}`)
  hand.place.chmod(spot.path, mode)
  spot.thing.mode = mode
}

function mark(hand: Hand): void {
  const spot = hand.file()
  if (spot === undefined) return
  const value = `${hand.random(1000)}`
  hand.says(`mark ${spot.path}`)
  hand.place.setxattr(spot.path, MARK, value)
  spot.thing.mark = value
}

function hold(hand: Hand): void {
  const spot = hand.file()
  if (spot === undefined) return
  const flags = hand.random(2) === 0 ? O.RDONLY : O.RDWR
  hand.says(`hold ${spot.path}`)
  const words = `what was ${spot.path}`
  hand.held.push({ file: hand.place.open(spot.path, flags), thing: spot.thing, words })
  if (hand.held.length > MOST_HELD) letGo(hand)
}

function letGo(hand: Hand): void {
  const held = hand.held.shift()
  if (held === undefined) return
  hand.says(`let go of ${held.words}`)
  lookAtHeld(held)
  held.file.close()
}

/** What a descriptor shows, however long it has been open: the file as it is now. */
export function lookAtHeld({ file, thing, words }: Hand['held'][number]): void {
  const found = [
    ...bytesDiffer(words, file.pread(thing.bytes.length + 1, 0), thing.bytes),
    ...factsDiffer(words, file.stat(), thing),
  ]
  assert.deepEqual(found, [])
}

function readHeld(hand: Hand): void {
  const held = hand.pick(hand.held)
  if (held === undefined) return
  hand.says(`read ${held.words}`)
  lookAtHeld(held)
}

function chmodHeld(hand: Hand): void {
  const held = hand.pick(hand.held)
  if (held === undefined) return
  const mode = hand.mode()
  hand.says(`fchmod ${held.words}`)
  held.file.chmod(mode)
  held.thing.mode = mode
}

export const ACTS_ON_BYTES = [
  overwrite,
  append,
  change,
  change,
  mapped,
  truncate,
  punch,
  copyRange,
  chmod,
  mark,
  hold,
  letGo,
  readHeld,
  readHeld,
  chmodHeld,
]
