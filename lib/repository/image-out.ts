// A layer as a container image: its read-only part as one layer, what a state has over that as the next.
//
//   Below ─▶ all names                                        ─▶ tar ─▶ gzip ─▶ blob
//   ShownTree against Below ─▶ what differs, `.wh.` for the rest ─▶ tar ─▶ gzip ─▶ blob
//
// Rule: the same tree makes the same bytes. What a tar cannot say (sockets, names that would be marks) is
// left out, and said.

import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createGzip } from 'node:zlib'
import { baseName, joinPath, parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { Below, type BelowIndex } from '../snapshot/below.ts'
import type { DepotReader } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import { Ranges } from '../snapshot/ranges.ts'
import type { Entry, Piece } from '../snapshot/records.ts'
import { type Shown, type ShownBytes, ShownTree } from '../snapshot/shown-tree.ts'
import { StateList } from '../snapshot/state-list.ts'
import { type Blob, newHash } from './repository.ts'
import { padding, type TarMember, tarEnd, tarHeader } from './tar-out.ts'

const STRETCH = 1024 * 1024
const WHITEOUT = '.wh.'

/** A layer of the image, in a file without a name. */
export interface MadeLayer extends Blob {
  /** Of the uncompressed archive: `sha256:…`. */
  readonly diffId: string
  close(): Promise<void>
}

export interface ImageTree {
  /** The read-only part, internal. */
  readonly ro: string
  readonly index: BelowIndex | null
  readonly scope: string
  /** A directory on a disk with room, as Node takes it. */
  readonly temporary: string
  readonly signal: AbortSignal
  readonly onProgress: (text: string) => void
}

export interface ImageState {
  readonly depot: DepotReader
  readonly pieces: readonly Piece[]
}

/** Makes one layer; of the read-only part where no state is given. Says what was left out. */
export async function makeLayer(
  tree: ImageTree,
  state: ImageState | null,
  warn: (text: string) => void,
): Promise<MadeLayer> {
  const path = join(tree.temporary, `image-${randomBytes(6).toString('hex')}`)
  const file = await open(path, 'wx+', 0o600)
  const [whole, packed] = [newHash(), newHash()]
  try {
    await unlink(path)
    const gzip = createGzip()
    const members = new Members(tree, state, warn)
    const feeding = feed(gzip, members.archive(), (bytes) => whole.update(bytes))
    // Where it fails, the archive that ends early says so first.
    feeding.catch(() => {})
    let size = 0
    for await (const bytes of gzip as AsyncIterable<Buffer>) {
      packed.update(bytes)
      for (let at = 0; at < bytes.length; )
        at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
      size += bytes.length
    }
    await feeding
    const digest = `sha256:${packed.digest('hex')}`
    return { digest, size, diffId: `sha256:${whole.digest('hex')}`, ...reading(file, size) }
  } catch (err) {
    await file.close()
    throw err
  }
}

function reading(file: FileHandle, size: number): Pick<MadeLayer, 'read' | 'close'> {
  return {
    async *read(from) {
      if (from >= size) return
      const stream = createReadStream('', { fd: file, start: from, autoClose: false })
      yield* stream as AsyncIterable<Buffer>
    },
    close: () => file.close(),
  }
}

async function feed(
  gzip: ReturnType<typeof createGzip>,
  archive: AsyncIterable<Buffer>,
  sees: (bytes: Buffer) => void,
): Promise<void> {
  try {
    for await (const bytes of archive) {
      sees(bytes)
      if (!gzip.write(bytes)) await new Promise((resolve) => gzip.once('drain', resolve))
    }
    gzip.end()
  } catch (err) {
    gzip.destroy(err as Error)
    throw err
  }
}

class Members {
  readonly #tree: ImageTree
  readonly #state: ImageState | null
  readonly #warn: (text: string) => void
  readonly #below: Below
  readonly #pace: Pace
  /** First name of each file with several, in this layer. */
  readonly #first = new Map<string, RelPath>()
  #count = 0

  constructor(tree: ImageTree, state: ImageState | null, warn: (text: string) => void) {
    this.#tree = tree
    this.#state = state
    this.#warn = warn
    this.#below = new Below(tree.ro, tree.index)
    this.#pace = new Pace(1, tree.signal)
  }

  async *archive(): AsyncGenerator<Buffer> {
    const { scope, ro, temporary } = this.#tree
    const depot = this.#state?.depot ?? NO_DEPOT
    const ranges = new Ranges({ depot, scope, ro: [ro], temporary })
    try {
      const list = new StateList(depot, this.#state?.pieces ?? [])
      const shownTree = new ShownTree(list, this.#below)
      for await (const { shown: one, deleted } of this.#names(shownTree)) {
        if (deleted !== null) yield tarHeader(whiteoutOf(deleted))
        else yield* this.#member(one, ranges)
        this.#count += 1
        if (this.#count % 100 === 0) this.#tree.onProgress(`packed ${this.#count} names`)
        await this.#pace.breathe()
      }
      yield tarEnd()
    } finally {
      ranges.close()
      this.#below.close()
    }
  }

  async *#names(
    tree: ShownTree,
  ): AsyncGenerator<{ shown: Shown; deleted: null } | { shown: null; deleted: RelPath }> {
    const root = await tree.root()
    const under = this.#state === null ? null : this.#below.look(ROOT)
    if (under === null || !looksAs(root.entry, under.entry)) yield { shown: root, deleted: null }
    const left: Shown[] = [root]
    for (let dir = left.pop(); dir !== undefined; dir = left.pop()) {
      const { path } = dir.entry
      const children = await tree.children(dir)
      const names = new Set(children.map(({ entry }) => baseName(entry.path)))
      if (this.#state !== null && this.#below.look(path)?.entry.kind === 'dir')
        for (const name of this.#below.list(path))
          if (!names.has(name)) yield { shown: null, deleted: joinPath(path, name) }
      const inside: Shown[] = []
      for (const child of children) {
        if (this.#state !== null && this.#isBelow(child)) continue
        yield { shown: child, deleted: null }
        if (child.entry.kind === 'dir') inside.push(child)
      }
      left.push(...inside.reverse())
    }
  }

  /** True for what the read-only part shows there just so, with all that it holds. */
  #isBelow({ entry, bytes, listed, lower }: Shown): boolean {
    if (entry.kind === 'dir') return !listed && lower === entry.path
    const found = this.#below.look(entry.path)
    return found !== null && looksAs(entry, found.entry) && isAt(bytes, entry.path)
  }

  async *#member({ entry, bytes, links }: Shown, ranges: Ranges): AsyncGenerator<Buffer> {
    const { path, kind } = entry
    if (kind === 'socket' || kind === 'whiteout' || baseName(path).startsWith(WHITEOUT)) {
      const why = kind === 'socket' ? 'is a socket' : 'would be a mark of deletion'
      this.#warn(`${shown(path)}: ${why}: left out`)
      return
    }
    const first = links === null ? undefined : this.#first.get(links)
    if (first !== undefined) {
      yield tarHeader({ ...memberOf(entry), kind: 'link', size: 0, target: first })
      return
    }
    if (links !== null) this.#first.set(links, path)
    const member = memberOf(entry)
    yield tarHeader(member)
    if (member.size > 0) yield* this.#data(member.size, bytes, ranges)
    yield padding(member.size)
  }

  async *#data(size: number, bytes: ShownBytes, ranges: Ranges): AsyncGenerator<Buffer> {
    if (bytes.at === 'none') throw new TypeError('a file of some size without bytes')
    const file = bytes.at === 'below' ? this.#below.open(bytes.path) : null
    try {
      for (let at = 0; at < size; at += STRETCH) {
        const piece = Buffer.allocUnsafeSlow(Math.min(STRETCH, size - at))
        if (file !== null) file.read(piece, at)
        else if (bytes.at === 'content') await ranges.read(bytes.id, piece, at)
        yield piece
        await this.#pace.breathe()
      }
    } finally {
      file?.close()
    }
  }
}

const NO_DEPOT: DepotReader = { chunk: async () => null, content: async () => null }

const isAt = (bytes: ShownBytes, path: RelPath): boolean =>
  bytes.at === 'none' || (bytes.at === 'below' && bytes.path === path)

/** Everything that a tar says of a name is the same. */
function looksAs(one: Entry, other: Entry): boolean {
  const say = ({ kind, mode, uid, gid, mtime, mtimeNsec, size = 0, ...rest }: Entry) => {
    const { target = '', rdev = 0, xattrs = {} } = rest
    const attributes = Object.entries(xattrs).sort()
    return JSON.stringify([kind, mode, uid, gid, mtime, mtimeNsec, size, target, rdev, attributes])
  }
  return say(one) === say(other)
}

function memberOf(entry: Entry): TarMember {
  const { path, kind, mode, uid, gid, mtime, mtimeNsec, rdev = 0, target = '' } = entry
  const xattrs = Object.entries(entry.xattrs ?? {}).map(([name, value]): [string, Buffer] => [
    name,
    Buffer.from(value, 'base64'),
  ])
  return {
    path: path === ROOT ? '.' : path,
    ...{ mode, uid, gid, mtime, mtimeNsec, target },
    kind: kind as TarMember['kind'],
    size: kind === 'file' ? (entry.size ?? 0) : 0,
    major: (rdev >>> 8) & 0xfff,
    minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00),
    xattrs: new Map(xattrs),
  }
}

function whiteoutOf(path: RelPath): TarMember {
  const dir = parentPath(path)
  const name = `${WHITEOUT}${baseName(path)}`
  return {
    path: dir === ROOT ? name : `${dir}/${name}`,
    kind: 'file',
    ...{ mode: 0, uid: 0, gid: 0, mtime: 0, mtimeNsec: 0, size: 0, target: '' },
    ...{ major: 0, minor: 0, xattrs: new Map() },
  }
}
