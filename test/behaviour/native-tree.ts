// A drawn tree as the package fuse-native can carry it: names in UTF-8, times in milliseconds
// since 1970.

import { type Drawn, LONG_AGO, type Tree } from './draw.ts'

/** True for bytes that are UTF-8. */
export const isText = (name: string): boolean =>
  Buffer.from(Buffer.from(name, 'latin1').toString(), 'utf8').equals(Buffer.from(name, 'latin1'))

export const nativeTree = (tree: Tree): Tree =>
  Object.fromEntries(
    Object.entries(tree).flatMap(([path, thing]): [string, Drawn][] => {
      if (!isText(path)) return []
      const mtime = ((thing.mtime < 0n ? LONG_AGO : thing.mtime) / 1_000_000n) * 1_000_000n
      const xattrs = Object.entries(thing.xattrs).filter(([name]) => isText(name))
      return [[path, { ...thing, mtime, xattrs: Object.fromEntries(xattrs) }]]
    }),
  )
