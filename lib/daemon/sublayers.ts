// The directories of a layer: made here, and removed here.
//
// Rule: a directory that no record names is garbage, never the reverse; so a record is written
// after its directories exist, and they are removed after it is gone.

import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { RedoDirs } from '../snapshot/redo.ts'
import { frozenNumbers } from './freeze-records.ts'
import { type LayerPlaces, layerPlaces, type StorePlaces } from './store-path.ts'

/** The directories of a new layer, empty. */
export function makeLayerDirectories(at: LayerPlaces): void {
  for (const name of ['ro', 'rw', 'scratch', 'work'])
    mkdirSync(join(at.root, name), { recursive: true, mode: 0o700 })
}

/**
 * An empty writable sublayer. Its root has the attributes of the read-only one's, because the
 * root of a view shows those of its topmost sublayer; the scratch area lies above both.
 */
export function makeWritable(at: LayerPlaces, roVersion: number, rw: number): void {
  // One left by a crash before its record was written has never held anything.
  mkdirSync(at.rw(rw), { recursive: true, mode: 0o700 })
  copyAttributes(at.ro(roVersion), at.rw(rw))
  makeScratch(at, roVersion, rw)
}

/** The area for excluded files of a writable sublayer; one that is there stays. */
export function makeScratch(at: LayerPlaces, roVersion: number, rw: number): void {
  if (existsSync(at.scratch(rw))) return
  mkdirSync(at.scratch(rw), { recursive: true, mode: 0o700 })
  copyAttributes(at.ro(roVersion), at.scratch(rw))
}

/** Mode, times and, for root, owner of one directory onto another. Host paths. */
export function copyAttributes(from: string, to: string): void {
  const stat = new Stat()
  must(sys.stat(AT_FDCWD, bytesOf(from), stat), from)
  const dir = must(sys.openat(AT_FDCWD, bytesOf(to), O.RDONLY | O.DIRECTORY | O.NOFOLLOW), to)
  try {
    if (process.geteuid?.() === 0) must(sys.chownat(dir, '', stat.uid, stat.gid), to)
    must(sys.fchmod(dir, stat.mode & 0o7777), to)
    must(sys.utimensat(dir, '', stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec), to)
  } finally {
    sys.close(dir)
  }
}

/** Where the writable sublayer of a layer lies, as whatever changes it from outside is told (internal paths). */
export function redoDirs(places: StorePlaces, record: LayerRecord): RedoDirs & { numbers: string } {
  const at = layerPlaces(places, record.id)
  return {
    rw: bytesOf(at.rw(record.rw)),
    work: bytesOf(at.work),
    numbers: bytesOf(at.numbers(record.rw)),
  }
}

/** The name of a layer's first writable sublayer. */
export const FIRST_SUBLAYER = 'main'

/** A number that no writable sublayer of the layer has, nor one that a freeze still shows. */
export const nextWritable = (
  places: StorePlaces,
  { id, rw, sublayers = [] }: LayerRecord,
): number => Math.max(rw, ...sublayers.map((one) => one.rw), ...frozenNumbers(places, id)) + 1

/**
 * Writable sublayers that neither the record names nor a freeze shows, and their scratch: what a reset
 * left. Host paths.
 */
export function unusedWritable(places: StorePlaces, record: LayerRecord): string[] {
  const { root } = layerPlaces(places, record.id)
  const frozen = frozenNumbers(places, record.id)
  const named = new Set([record.rw, ...(record.sublayers ?? []).map(({ rw }) => rw), ...frozen])
  return [join(root, 'rw'), join(root, 'scratch')].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => {
        const number = /^(\d+)(?:\.numbers|\.links|\.ctimes|\.blocks)?$/.exec(name)?.[1]
        return number !== undefined && !named.has(Number(number))
      })
      .map((name) => join(dir, name)),
  )
}

/** Removes them. */
export function dropUnusedWritable(places: StorePlaces, record: LayerRecord): void {
  for (const path of unusedWritable(places, record)) removeTree(AT_FDCWD, bytesOf(path))
}

/** Empties the directory of temporary names. Redo plans that need some of them are applied before. */
export function emptyWork(at: LayerPlaces): void {
  for (const name of readdirSync(at.work)) removeTree(AT_FDCWD, bytesOf(join(at.work, name)))
}
