// An act: one call, or a few that belong together, made alike on both sides. A piece of data
// with its words, so that a shrunk list of them can be read and repeated.
//
// Rule: an act depends on its own arguments and on its side alone, never on the other side.

import type { Place } from '../behaviour/place.ts'
import { showPath } from './answer.ts'
import type { Side } from './side.ts'

/** What some subjects cannot do. */
export type Trait =
  /** A kernel between caller and files: page cache, descriptors relative to directories. */
  | 'kernel'
  /** fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range. */
  | 'holes'
  | 'exchange'
  | 'nameless'
  /** Several names of one file that are told apart from copies at once. */
  | 'links'
  /** Names that are no UTF-8. */
  | 'bytes'
  /** Times to the nanosecond, before 1970, one without the other. */
  | 'times'
  /** The caller's own numbers; umask and groups of others. */
  | 'callers'
  /** Removing or replacing what is open. */
  | 'open-unlinked'

/** A name in the start directory, or in a directory that is held open. */
export interface At {
  readonly folder: number | null
  readonly path: string
}

export interface Act {
  readonly words: string
  readonly needs: readonly Trait[]
  /** Names whose times, and whose parents' times, both sides must change alike. */
  readonly names: readonly At[]
  /** Slots that must hold something. */
  readonly files: readonly number[]
  readonly maps: readonly number[]
  readonly folders: readonly number[]
  /** True where the moment at which times change is the kernel's own. */
  readonly looseTimes: boolean
  perform(side: Side): unknown
}

export type Details = Partial<Omit<Act, 'words' | 'perform'>>

export function act(words: string, details: Details, perform: (side: Side) => unknown): Act {
  const none = { needs: [], names: [], files: [], maps: [], folders: [], looseTimes: false }
  return { ...none, ...details, words, perform }
}

/** An act on one name. */
export function onName(
  word: string,
  at: At,
  perform: (place: Place, path: string) => unknown,
  details: Details = {},
): Act {
  const held = foldersOf(at)
  return act(`${word} ${sayAt(at)}`, { names: [at], ...held, ...details }, (side) =>
    perform(side.at(at.folder), at.path),
  )
}

/** An act on two names in one directory tree; the first says from which directory both are meant. */
export function onNames(
  word: string,
  [from, to]: readonly [At, At],
  perform: (place: Place, from: string, to: string) => unknown,
  details: Details = {},
): Act {
  const second = { folder: from.folder, path: to.path }
  return act(
    `${word} ${sayAt(from)} ${sayAt(second)}`,
    { names: [from, second], ...foldersOf(from), ...details },
    (side) => perform(side.at(from.folder), from.path, to.path),
  )
}

/** An act on an open file. */
export function onFile(
  slot: number,
  words: string,
  perform: (side: Side) => unknown,
  details: Details = {},
): Act {
  return act(`#${slot} ${words}`, { files: [slot], ...details }, perform)
}

export const sayAt = ({ folder, path }: At): string =>
  folder === null ? showPath(path) : `@${folder}/${showPath(path)}`

function foldersOf(at: At): Details {
  return at.folder === null ? {} : { folders: [at.folder], needs: ['kernel'] }
}

/** Bytes that follow from a number: what an act writes. */
export const bytesOf = (seed: number, length: number): Buffer => Buffer.alloc(length, `<${seed}>`)
