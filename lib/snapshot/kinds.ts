// The kinds of names, and the type bits of a mode that stand for them.

import { S } from '../host/sys.ts'
import type { Kind } from './records.ts'

/** S_IFMT bits of a kind. */
export const TYPE_OF: Readonly<Record<Kind, number>> = {
  file: S.IFREG,
  dir: S.IFDIR,
  symlink: S.IFLNK,
  fifo: S.IFIFO,
  socket: S.IFSOCK,
  char: S.IFCHR,
  block: S.IFBLK,
  whiteout: S.IFCHR,
}

const KIND_OF = new Map(
  Object.entries(TYPE_OF).flatMap(([kind, type]) =>
    kind === 'whiteout' ? [] : [[type, kind as Kind]],
  ),
)

/** The kind of a mode; a whiteout is a device by its mode, and undefined stands for what Linux has not. */
export const kindOfMode = (mode: number): Kind | undefined => KIND_OF.get(mode & S.IFMT)
