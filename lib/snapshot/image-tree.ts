// An image as a tree that can be served: its names in memory, its bytes read when they are wanted.
//
//   image ─▶ imageTree ─▶ StillFiles (lib/fuse)      with the marks, as a writable sublayer has them
//
// Whoever lays it over the read-only sublayer (lib/union) gets what programs saw at the instant.
// An unsettled file is a whole one here.
//
// Rule: what cannot be read, because the image could not be kept, is EIO.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import type { Attr } from '../fuse/filesystem.ts'
import { asDamage, type StillBytes, type StillNode, type StillTree } from '../fuse/still-files.ts'
import { type MarkPrefix, markAttributes } from '../layer/marks.ts'
import { FileCut } from './file-data.ts'
import { type Image, type ImageDirs, type ImageEntry, openImage } from './image.ts'
import type { Entry } from './records.ts'
import { shownAttr } from './shown-attr.ts'

interface Growing extends StillNode {
  readonly children: Map<string, number> | null
}

/** Reads all names of an image. Throws SVS_FREEZE_FAILED where it could not be kept. */
export function imageTree(dirs: ImageDirs, prefix: MarkPrefix): StillTree {
  const image = openImage(dirs, prefix)
  try {
    const nodes: Growing[] = []
    const paths: RelPath[] = []
    const byPath = new Map<string, number>()
    for (const item of image.entries()) {
      const { path, link } = item.entry
      const known = link === undefined ? undefined : byPath.get(link)
      const at = known ?? nodes.push(nodeOf(item, prefix)) - 1
      if (known === undefined) paths.push(path)
      else nodes[at]!.attr.nlink += 1
      byPath.set(path, at)
      if (path !== '') nodes[byPath.get(parentPath(path))!]!.children!.set(baseName(path), at)
    }
    image.check()
    return {
      nodes,
      open: (node) => asDamage(() => openAt(image, paths[node]!)),
      check: () => asDamage(() => image.check()),
      close: () => image.close(),
    }
  } catch (err) {
    image.close()
    throw err
  }
}

function openAt(image: Image, path: RelPath): StillBytes {
  for (const { entry, open } of image.entries([path])) {
    if (entry.path !== path) continue
    const { size, holes, read, close } = open()
    return { size, holes, read: (into, offset) => asDamage(() => read(into, offset)), close }
  }
  throw new FileCut(`${path} is not there`)
}

function nodeOf({ entry, ino }: ImageEntry, prefix: MarkPrefix): Growing {
  const attributes = Object.entries(entry.xattrs ?? {}).map(
    ([name, value]) => [name, Buffer.from(value, 'base64')] as const,
  )
  const isDir = entry.kind === 'dir'
  return {
    attr: attrOf(entry, ino),
    target: entry.target ?? '',
    xattrs: new Map([...attributes, ...markAttributes(entry.marks ?? {}, prefix)]),
    children: isDir ? new Map() : null,
  }
}

// A metacopy is told by its taking no room: its bytes are looked for below.
function attrOf(entry: Entry, ino: number): Attr {
  const shown = shownAttr(entry, 1)
  return {
    ...shown,
    ino: entry.number || ino,
    blocks: entry.marks?.metacopy === true ? 0 : shown.blocks,
    rdev: entry.kind === 'whiteout' ? 0 : shown.rdev,
  }
}
