// What a conformance group is made of: cases, each a short program of calls.
//
// Rule: a case works in a directory of its own, begins with what `given` makes, and leaves
// nothing outside. `given` may be done on a layer's own directory long before the trial:
// it makes things, and does not look at them.

import type { Need } from '../behaviour/place.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import type { Trial } from './trial.ts'

export interface Case {
  readonly title: string
  /** 'root' where it changes users, owners or makes devices. */
  readonly needs?: readonly Need[]
  /** One of many like it: left to `npm run conformance`, which has the time. */
  readonly long?: boolean
  /** Makes what the trial begins with: through the mount, or beforehand in a layer below. */
  readonly given?: (place: RealPlace) => void
  readonly trial: (t: Trial) => void
}

/** Cases by group: the names of the calls that they are about. */
export type Groups = Readonly<Record<string, readonly Case[]>>

/** The kinds of file that a call may meet. */
export const KINDS = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'socket',
  'character',
  'block',
] as const

export type KindMade = (typeof KINDS)[number]

/** Kinds that an ordinary user can make. */
export const USER_KINDS: readonly KindMade[] = ['file', 'directory', 'symlink', 'fifo', 'socket']

/** True for a kind that is rarely met: in products of kinds, a long case. */
export const isRare = (kind: string): boolean =>
  ['fifo', 'socket', 'character', 'block'].includes(kind)

/** Makes an empty file of a kind; a link leads nowhere. */
export function make(place: RealPlace, kind: KindMade, path: string, mode = 0o644): void {
  const [type, device] = NODES[kind] ?? [0, 0]
  if (kind === 'file') place.open(path, O_CREAT_EXCL_WRONLY, mode).close()
  else if (kind === 'directory') place.mkdir(path, mode)
  else if (kind === 'symlink') place.symlink('nowhere', path)
  else place.mknod(path, type | mode, device)
}

/** Removes a file of a kind. */
export function unmake(place: RealPlace, kind: KindMade, path: string): void {
  if (kind === 'directory') place.rmdir(path)
  else place.unlink(path)
}

/** What a case of one kind needs. */
export const needsOf = (kind: KindMade): readonly Need[] =>
  USER_KINDS.includes(kind) ? [] : ['root']

const O_CREAT_EXCL_WRONLY = 0o301
const NODES: Partial<Record<KindMade, readonly [number, number]>> = {
  fifo: [0o010000, 0],
  socket: [0o140000, 0],
  // 1:3 and 7:0 in new_encode_dev form: devices that nothing opens here.
  character: [0o020000, 0x103],
  block: [0o060000, 0x700],
}
