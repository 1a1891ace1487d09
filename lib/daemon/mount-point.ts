// The directory that a mount covers: checked before mounting, and freed when a daemon that
// died left a dead mount on it.
//
// Rule: never synchronous where this process may be the one that serves the path: asked
// through the thread pool, so that the thread of the union can answer meanwhile.

import { existsSync, readFileSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { type MountEntry, mountAt } from '../host/mount-table.ts'
import { hostPath, realPath } from './host-path.ts'

/** The absolute place without links at which to mount; a dead mount of ours there is taken away. */
export async function freeMountPoint(path: string): Promise<string> {
  const place = await resolvedMountPoint(path)
  const found = mountAt(bytesOf(place))
  if (found !== null && isOurs(found)) {
    if (!(await isDead(place))) throw new Failure('SVS_MOUNT_POINT_BUSY', place)
    unmountFuse(bytesOf(place), true)
  }
  return realDirectory(place, 'SVS_MOUNT_POINT_INVALID')
}

/** The path with its parents' links resolved; its last name too, unless it is a dead mount. */
export async function resolvedMountPoint(path: string): Promise<string> {
  try {
    return await realPath(path)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOTCONN') {
      const { code } = err as NodeJS.ErrnoException
      if (code === 'ENOENT') throw new Failure('SVS_MOUNT_POINT_INVALID', path, 'it does not exist')
      throw err
    }
    const parent = dirname(path)
    return parent === path ? path : join(await resolvedMountPoint(parent), basename(path))
  }
}

/** An existing directory without links in its path. */
export async function realDirectory(
  path: string,
  code: 'SVS_MOUNT_POINT_INVALID' | 'SVS_DIRECTORY_INVALID',
): Promise<string> {
  try {
    const real = await realPath(path)
    if ((await stat(hostPath(real))).isDirectory()) return real
  } catch (cause) {
    const { code: why } = cause as NodeJS.ErrnoException
    const reason = why === 'ENOENT' ? 'it does not exist' : `it cannot be read (${why})`
    throw new Failure(code, path, reason, { cause })
  }
  throw new Failure(code, path, 'it is not a directory')
}

export const isOurs = (entry: MountEntry): boolean => entry.type === 'fuse.svsfs'

/**
 * True where the process that served the mount is gone. What the kernel remembers of the root it
 * tells without asking; the disk's figures it does not.
 */
export async function isDead(place: string): Promise<boolean> {
  try {
    await statfs(hostPath(place))
    return false
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    return code === 'ENOTCONN' || code === 'ECONNABORTED'
  }
}

/** Whether other users may enter: root's mounts by default; a user's where fuse.conf permits it and it was asked for. */
export function mayAllowOther(wanted: boolean | null): boolean {
  if (process.geteuid?.() === 0) return wanted ?? true
  if (wanted !== true) return false
  const conf = existsSync(FUSE_CONF) ? readFileSync(FUSE_CONF, 'utf8') : ''
  if (!/^\s*user_allow_other\s*$/m.test(conf)) throw new Failure('SVS_ALLOW_OTHER_REFUSED')
  return true
}

const FUSE_CONF = '/etc/fuse.conf'
