// The layers of a container image, laid over each other into one tree.
//
//   the lowest ──▶ the tree itself
//   each other ──▶ a tree of its own ──▶ what it deletes goes, then its names move in (merge-image.ts)
//
// In such a layer the file `.wh.NAME` says that NAME of the layers below is deleted, and `.wh..wh..opq`
// that nothing of their directory shows.
//
// Rule: an image is foreign. A layer is unpacked where no other has put a link, and what it deletes or
// links to is looked for inside the tree alone.

import { createHash } from 'node:crypto'
import { Failure } from '../base/failure.ts'
import { baseName, joinPath, parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { type Members, standInForDevices } from './import-members.ts'
import { type TarWish, unpackTar } from './import-tar.ts'
import { type ImageMarks, mergeLayer, openUp } from './merge-image.ts'
import { walk } from './walk.ts'

export interface ImageLayer {
  /** A tar archive, compressed or not. Absolute, internal. */
  readonly path: string
  /** SHA-256 in hex of the uncompressed archive; null where nobody said. */
  readonly diffId: string | null
}

export interface UnpackImage {
  /** What failures call it. */
  readonly name: string
  readonly layers: readonly ImageLayer[]
  /** The empty tree, open and by its name; and a name beside it that is not there yet. */
  readonly root: number
  readonly into: string
  readonly staging: string
  readonly privileged: boolean
  readonly onProgress: ((text: string) => void) | undefined
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** Of the filesystem that these marks come from: its own business. */
const OWN = '.wh..wh.'

/** Answers what is known of each name; stand-ins for devices are made. */
export async function unpackImage(what: UnpackImage): Promise<{
  members: Members
  warnings: readonly string[]
}> {
  const { layers, root, into, staging, privileged, onProgress } = what
  const members: Members = new Map()
  const warnings: string[] = []
  for (const [at, layer] of layers.entries()) {
    onProgress?.(`unpacking layer ${at + 1} of ${layers.length}`)
    const isFirst = at === 0
    if (!isFirst) must(sys.mkdirat(AT_FDCWD, staging, 0o700), shown(staging))
    const unpacked = await unpackLayer(what, layer, at, isFirst ? into : staging)
    warnings.push(...unpacked.warnings)
    const from = must(
      sys.openat(AT_FDCWD, isFirst ? into : staging, O.RDONLY | O.DIRECTORY),
      shown(staging),
    )
    try {
      if (!privileged) {
        for (const _ of walk(from, openUp));
        standInForDevices(from, unpacked.members)
      }
      if (isFirst) for (const [path, truth] of unpacked.members) members.set(path, truth)
      else warnings.push(...(await mergeLayer({ root, from, all: members, ...unpacked })))
    } finally {
      sys.close(from)
    }
    if (!isFirst) removeTree(AT_FDCWD, staging)
  }
  return { members, warnings }
}

async function unpackLayer(
  { name, layers, privileged }: UnpackImage,
  { path, diffId }: ImageLayer,
  at: number,
  into: string,
): Promise<{ members: Members; marks: ImageMarks; warnings: readonly string[] }> {
  const called = `layer ${at + 1} of ${layers.length} of ${name}`
  const marks: ImageMarks = { deleted: [], opaque: [], links: [] }
  const hash = createHash('sha256')
  const isFirst = at === 0
  const wish: TarWish = {
    name: called,
    sees: (bytes) => void hash.update(bytes),
    takes: ({ path: member, linkTo }, known) => {
      if (takesMark(member, marks, called)) return true
      // What this layer has not got may be in one below.
      if (linkTo === null || isFirst || known.has(linkTo)) return false
      marks.links.push({ path: member, to: linkTo })
      return true
    },
  }
  const { members, warnings } = await unpackTar(path, into, privileged, wish)
  if (diffId !== null && hash.digest('hex') !== diffId)
    throw new Failure('SVS_ARCHIVE_INVALID', called, 'it is not the layer that the image names')
  return { members, marks, warnings }
}

function takesMark(member: RelPath, marks: ImageMarks, archive: string): boolean {
  const name = baseName(member)
  if (!name.startsWith(WHITEOUT)) return false
  const dir = parentPath(member)
  if (name === OPAQUE) marks.opaque.push(dir)
  else if (!name.startsWith(OWN)) {
    const deleted = name.slice(WHITEOUT.length)
    if (deleted === '' || deleted === '.' || deleted === '..')
      throw new Failure('SVS_ARCHIVE_ESCAPES', shown(member), archive)
    marks.deleted.push(dir === ROOT ? (deleted as RelPath) : joinPath(dir, deleted))
  }
  return true
}
