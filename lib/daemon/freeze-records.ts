// Freezes that go on until they are thawed, as they lie in a store.
//
//   frozen/<id>/freeze.json   the record: written last when it begins, removed first when it ends
//   frozen/<id>/area/         what is preserved; elsewhere with --preserve (a directory, or memory)
//   frozen/<id>/link-<ino>    hard links to files that lost their names, on the sublayer's disk
//   frozen/<id>/empty/        stands for directories that are gone
//   <layer>-XXXXXX/           of a snapshot under way: removed when the store is opened next
//
// A freeze outlives its daemon, killed or not: everything was in the area before the tree changed.
// After the machine went down it is whole where it was left in order (`clean`), and else gone, since
// nobody knows what of the area had reached the disk.
//
// Rule: a directory without a record is garbage. The writable sublayer that a record names stays.

import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, O, sys } from '../host/sys.ts'
import type { StorePlaces } from './store-path.ts'

const record = z.looseObject({
  format: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{6}$/),
  /** Id of the layer, and the number of its writable sublayer. */
  layer: z.string(),
  rw: z.number().int().min(1),
  /** The read-only version under it. */
  ro: z.number().int().min(1),
  /** Milliseconds since 1970. */
  at: z.number(),
  block: z.number().int(),
  /** As it was asked for: `store`, a directory, `ram:64M`. */
  preserve: z.string(),
  limit: z.number().nullable(),
  area: z.string(),
  state: z.enum(['whole', 'failed', 'gone']),
  reason: z.string().default(''),
  boot: z.string(),
  clean: z.boolean(),
})
export type FreezeRecord = z.infer<typeof record>

/** Of this run of the machine. */
const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

const home = (places: StorePlaces, id: string): string => join(places.frozen, id)

/** Where the links of a freeze are. */
export const linksOf = (places: StorePlaces, { id }: Pick<FreezeRecord, 'id'>): string =>
  home(places, id)

export function writeFreeze(places: StorePlaces, freeze: FreezeRecord): void {
  const file = join(home(places, freeze.id), 'freeze.json')
  writeFileSync(`${file}.new`, JSON.stringify(freeze), { mode: 0o600, flush: true })
  renameSync(`${file}.new`, file)
}

export function readFreezes(places: StorePlaces): FreezeRecord[] {
  return readdirSync(places.frozen)
    .flatMap((name) => readFreeze(places, name))
    .sort((a, b) => a.at - b.at)
}

function readFreeze(places: StorePlaces, name: string): FreezeRecord[] {
  const file = join(places.frozen, name, 'freeze.json')
  if (!existsSync(file)) return []
  try {
    const read = record.safeParse(JSON.parse(readFileSync(file, 'utf8')))
    return read.success && read.data.id === name ? [read.data] : []
  } catch {
    return []
  }
}

/** Numbers of writable sublayers of a layer that a freeze shows. */
export const frozenNumbers = (places: StorePlaces, layer: string): ReadonlySet<number> =>
  new Set(
    readFreezes(places)
      .filter((freeze) => freeze.layer === layer && freeze.state === 'whole')
      .map(({ rw }) => rw),
  )

/** Makes the directories of a freeze to come, and answers its record, which is not written yet. */
export function prepareFreeze(
  places: StorePlaces,
  store: string,
  wanted: Pick<FreezeRecord, 'layer' | 'rw' | 'ro' | 'block' | 'preserve' | 'limit'> & {
    /** Directory for the area; null: the store. */
    readonly place: string | null
  },
): FreezeRecord {
  const { place, ...rest } = wanted
  const id = randomBytes(3).toString('hex')
  mkdirSync(home(places, id), { mode: 0o700 })
  mkdirSync(join(home(places, id), 'empty'), { mode: 0o700 })
  const area =
    place === null
      ? join(home(places, id), 'area')
      : join(place, `svsfs-${store.slice(0, 8)}-${id}`)
  try {
    mkdirSync(area, { mode: 0o700 })
  } catch (err) {
    removeTree(AT_FDCWD, bytesOf(home(places, id)))
    throw err
  }
  const state = { state: 'whole', reason: '', boot: bootId(), clean: false } as const
  return { format: 1, id, ...rest, at: 0, area, ...state }
}

/** Removes all of a freeze, its record first. */
export function dropFreeze(places: StorePlaces, freeze: FreezeRecord): void {
  removeTree(AT_FDCWD, bytesOf(join(home(places, freeze.id), 'freeze.json')))
  removeTree(AT_FDCWD, bytesOf(freeze.area))
  removeTree(AT_FDCWD, bytesOf(home(places, freeze.id)))
}

/** It is no image any more: what it had preserved goes, its record says why. */
export function endFreeze(
  places: StorePlaces,
  freeze: FreezeRecord,
  state: 'failed' | 'gone',
  reason: string,
): FreezeRecord {
  const ended = { ...freeze, state, reason }
  writeFreeze(places, ended)
  for (const dir of [freeze.area, home(places, freeze.id)]) {
    if (!existsSync(dir)) continue
    for (const name of readdirSync(dir)) {
      const stays = name === 'failed' || name === 'freeze.json' || join(dir, name) === freeze.area
      if (!stays) removeTree(AT_FDCWD, bytesOf(join(dir, name)))
    }
  }
  return ended
}

/**
 * The store was opened: garbage goes, and each freeze is whole or gone. `unfinished`: ids of layers of
 * which something is still to be done that no freeze is asked about.
 */
export function recoverFreezes(
  places: StorePlaces,
  unfinished: ReadonlySet<string>,
  treeOf: (freeze: FreezeRecord) => string,
): void {
  const known = new Map(readFreezes(places).map((freeze) => [freeze.id, freeze]))
  for (const name of readdirSync(places.frozen)) {
    const freeze = known.get(name)
    if (freeze === undefined) {
      removeTree(AT_FDCWD, bytesOf(join(places.frozen, name)))
      continue
    }
    if (freeze.state !== 'whole') continue
    const why = whyGone(freeze, unfinished, treeOf(freeze))
    if (why !== null) endFreeze(places, freeze, 'gone', why)
    else writeFreeze(places, { ...freeze, boot: bootId(), clean: false })
  }
}

function whyGone(
  { layer, boot, clean, area }: FreezeRecord,
  unfinished: ReadonlySet<string>,
  tree: string,
): string | null {
  if (!existsSync(tree)) return 'the writable part that it was of is gone'
  if (!existsSync(area)) return 'what it had preserved is gone'
  if (boot !== bootId() && !clean) return 'the machine went down without ending the daemon'
  return unfinished.has(layer) ? 'the daemon died while it changed the layer past programs' : null
}

/** The store is closed in order: what was preserved lies on the disk. */
export function restFreezes(places: StorePlaces): void {
  for (const freeze of readFreezes(places)) {
    if (freeze.state !== 'whole' || freeze.clean) continue
    for (const dir of [freeze.area, home(places, freeze.id)]) {
      const fd = sys.openat(AT_FDCWD, bytesOf(dir), O.RDONLY | O.DIRECTORY)
      if (fd < 0) continue
      sys.syncfs(fd)
      sys.close(fd)
    }
    writeFreeze(places, { ...freeze, clean: true })
  }
}

/** Why what preserves could not go on; null where it did. It says so itself. */
export function failureIn(area: string): string | null {
  const file = join(area, 'failed')
  if (existsSync(file)) return readFileSync(file, 'utf8')
  return existsSync(area) && (statSync(area).mode & 0o777) === 0 ? 'no room left' : null
}
