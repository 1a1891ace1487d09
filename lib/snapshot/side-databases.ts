// SQLite databases among what differs, written out with their journals for who reads them by a library.
//
//   places.sqlite        M ─┐
//   places.sqlite-wal    M ─┼─▶ one database: 0-before, 0-before-wal, 0-after, 0-after-wal
//   places.sqlite-shm    M ─┘
//
// What is in a write-ahead log belongs to the database, also where that alone changed.
//
// Rule: both files of a side are of the same instant, and are copies; nothing of the layer is opened by
// SQLite. Above a bound nothing is written, and the answer says so.

import { ERRNO, errnoOf } from '../base/errno.ts'
import { type RelPath, shown } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { writeFull } from './readable.ts'
import type { Shown } from './shown-tree.ts'
import type { SideFile, SideReader, Which } from './side-reader.ts'

export interface DatabasesWish {
  /** An empty directory that takes them. Absolute, bytes as latin1 text. */
  readonly dir: string
  /** Bytes of one, and of all together. */
  readonly each: number
  readonly all: number
}

/** One database, told of with the first difference that is a part of it. */
export interface DatabaseSides {
  /** Of its main file. */
  readonly path: RelPath
  /** Names in the directory; null where there is none. */
  readonly before: string | null
  readonly after: string | null
  /** Why it is not there: too large, or no room for it. */
  readonly why?: 'size' | 'room'
}

/** A difference of a file, as far as it says which. */
interface Named {
  readonly path: RelPath
  readonly from?: RelPath
}

const MAGIC = Buffer.from('SQLite format 3\0')
const PARTS = ['', '-wal', '-journal'] as const
const BESIDE = /-(wal|journal|shm)$/
const STRETCH = 1024 * 1024

/** The database that a file of this name would be a part of. */
export const mainFileOf = (path: RelPath): RelPath => path.replace(BESIDE, '') as RelPath

export class SideDatabases {
  readonly #wish: DatabasesWish
  readonly #reader: SideReader
  readonly #look: (path: RelPath, which: Which) => Promise<Shown | null>
  /** Main files that were looked at: null for what is no database. */
  readonly #known = new Map<RelPath, boolean>()
  #count = 0
  #left: number

  constructor(
    wish: DatabasesWish,
    reader: SideReader,
    look: (path: RelPath, which: Which) => Promise<Shown | null>,
  ) {
    this.#wish = wish
    this.#reader = reader
    this.#look = look
    this.#left = wish.all
  }

  /** The database that a difference belongs to; `told` where an earlier one has it. Null for other files. */
  async of(one: Named): Promise<DatabaseSides | { readonly told: RelPath } | null> {
    const main = mainFileOf(one.path)
    const former = mainFileOf(one.from ?? one.path)
    const known = this.#known.get(main)
    if (known === true) return { told: main }
    if (known === false) return null
    const names = { before: former, after: main }
    const isOne = (await this.#begins(former, 'before')) || (await this.#begins(main, 'after'))
    // Its index of shared memory alone says nothing.
    const says = !one.path.endsWith('-shm')
    if (says || !isOne) this.#known.set(main, isOne)
    if (!isOne) return null
    return says ? this.#write(names) : { told: main }
  }

  async #begins(path: RelPath, which: Which): Promise<boolean> {
    const file = await this.#open(path, which)
    if (file === null) return false
    try {
      if (file.size < MAGIC.length) return false
      const begin = Buffer.alloc(MAGIC.length)
      await file.read(begin, 0)
      return begin.equals(MAGIC)
    } finally {
      file.close()
    }
  }

  async #open(path: RelPath, which: Which): Promise<SideFile | null> {
    const found = await this.#look(path, which)
    if (found === null || found.entry.kind !== 'file') return null
    const { bytes, entry } = found
    if (bytes.at === 'content') return this.#reader.openContent(bytes.id, entry.size ?? 0, which)
    if (bytes.at === 'below') return this.#reader.openBelow(bytes.path, which)
    return this.#reader.open({ entry, ino: 0 }, which)
  }

  async #write(names: Readonly<Record<Which, RelPath>>): Promise<DatabaseSides> {
    const path = names.after
    const number = this.#count++
    const files: { name: string; file: SideFile }[] = []
    const there = { before: null as string | null, after: null as string | null }
    try {
      for (const which of ['before', 'after'] as const)
        for (const part of PARTS) {
          const file = await this.#open(`${names[which]}${part}` as RelPath, which)
          if (file === null) continue
          const name = `${number}-${which}${part}`
          files.push({ name, file })
          if (part === '') there[which] = name
        }
      const size = files.reduce((sum, { file }) => sum + file.size, 0)
      if (size > this.#wish.each || size > this.#left)
        return { path, before: null, after: null, why: 'size' }
      this.#left -= size
      for (const { name, file } of files) await this.#copy(file, name)
      return { path, ...there }
    } catch (err) {
      const number = errnoOf(err)
      if (number !== ERRNO.ENOSPC && number !== ERRNO.EDQUOT) throw err
      return { path, before: null, after: null, why: 'room' }
    } finally {
      for (const { file } of files) file.close()
    }
  }

  async #copy(file: SideFile, name: string): Promise<void> {
    const path = `${this.#wish.dir}/${name}`
    const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW
    const fd = must(sys.openat(AT_FDCWD, path, flags, 0o600), shown(path))
    try {
      for (let at = 0; at < file.size; at += STRETCH) {
        const stretch = Buffer.allocUnsafe(Math.min(STRETCH, file.size - at))
        await file.read(stretch, at)
        writeFull(fd, stretch, at)
      }
    } finally {
      sys.close(fd)
    }
  }
}
