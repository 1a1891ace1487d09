// Looking into the catalogue of a store that no process has, without taking the store.
//
//   lock shared for a moment ─▶ tables as symbolic links, the rest copied ─▶ LevelDB in that copy
//
// Rule: the store's own files are only read: LevelDB writes wherever it opens. Where another process has
// the store, nothing is looked at.

import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { sys } from '../host/sys.ts'
import { type Catalogue, openCatalogue } from '../snapshot/catalogue.ts'
import { lockHolder } from './store-lock.ts'
import type { StorePlaces } from './store-path.ts'

const SHARED_NOW = 1 | 4

/** Throws SVS_STORE_LOCKED, and what opening a damaged catalogue throws, with its true place. */
export async function peek<T>(
  places: StorePlaces,
  use: (catalogue: Catalogue) => Promise<T>,
): Promise<T> {
  const lock = existsSync(places.lock) ? openSync(places.lock, 'r') : null
  const copy = mkdtempSync(join(tmpdir(), 'svsfs-peek-'))
  try {
    if (lock !== null && sys.flock(lock, SHARED_NOW) < 0)
      throw new Failure('SVS_STORE_LOCKED', places.root, lockHolder(places) ?? 'another process')
    fill(copy, places.catalogue)
    return await within(copy, use)
  } catch (err) {
    if (err instanceof Error) err.message = err.message.replaceAll(copy, places.catalogue)
    throw err
  } finally {
    if (lock !== null) closeSync(lock)
    rmSync(copy, { recursive: true, force: true })
  }
}

function fill(copy: string, catalogue: string): void {
  for (const name of existsSync(catalogue) ? readdirSync(catalogue) : []) {
    const [from, to] = [join(catalogue, name), join(copy, name)]
    if (/\.(ldb|sst)$/.test(name)) symlinkSync(from, to)
    else copyFileSync(from, to)
  }
}

async function within<T>(copy: string, use: (catalogue: Catalogue) => Promise<T>): Promise<T> {
  const catalogue = await openCatalogue(copy)
  try {
    return await use(catalogue)
  } finally {
    await catalogue.close()
  }
}
