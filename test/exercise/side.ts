// One of the two sides that an exercise compares: a start directory, and what the acts so far
// keep open in it: files, directories, mappings, each in a numbered slot.
//
// Rule: a slot that is filled again is closed first, on both sides alike. What is held lives on
// whatever happens to its name.

import { Errno } from '../../lib/base/errno.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { type Mapping, type MappingWish, mapFile } from '../behaviour/libc.ts'
import type { OpenDirectory, OpenFile, Place } from '../behaviour/place.ts'
import { RealFile } from '../behaviour/real-place.ts'
import type { ClosingPlace } from '../behaviour/suite.ts'

export const FILE_SLOTS = 4
export const FOLDER_SLOTS = 2
export const MAP_SLOTS = 2

export interface HeldFile {
  readonly file: OpenFile
  readonly flags: number
  /** The inode number that it had when it was opened. */
  readonly ino: number
}

/** An open directory, and the place that it is. */
export interface HeldFolder {
  readonly open: OpenDirectory
  readonly place: Place & { close(): void }
}

export class HeldMapping {
  readonly mapping: Mapping
  readonly wish: MappingWish
  readonly #fd: number

  constructor(fd: number, wish: MappingWish) {
    this.mapping = mapFile(fd, wish)
    this.wish = wish
    this.#fd = must(sys.openat(AT_FDCWD, `/proc/self/fd/${fd}`, O.PATH), 'map')
  }

  /** How many bytes from `offset` on can be touched: up to the end of the file's last page. */
  reach(sizeOf: (fd: number) => number, offset: number): number {
    const pages = Math.ceil(sizeOf(this.#fd) / 4096) * 4096
    return Math.max(0, Math.min(this.wish.length, pages - (this.wish.offset ?? 0)) - offset)
  }

  free(): void {
    must(this.mapping.free(), 'munmap')
    sys.close(this.#fd)
  }
}

export class Side {
  readonly name: 'plain' | 'tried'
  place: ClosingPlace
  readonly files: (HeldFile | null)[] = Array(FILE_SLOTS).fill(null)
  readonly folders: (HeldFolder | null)[] = Array(FOLDER_SLOTS).fill(null)
  readonly maps: (HeldMapping | null)[] = Array(MAP_SLOTS).fill(null)

  constructor(name: 'plain' | 'tried', place: ClosingPlace) {
    this.name = name
    this.place = place
  }

  /** The start directory, or a held directory. */
  at(folder: number | null): Place {
    return folder === null ? this.place : this.folder(folder).place
  }

  file(slot: number): OpenFile {
    return (this.files[slot] ?? missing()).file
  }

  /** The descriptor of a file, which a place without a kernel does not have. */
  fd(slot: number): number {
    const file = this.file(slot)
    if (file instanceof RealFile) return file.fd
    throw new TypeError('no descriptor')
  }

  folder(slot: number): HeldFolder {
    return this.folders[slot] ?? missing()
  }

  map(slot: number): HeldMapping {
    return this.maps[slot] ?? missing()
  }

  keepFile(slot: number, open: () => OpenFile, flags: number): OpenFile {
    this.closeFile(slot)
    const file = open()
    this.files[slot] = { file, flags, ino: file.stat().ino }
    return file
  }

  keepFolder(slot: number, path: string): void {
    this.folders[slot]?.open.close()
    this.folders[slot]?.place.close()
    this.folders[slot] = null
    const open = this.place.opendir(path)
    this.folders[slot] = { open, place: this.place.inside(path) }
  }

  keepMap(slot: number, file: number, wish: MappingWish): void {
    this.maps[slot]?.free()
    this.maps[slot] = null
    this.maps[slot] = new HeldMapping(this.fd(file), wish)
  }

  closeFile(slot: number): void {
    const held = this.files[slot]
    this.files[slot] = null
    held?.file.close()
  }

  freeMap(slot: number): void {
    const held = this.maps[slot]
    this.maps[slot] = null
    held?.free()
  }

  /** Closes everything but the place. */
  closeHeld(): void {
    for (const slot of this.maps.keys()) this.freeMap(slot)
    for (const slot of this.files.keys()) this.closeFile(slot)
    for (const [slot, held] of this.folders.entries()) {
      this.folders[slot] = null
      held?.open.close()
      held?.place.close()
    }
  }
}

// An act on an empty slot is not made at all: `possible` of the act says so.
function missing(): never {
  throw new Errno(9, 'nothing is open there')
}
