// Makes one entry of a state on the disk: file, directory, link, device, with all its
// attributes.
//
// Rule: a file appears under its name before its content is checked, so it is made only where
// nobody looks (a stage, a sublayer that is not published); what fails there is thrown away.

import { Failure } from '../base/failure.ts'
import { type RelPath, shown } from '../base/path.ts'
import { copyData } from '../host/copy.ts'
import { libcDevice, Stat } from '../host/stat.ts'
import { must, O, sys } from '../host/sys.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { type AttributesToSet, setAttributes, xattrsOf } from './attributes.ts'
import { Below } from './below.ts'
import { makeContent } from './content.ts'
import { Damage } from './depot.ts'
import { TYPE_OF } from './kinds.ts'
import { writeFull } from './readable.ts'
import type { Entry } from './records.ts'
import type { Sources } from './sources.ts'

const stat = new Stat()

/** All that is set on an entry's file. */
export function attributesOf(
  entry: Entry,
  prefix: MarkPrefix,
  removeXattrs: readonly string[] = [],
): AttributesToSet {
  const { mode, uid, gid, atime, atimeNsec, mtime, mtimeNsec } = entry
  const setXattrs = xattrsOf(entry, prefix)
  return { mode, uid, gid, atime, atimeNsec, mtime, mtimeNsec, setXattrs, removeXattrs }
}

/** Writes a file's bytes, where they do not come from its content. */
export type FileBytes = (fd: number) => void

/**
 * Makes an entry as `name` in a directory, where nothing is. Returns its inode. `state` names what it
 * belongs to. Throws SVS_CHUNK_DAMAGED, SVS_RO_CHANGED, Errno.
 */
export async function makeEntry(
  sources: Sources,
  prefix: MarkPrefix,
  state: string,
  dir: number,
  name: string,
  entry: Entry,
  fill?: FileBytes,
): Promise<number> {
  await make(sources, state, dir, name, entry, fill)
  const fd = must(sys.openat(dir, name, O.PATH | O.NOFOLLOW), shown(entry.path))
  try {
    setAttributes(fd, TYPE_OF[entry.kind], attributesOf(entry, prefix))
    must(sys.stat(fd, '', stat), 'stat')
    return stat.ino
  } finally {
    sys.close(fd)
  }
}

async function make(
  sources: Sources,
  state: string,
  dir: number,
  name: string,
  entry: Entry,
  fill: FileBytes | undefined,
): Promise<void> {
  const where = shown(entry.path)
  switch (entry.kind) {
    case 'file':
      return makeFile(sources, state, dir, name, entry, fill)
    case 'dir':
      return void must(sys.mkdirat(dir, name, 0o700), where)
    case 'symlink':
      return void must(sys.symlinkat(entry.target ?? '', dir, name), where)
    default: {
      const device = entry.kind === 'whiteout' ? 0 : libcDevice(entry.rdev ?? 0)
      return void must(sys.mknodat(dir, name, TYPE_OF[entry.kind] | 0o600, device), where)
    }
  }
}

async function makeFile(
  sources: Sources,
  state: string,
  dir: number,
  name: string,
  entry: Entry,
  fill: FileBytes | undefined,
): Promise<void> {
  const flags = O.CREAT | O.EXCL | O.WRONLY | O.NOFOLLOW
  const fd = must(sys.openat(dir, name, flags, 0o600), shown(entry.path))
  try {
    must(sys.ftruncate(fd, entry.size ?? 0), shown(entry.path))
    if (fill !== undefined) return fill(fd)
    if (entry.content === undefined) return
    const sink = (bytes: Buffer, offset: number) => writeFull(fd, bytes, offset)
    const size = await makeContent(sources, entry.content, sink)
    if (size !== entry.size) throw new Damage(`${size} bytes where ${entry.size} belong`)
  } catch (cause) {
    throw namedDamage(cause, state, shown(entry.path))
  } finally {
    sys.close(fd)
  }
}

/** The bytes of a file of the read-only sublayer, for an entry that is a copy of it. */
export const bytesBelow =
  (sources: Sources, from: RelPath, entry: Entry): FileBytes =>
  (fd) =>
    copyBelow(sources, from, fd, entry)

function copyBelow({ ro }: Sources, from: RelPath, to: number, { size = 0 }: Entry): void {
  const below = new Below(ro[0]!, null)
  try {
    const file = below.open(from)
    try {
      if (file.size !== size)
        throw new Failure('SVS_RO_CHANGED', shown(from), 'it has another size')
      copyData(file.fd, to, size)
    } finally {
      file.close()
    }
  } finally {
    below.close()
  }
}

/** Says of damage which state it hurts, and where. Anything else is returned as it is. */
export function namedDamage(cause: unknown, state: string, path: string): unknown {
  if (!(cause instanceof Damage)) return cause
  return new Failure('SVS_CHUNK_DAMAGED', state, path, cause.message, { cause })
}
