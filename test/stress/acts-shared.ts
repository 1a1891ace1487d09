// Acts in the directories that all workers share.
//
//   shared/hot      few names, n0… for files and d0… for directories: acts meet each other
//   shared/common   each worker's own names in one directory
//
// Rule: what a plain directory could answer while others change it is allowed, nothing else;
// and a file's bytes are always such as somebody wrote.

import assert from 'node:assert/strict'
import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import { put, text, using } from '../behaviour/act.ts'
import { errnoOfCall, type Place } from '../behaviour/place.ts'
import type { Hand } from './hand.ts'

const HOT = 'hot'
const COMMON = 'common'
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** A worker among others. */
export interface Meeting {
  readonly hand: Hand
  readonly worker: number
  readonly place: Place
  /** Its own names in shared/common, with their content. */
  readonly mine: Map<string, string>
}

function allowed(codes: readonly string[], act: () => void): boolean {
  const code = errnoOfCall(act)
  if (code !== null) assert.ok(codes.includes(code), `${code}, which a plain directory cannot give`)
  return code === null
}

const file = ({ hand }: Meeting): string => {
  const name = `n${hand.random(8)}`
  return hand.random(3) === 0 ? `${HOT}/d${hand.random(3)}/${name}` : `${HOT}/${name}`
}
const directory = ({ hand }: Meeting): string => `${HOT}/d${hand.random(3)}`
const content = ({ hand, worker }: Meeting): string =>
  LETTERS[worker]!.repeat(1 + hand.random(hand.random(10) === 0 ? 200_000 : 5000))

type Act = (meeting: Meeting) => void

const HOT_ACTS: readonly (readonly [words: string, act: Act])[] = [
  ['put', (m) => allowed(['ENOENT'], () => put(m.place, file(m), content(m)))],
  ['put', (m) => allowed(['ENOENT'], () => put(m.place, file(m), content(m)))],
  [
    'create',
    (m) =>
      allowed(['ENOENT', 'EEXIST'], () =>
        m.place.open(file(m), O.CREAT | O.EXCL | O.WRONLY, 0o666).close(),
      ),
  ],
  ['append', (m) => allowed(['ENOENT'], () => appendTo(m, file(m)))],
  ['read', (m) => allowed(['ENOENT'], () => readBack(m.place, file(m)))],
  ['read', (m) => allowed(['ENOENT'], () => readBack(m.place, file(m)))],
  ['truncate', (m) => allowed(['ENOENT'], () => m.place.truncate(file(m), 0))],
  ['unlink', (m) => allowed(['ENOENT'], () => m.place.unlink(file(m)))],
  ['rename', (m) => allowed(['ENOENT'], () => m.place.rename(file(m), file(m)))],
  ['rename', (m) => allowed(['ENOENT'], () => m.place.rename(file(m), file(m)))],
  ['exchange', (m) => allowed(['ENOENT'], () => m.place.rename(file(m), file(m), RENAME_EXCHANGE))],
  ['link', (m) => allowed(['ENOENT', 'EEXIST'], () => m.place.link(file(m), file(m)))],
  ['mkdir', (m) => allowed(['EEXIST'], () => m.place.mkdir(directory(m)))],
  ['rmdir', (m) => allowed(['ENOENT', 'ENOTEMPTY'], () => m.place.rmdir(directory(m)))],
  [
    'rename directory',
    (m) =>
      allowed(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => m.place.rename(directory(m), directory(m))),
  ],
  ['stat', (m) => allowed(['ENOENT'], () => void m.place.stat(file(m)))],
  ['chmod', (m) => allowed(['ENOENT'], () => m.place.chmod(file(m), m.hand.mode() | 0o066))],
  ['list', (m) => allowed(['ENOENT'], () => listOnce(m.place, directory(m)))],
  ['list', (m) => listOnce(m.place, HOT)],
]

function appendTo(m: Meeting, path: string): void {
  const data = content(m)
  using(m.place.open(path, O.WRONLY | O.APPEND), (open) =>
    assert.equal(open.write(data), data.length),
  )
}

function readBack(place: Place, path: string): void {
  const bytes = text(place, path)
  assert.match(bytes, /^[a-z]*$/, `${path} has bytes that nobody wrote`)
}

function listOnce(place: Place, path: string): void {
  const names = place.list(path).map(({ name }) => name)
  assert.equal(new Set(names).size, names.length, `${path} lists a name twice: ${names.join(' ')}`)
}

export function meetOthers(meeting: Meeting): void {
  const { hand } = meeting
  if (hand.random(2) === 0) {
    const [words, act] = hand.pick(HOT_ACTS)!
    hand.says(`shared: ${words}`)
    act(meeting)
    return
  }
  hand.pick(COMMON_ACTS)!(meeting)
}

function make(m: Meeting): void {
  if (m.mine.size > 30) {
    remove(m)
    return
  }
  const name = `w${m.worker}-${m.hand.acts}`
  const data = content(m)
  m.hand.says(`shared: make ${name}`)
  put(m.place, `${COMMON}/${name}`, data)
  m.mine.set(name, data)
}

function remove(m: Meeting): void {
  const name = m.hand.pick([...m.mine.keys()])
  if (name === undefined) return
  m.hand.says(`shared: remove ${name}`)
  m.place.unlink(`${COMMON}/${name}`)
  m.mine.delete(name)
}

function move(m: Meeting): void {
  const [from, to] = [m.hand.pick([...m.mine.keys()]), m.hand.pick([...m.mine.keys()])]
  if (from === undefined || to === undefined || from === to) return
  const data = m.mine.get(from)!
  m.hand.says(`shared: rename ${from} over ${to}`)
  m.place.rename(`${COMMON}/${from}`, `${COMMON}/${to}`)
  m.mine.delete(from)
  m.mine.set(to, data)
}

function check(m: Meeting): void {
  const name = m.hand.pick([...m.mine.keys()])
  if (name === undefined) return
  m.hand.says(`shared: check ${name}`)
  assert.equal(text(m.place, `${COMMON}/${name}`), m.mine.get(name))
}

const COMMON_ACTS: readonly Act[] = [make, make, remove, move, check, (m) => checkMine(m)]

/** That the directory of all shows exactly what this worker made there. */
export function checkMine({ hand, place, worker, mine }: Meeting): void {
  hand.says('shared: list')
  const names = place.list(COMMON).map(({ name }) => name)
  const own = names.filter((name) => name.startsWith(`w${worker}-`))
  assert.deepEqual(own.sort(), [...mine.keys()].sort())
}
