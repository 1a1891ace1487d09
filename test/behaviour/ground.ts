// Where subjects keep their trees: a directory of their own on a disk that can hold
// everything START has, removed at the end.
//
// tmpfs is taken where it can (Linux 6.6 brought it user attributes): a fresh START for every
// behaviour costs 4 ms there and 20 times that on ext4. SVSFS_TEST_DIR names another one.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD } from '../../lib/host/sys.ts'
import { drawInto, type Tree } from './draw.ts'
import { errnoOfCall } from './place.ts'
import { RealPlace } from './real-place.ts'

/** Makes a directory for one subject. */
export function makeGround(): string {
  const chosen = process.env.SVSFS_TEST_DIR
  for (const parent of chosen === undefined ? ['/dev/shm', tmpdir()] : [chosen]) {
    const root = tryGround(parent)
    if (root !== null) return root
  }
  throw new Error('no directory here holds extended attributes: set SVSFS_TEST_DIR')
}

function tryGround(parent: string): string | null {
  let root: string
  try {
    root = mkdtempSync(join(parent, 'svsfs-behaviour-'))
  } catch {
    return null
  }
  const place = new RealPlace(root)
  const refusal = errnoOfCall(() => place.setxattr('', 'user.x', 'y'))
  place.close()
  if (refusal === null) return root
  rmSync(root, { recursive: true })
  return null
}

/** Draws a tree at `root`/`start`, which is made. */
export function drawAt(root: string, start: string, tree: Tree): void {
  const parent = new RealPlace(root)
  parent.mkdir(start)
  parent.close()
  const place = new RealPlace(`${root}/${start}`)
  drawInto(place, tree)
  place.close()
}

/** Removes all of a ground, unreadable directories too. */
export function removeGround(root: string): void {
  removeTree(AT_FDCWD, root)
}
