// The store as a directory: making it, and taking it for this process.
//
//   places ─▶ store.json (format, id) ─▶ run/lock (flock) ─▶ Store
//
// Rule: store.json is written last, so a directory without it is not a store; a newer format
// is refused, never read on a guess. What lies in the catalogue is opened by `openControl`. All of
// it is its owner's alone, whatever the umask, and whatever its directory was before.

import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { type MarkPrefix, ownPrefix } from '../layer/marks.ts'
import { lockStore, type StoreLock } from './store-lock.ts'
import { type StorePlaces, storePlaces } from './store-path.ts'
import { probeDisk } from './store-probe.ts'

export const STORE_FORMAT = 1

// Later formats add fields; a higher `format` means that this program must not touch the store.
export interface StoreJson {
  readonly format: number
  readonly id: string
  readonly made: string
  /** Prefix of the marks in all writable sublayers: `trusted` where root made the store. */
  readonly marks: MarkPrefix
}

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** What each field must be. Written out: whoever mounts waits for what is loaded here. */
const FIELDS: { readonly [Field in keyof StoreJson]: (value: unknown) => boolean } = {
  format: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  id: (value) => typeof value === 'string' && value.length > 0 && value.length <= 64,
  made: (value) => typeof value === 'string' && MOMENT.test(value) && Date.parse(value) > 0,
  marks: (value) => value === 'trusted' || value === 'user',
}

/** A store that this process owns until `release`. */
export interface Store {
  readonly places: StorePlaces
  readonly json: StoreJson
  release(): void
}

/** True where `root` holds a store. A damaged one counts: opening it says what is wrong. */
export const storeExists = (root: string): boolean => existsSync(storePlaces(root).json)

/**
 * Takes the store at `root` for this process. `create` makes one where there is none;
 * without it that is SVS_STORE_NOT_FOUND. `doing` tells others who has it.
 */
export function takeStore(root: string, doing: string, create: boolean): Store {
  const giveBack = keepPrivate()
  try {
    const places = storePlaces(root)
    if (!existsSync(places.json)) {
      if (!create) throw new Failure('SVS_STORE_NOT_FOUND', root)
      makeStore(places)
    }
    checkOwner(places)
    const json = readStoreJson(places)
    if (json.marks !== ownPrefix()) throw new Failure('SVS_STORE_OWNER', root)
    for (const dir of [places.root, ...directories(places)]) ownDirectory(dir)
    const lock: StoreLock = lockStore(places, doing)
    const release = () => {
      lock.release()
      giveBack()
    }
    return { places, json, release }
  } catch (err) {
    giveBack()
    throw err
  }
}

const PRIVATE = 0o077
let stores = 0
let umaskBefore = 0

/** What this process makes while it has a store is nobody else's. Answers what ends that. */
function keepPrivate(): () => void {
  if (stores++ === 0) umaskBefore = process.umask(PRIVATE)
  let held = true
  return () => {
    if (!held) return
    held = false
    if (--stores === 0) process.umask(umaskBefore)
  }
}

/** Makes a directory, or takes away what others may do with one that is there. */
function ownDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if ((statSync(path).mode & 0o777) !== 0o700) chmodSync(path, 0o700)
}

const directories = (places: StorePlaces): string[] => [
  places.catalogue,
  places.layers,
  places.frozen,
  places.keys,
  places.run,
  places.views,
  places.empty,
]

function makeStore(places: StorePlaces): void {
  mkdirSync(places.root, { recursive: true, mode: 0o700 })
  checkOwner(places)
  if (readdirSync(places.root).length > 0 && !isHalfMade(places))
    throw new Failure('SVS_STORE_FOREIGN', places.root)
  for (const dir of [places.root, ...directories(places)]) ownDirectory(dir)
  probeDisk(places.root)
  const json: StoreJson = {
    format: STORE_FORMAT,
    id: randomUUID(),
    made: new Date().toISOString(),
    marks: ownPrefix(),
  }
  writeDurably(places.json, `${JSON.stringify(json, null, 2)}\n`)
}

// What an interrupted makeStore may leave: some of our directories, all empty but for the probe.
function isHalfMade(places: StorePlaces): boolean {
  const ours = new Set([...directories(places), `${places.json}.new`])
  return readdirSync(places.root)
    .map((name) => join(places.root, name))
    .every((path) => ours.has(path) || path.startsWith(join(places.root, 'probe-')))
}

function checkOwner(places: StorePlaces): void {
  // Also for root: who owns a directory may exchange what lies in it.
  if (statSync(places.root).uid !== process.geteuid?.())
    throw new Failure('SVS_STORE_OWNER', places.root)
}

function readStoreJson(places: StorePlaces): StoreJson {
  const raw = parseJson(places)
  const read = (typeof raw === 'object' && !Array.isArray(raw) ? raw : null) as StoreJson | null
  if (typeof read?.format === 'number' && read.format > STORE_FORMAT)
    throw new Failure('SVS_STORE_NEWER', places.root, read.format, STORE_FORMAT)
  const wrong =
    read === null
      ? 'the whole'
      : Object.entries(FIELDS).find(([field, fits]) => !fits(read[field as keyof StoreJson]))?.[0]
  if (read === null || wrong !== undefined)
    throw new Failure('SVS_STORE_DAMAGED', places.json, `${wrong} is not what it must be`)
  return read
}

function parseJson(places: StorePlaces): unknown {
  try {
    return JSON.parse(readFileSync(places.json, 'utf8'))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new Failure('SVS_STORE_DAMAGED', places.json, 'not JSON', { cause })
  }
}

/** Data, flush, rename, flush of the directory: the file is there wholly or not at all. */
function writeDurably(path: string, text: string): void {
  const fd = openSync(`${path}.new`, 'w', 0o600)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
  const dir = openSync(join(path, '..'), 'r')
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}
