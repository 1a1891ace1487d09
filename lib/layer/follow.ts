// Where a path leads inside a tree, as a program would see it whose root the tree is.
//
//   follow([layer, base], 'bin/sh')  ─▶  'usr/bin/dash'   base has bin -> usr/bin, sh -> dash
//
// Rule: a link never leads out: absolute targets start at the tree's root, `..` stops there.

import { ERRNO, fail } from '../base/errno.ts'
import { joinPath, parentPath, type RelPath, ROOT } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { openBelow } from './open-below.ts'

/** MAXSYMLINKS of linux/namei.h. */
const MOST_LINKS = 40

export type Followed =
  | { readonly kind: 'nowhere'; readonly path: RelPath }
  | { readonly kind: 'directory' | 'other'; readonly path: RelPath; readonly mode: number }

/**
 * Follows every link on the way, in several trees that lie over each other, the first on top
 * (descriptors of their roots). What is nowhere has the path that it would be made at.
 */
export function follow(roots: readonly number[], path: string): Followed {
  let left = path.split('/')
  let here = ROOT
  let links = 0
  let found: Seen | null = null
  while (left.length > 0) {
    const [name, ...rest] = left as [string, ...string[]]
    left = rest
    if (name === '' || name === '.') continue
    if (name === '..') {
      here = parentPath(here)
      found = null
      continue
    }
    const there = joinPath(here, name)
    found = see(roots, here, name)
    if (found?.target === undefined) {
      here = there
      continue
    }
    if (++links > MOST_LINKS) fail('ELOOP', path)
    left = [...found.target.split('/'), ...left]
    if (found.target.startsWith('/')) here = ROOT
    found = null
  }
  const seen = found ?? see(roots, parentPath(here), here.slice(here.lastIndexOf('/') + 1))
  if (seen === null) return { kind: 'nowhere', path: here }
  const kind = (seen.mode & S.IFMT) === S.IFDIR ? 'directory' : 'other'
  return { kind, path: here, mode: seen.mode }
}

interface Seen {
  readonly mode: number
  /** Of a link. */
  readonly target?: string
}

const stat = new Stat()
const text = Buffer.alloc(4096)

// `dir` has no links: it is what following has led to so far.
function see(roots: readonly number[], dir: RelPath, name: string): Seen | null {
  for (const root of roots) {
    const parent = parentIn(root, dir)
    if (parent === null) continue
    try {
      const found = sys.stat(parent, name, stat)
      if (found === -ERRNO.ENOENT || found === -ERRNO.ENOTDIR) continue
      must(found, name)
      const { mode } = stat
      if ((mode & S.IFMT) !== S.IFLNK) return { mode }
      return { mode, target: text.latin1Slice(0, must(sys.readlinkat(parent, name, text), name)) }
    } finally {
      sys.close(parent)
    }
  }
  return null
}

function parentIn(root: number, dir: RelPath): number | null {
  try {
    return openBelow(root, dir)
  } catch (err) {
    const code = (err as { code?: string }).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return null
    throw err
  }
}
