// What new bytes may have come from beside the file of the same name: any file of `ro`, of the
// state before, and of the state that is being stored.
//
//   bytes that nothing near explains ─▶ allowance ─▶ more origins are read and sampled
//                                          │
//   stretch of new bytes ─▶ samples ─▶ table ─▶ stretches of origins, the most often met first
//
// Rule: looking costs what was changed, not what exists: origins are read within an allowance that
// grows with the bytes that are new, those first that share a directory or a suffix with them.

import { baseName, type RelPath } from '../base/path.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { walk } from '../layer/walk.ts'
import { makeContent } from './content.ts'
import { sliceIn } from './content-shape.ts'
import { Damage } from './depot.ts'
import { densityFor, type Samples, SampleTable, samplesOf } from './fingerprints.ts'
import { openLower } from './readable.ts'
import type { Content, Piece } from './records.ts'
import type { Sources } from './sources.ts'
import { readTree } from './tree.ts'

/** A stretch of bytes that new ones may refer to. */
export interface Stretch {
  readonly source: 'ro' | 'content'
  /** For `ro`. */
  readonly path?: RelPath
  /** For `content`. */
  readonly content?: string
  readonly offset: number
  readonly length: number
  /** How many contents must be made to have it: 0 for a file of `ro`. */
  readonly depth: number
}

interface Origin {
  readonly source: 'ro' | 'content'
  readonly path?: RelPath
  content?: string
  size: number
  depth: number
  /** Its name, or one of them. */
  readonly at: RelPath
  known: boolean
}

/** A chain of deltas ends here, and a new one begins. */
export const LONGEST_CHAIN = 6
/** Smaller files are hardly worth a reference. */
const SMALLEST = 512
/** Names that are looked at; a larger tree is known in part. */
const MOST_ORIGINS = 200_000
/** Bytes of origins that may be read for each of the first new bytes, and for each further one. */
const FIRST_ALLOWANCE = 16
const FIRST_BYTES = 4 * 1024 * 1024
const ALLOWANCE = 2
/** Below this many new bytes nothing is looked for. */
const WORTH_A_LOOK = 64 * 1024
const READ_AT_ONCE = 1024 * 1024
/** Hits nearer to each other are one stretch, which reaches beyond them on both sides. */
const GAP = 32 * 1024
const MARGIN = 8 * 1024
/** A stretch with fewer hits saves no more than it costs. */
const FEWEST_HITS = 3
const MOST_STRETCHES = 512

export class Origins {
  readonly #sources: Sources
  readonly #parent: readonly Piece[]
  #origins: Origin[] | null = null
  /** Packs that are known as a whole. */
  readonly #packs = new Set<string>()
  #table: SampleTable | null = null
  #density = 0
  #new = 0
  #read = 0

  /** `parent`: the list of the state before, where its contents may be referred to. */
  constructor(sources: Sources, parent: readonly Piece[]) {
    this.#sources = sources
    this.#parent = parent
  }

  /** Tells of bytes that nothing near explains, and what they are called; reads more origins for them. */
  async unexplained(bytes: number, paths: readonly RelPath[]): Promise<void> {
    this.#new += bytes
    if (this.#new < WORTH_A_LOOK) return
    this.#origins ??= await this.#list()
    const first = Math.min(this.#new, FIRST_BYTES)
    const allowance = first * FIRST_ALLOWANCE + (this.#new - first) * ALLOWANCE
    const [dirs, suffixes] = [new Set(paths.map(dirOf)), new Set(paths.map(suffixOf))]
    await this.#learnWhere(allowance, ({ at }) => dirs.has(dirOf(at)))
    await this.#learnWhere(allowance, ({ at }) => suffixes.has(suffixOf(at)))
    await this.#learnWhere(allowance, () => true)
  }

  /** True where there is nothing to be found. */
  get isEmpty(): boolean {
    return (this.#origins?.length ?? 0) === 0
  }

  async #learnWhere(allowance: number, wanted: (origin: Origin) => boolean): Promise<void> {
    for (const [number, origin] of this.#origins!.entries()) {
      if (this.#read >= allowance) return
      if (!origin.known && wanted(origin)) await this.#learn(number, origin)
    }
  }

  /** The samples of a stretch of new bytes; null while there is nothing to hold them against. */
  samples(bytes: Buffer): Samples | null {
    return this.#table === null ? null : samplesOf(bytes, this.#density)
  }

  /** Where the sampled bytes were seen before, the most often met first, up to `room` bytes. */
  find(samples: Samples, room: number): Stretch[] {
    const hits = new Map<number, number[]>()
    this.#table?.find(samples, (origin, offset) => {
      const offsets = hits.get(origin)
      if (offsets === undefined) hits.set(origin, [offset])
      else offsets.push(offset)
    })
    const found: { hits: number; stretch: Stretch }[] = []
    for (const [number, offsets] of hits) found.push(...merged(this.#origins![number]!, offsets))
    found.sort((a, b) => b.hits - a.hits)
    const chosen: Stretch[] = []
    let left = room
    for (const { stretch } of found) {
      if (stretch.length > left || chosen.length === MOST_STRETCHES) continue
      chosen.push(stretch)
      left -= stretch.length
    }
    return chosen
  }

  /** What was just stored may be referred to by what comes next. */
  add(samples: Samples, content: string, { size, depth }: Content): void {
    if (this.#table === null || this.#origins === null || depth >= LONGEST_CHAIN) return
    const at = content as RelPath
    const number = this.#origins.push({ source: 'content', content, size, depth, at, known: true })
    this.#table.add(samples, number - 1, 0)
  }

  async #list(): Promise<Origin[]> {
    const origins: Origin[] = []
    const { scope, ro } = this.#sources
    if (scope !== '') for (const root of ro) listLower(root, origins)
    await this.#listParent(origins)
    const total = origins.reduce((sum, { size }) => sum + size, 0)
    this.#density = densityFor(total)
    // As much again for what this state brings.
    this.#table = new SampleTable((total / 2 ** this.#density) * 2)
    return origins
  }

  async #listParent(origins: Origin[]): Promise<void> {
    const seen = new Set<string>()
    for await (const { entry } of readTree(this.#sources.depot, this.#parent)) {
      const { path, content, size = 0 } = entry
      if (content === undefined || size < SMALLEST || seen.has(content)) continue
      seen.add(content)
      origins.push({ source: 'content', content, at: path, size, depth: 0, known: false })
      if (origins.length >= MOST_ORIGINS) return
    }
  }

  async #learn(number: number, origin: Origin): Promise<void> {
    origin.known = true
    // Opening costs too.
    this.#read += 4096
    if (origin.source === 'ro') return this.#learnLower(number, origin)
    const { depot, scope } = this.#sources
    let content = await depot.content(scope, origin.content!)
    const slice = content === null ? null : sliceIn(content)
    if (slice !== null) {
      // Its whole pack, once for all that lie in it.
      if (this.#packs.has(slice.content)) return
      this.#packs.add(slice.content)
      content = await depot.content(scope, slice.content)
      origin.content = slice.content
    }
    if (content === null || content.depth >= LONGEST_CHAIN) return
    origin.depth = content.depth
    origin.size = content.size
    try {
      await makeContent(this.#sources, origin.content!, (bytes, offset) =>
        this.#sample(number, bytes, offset),
      )
    } catch (err) {
      // What cannot be read any more is no origin.
      if (!(err instanceof Damage) && !(err instanceof Error && 'code' in err)) throw err
    }
  }

  #learnLower(number: number, { path }: Origin): void {
    const file = openLower(this.#sources.ro, path)
    if (file === null) return
    try {
      for (let at = 0; at < file.size; at += READ_AT_ONCE) {
        const bytes = block.subarray(0, Math.min(READ_AT_ONCE, file.size - at))
        file.read(bytes, at)
        this.#sample(number, bytes, at)
      }
    } finally {
      file.close()
    }
  }

  #sample(number: number, bytes: Buffer, offset: number): void {
    this.#read += bytes.length
    this.#table!.add(samplesOf(bytes, this.#density), number, offset)
  }
}

const block = Buffer.allocUnsafeSlow(READ_AT_ONCE)

const dirOf = (path: RelPath): string => path.slice(0, path.lastIndexOf('/') + 1)

// A name without one has its whole name for it: files of one name are alike.
function suffixOf(path: RelPath): string {
  const name = baseName(path)
  return name.slice(Math.max(0, name.lastIndexOf('.')))
}

function listLower(root: string, origins: Origin[]): void {
  const seen = new Set(origins.map(({ at }) => at))
  const fd = must(sys.openat(AT_FDCWD, root, O.PATH | O.DIRECTORY), root)
  try {
    for (const { path, stat } of walk(fd)) {
      if ((stat.mode & S.IFMT) !== S.IFREG || stat.size < SMALLEST || seen.has(path)) continue
      origins.push({ source: 'ro', path, at: path, size: stat.size, depth: 0, known: false })
      if (origins.length >= MOST_ORIGINS) return
    }
  } finally {
    sys.close(fd)
  }
}

/** Stretches of one origin around the hits in it. */
function merged(origin: Origin, hits: number[]): { hits: number; stretch: Stretch }[] {
  if (hits.length < FEWEST_HITS) return []
  const { source, path, content, size, depth } = origin
  const found: { hits: number; stretch: Stretch }[] = []
  const end = (from: number, to: number, count: number) => {
    if (count < FEWEST_HITS) return
    const offset = Math.max(0, from - MARGIN)
    const length = Math.min(size, to + MARGIN) - offset
    const name = source === 'ro' ? { path: path! } : { content: content! }
    found.push({ hits: count, stretch: { source, ...name, offset, length, depth } })
  }
  const offsets = Float64Array.from(hits).sort()
  let [from, to, count] = [offsets[0]!, offsets[0]!, 0]
  for (const offset of offsets) {
    if (offset - to > GAP) {
      end(from, to, count)
      ;[from, count] = [offset, 0]
    }
    // The same place met twice explains no more than once.
    if (count === 0 || offset !== to) count += 1
    to = offset
  }
  end(from, to, count)
  return found
}
