// Reading an image and storing what is new in it: the work of a snapshot, done in a snapshot
// thread.
//
//   image ──┐
//           ├─▶ entry by entry ─▶ unchanged: the parent's content   ─▶ TreeWriter ─▶ pieces
//   parent ─┘                     else: read, hash, known? else delta ─▶ chunks
//
// Rule: a file counts as unchanged only by inode, size and both times; a change so recent that
// the disk's clock might not tell it from the next one is never taken for "unchanged" later.

import { readFileSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { markOf, sameAttributes, sameContent } from './changes.ts'
import { LARGEST_PART, openContent, openLower, type Sources } from './content.ts'
import { type Candidate, encode } from './delta.ts'
import { Damage, type Depot } from './depot.ts'
import { contentId, type FileData } from './file-data.ts'
import { type ImageDirs, type ImageEntry, openImage } from './image.ts'
import { LowerTrees } from './lower.ts'
import type { Entry, Piece, SnapshotRecord } from './records.ts'
import { type Listed, readTree, type Stamp, TreeCursor, TreeWriter } from './tree.ts'

export interface ScanJob {
  readonly dirs: ImageDirs
  readonly prefix: MarkPrefix
  /** Read-only trees, top first, and the digest that contents are kept under. */
  readonly ro: readonly string[]
  readonly scope: string
  /** The parent state's list; null for a first state. */
  readonly parent: readonly Piece[] | null
  /** Digest of the parent's read-only sublayer. */
  readonly parentScope: string
}

export interface Progress {
  readonly entries: number
  /** Bytes that had to be read. */
  readonly bytes: number
}

export interface ScanResult
  extends Pick<SnapshotRecord, 'entries' | 'bytes' | 'counts' | 'dependsOnBase' | 'owners'> {
  readonly pieces: Piece[]
  /** False where the image shows what the parent shows. */
  readonly changed: boolean
}

/** A change younger than this may be followed by one with the same time. */
const RECENT_MS = 100
/** A chain of deltas ends here, and a new one begins. */
const LONGEST_CHAIN = 6
/** Below this a reference costs more than it saves. */
const SMALLEST_DELTA = 128

export async function scan(
  job: ScanJob,
  depot: Depot,
  report: (progress: Progress) => void,
): Promise<ScanResult> {
  const begun = Date.now()
  const image = openImage(job.dirs, job.prefix)
  const lower = new LowerTrees(job.ro)
  try {
    const run = new Scan(job, depot, lower, begun - RECENT_MS)
    for (const item of image.entries()) {
      await run.take(item)
      report(run.progress)
    }
    const result = await run.end()
    image.check()
    return result
  } finally {
    lower.close()
    image.close()
  }
}

class Scan {
  readonly #job: ScanJob
  readonly #depot: Depot
  readonly #sources: Sources
  readonly #lower: LowerTrees
  readonly #settled: number
  readonly #parent: TreeCursor
  readonly #writer: TreeWriter
  /** Contents of files with several names, by the first of them. */
  readonly #linked = new Map<string, string | undefined>()
  readonly #uids = new Set<number>()
  readonly #gids = new Set<number>()
  readonly #counts = { A: 0, M: 0, D: 0, attr: 0 }
  #entries = 0
  #size = 0
  #read = 0
  #changed: boolean
  #dependsOnBase = false

  constructor(job: ScanJob, depot: Depot, lower: LowerTrees, settled: number) {
    this.#job = job
    this.#depot = depot
    this.#lower = lower
    this.#settled = settled
    const temporary = parentOf(job.dirs.rw)
    this.#sources = { depot, scope: job.scope, ro: job.ro, temporary }
    this.#parent = new TreeCursor(readTree(depot, job.parent ?? []))
    this.#writer = new TreeWriter(depot)
    this.#changed = job.parent === null
  }

  get progress(): Progress {
    return { entries: this.#entries, bytes: this.#read }
  }

  async take(item: ImageEntry): Promise<void> {
    const before = await this.#parent.at(item.entry.path, (gone) => this.#gone(gone))
    const entry = await this.#complete(item, before)
    this.#count(before?.entry ?? null, entry, item)
    await this.#writer.add({
      entry: this.#same(before, entry) ? { ...entry, ...accessOf(before!.entry) } : entry,
      stamp: this.#stampOf(item),
    })
  }

  async end(): Promise<ScanResult> {
    await this.#parent.end((gone) => this.#gone(gone))
    const { A: added, M: changed, D: deleted, attr: attributes } = this.#counts
    return {
      pieces: await this.#writer.end(),
      entries: this.#entries,
      bytes: this.#size,
      counts: { added, changed, deleted, attributes },
      dependsOnBase: this.#dependsOnBase,
      owners: {
        users: namesOf('/etc/passwd', this.#uids),
        groups: namesOf('/etc/group', this.#gids),
      },
      changed: this.#changed,
    }
  }

  // Equal but for its access time: then the parent's is kept, so that both share the piece.
  #same(before: Listed | null, now: Entry): boolean {
    if (before === null || !sameContent(before.entry, now)) return false
    return sameAttributes(before.entry, now)
  }

  #gone({ entry }: Listed): void {
    this.#changed = true
    const mark = markOf(entry, null, () => this.#lower.look(entry.path))
    if (mark !== null) this.#counts[mark] += 1
  }

  #count(before: Entry | null, now: Entry, item: ImageEntry): void {
    this.#entries += 1
    if (now.link === undefined) this.#size += now.size ?? 0
    this.#uids.add(now.uid)
    this.#gids.add(now.gid)
    if (now.marks?.base !== undefined) this.#dependsOnBase = true
    // A directory's own `lower` is where its content lies below: for a name, it is the parent's.
    const mark = markOf(before, now, () => this.#lower.look(item.shownOver))
    if (mark !== null) this.#counts[mark] += 1
    if (mark !== null || before === null || before.link !== now.link) this.#changed = true
  }

  async #complete(item: ImageEntry, before: Listed | null): Promise<Entry> {
    const { entry } = item
    if (entry.kind !== 'file' || entry.size === 0 || entry.marks?.metacopy === true) return entry
    const id = await this.#contentOf(item, before)
    return id === undefined ? entry : { ...entry, content: id }
  }

  async #contentOf(item: ImageEntry, before: Listed | null): Promise<string | undefined> {
    const { entry } = item
    if (entry.link !== undefined) return this.#linked.get(entry.link)
    const id = (await this.#unchanged(item, before)) ?? (await this.#store(item, before))
    if (entry.linked === true) this.#linked.set(entry.path, id)
    return id
  }

  async #unchanged({ entry, stamp }: ImageEntry, before: Listed | null): Promise<string | null> {
    if (before === null || !sameStamp(before.stamp, stamp)) return null
    const { size, mtime, mtimeNsec, content } = before.entry
    if (content === undefined || size !== entry.size) return null
    if (mtime !== entry.mtime || mtimeNsec !== entry.mtimeNsec) return null
    if (this.#job.parentScope === this.#job.scope) return content
    const known = await this.#depot.content(this.#job.scope, content)
    return known === null ? null : content
  }

  async #store(item: ImageEntry, before: Listed | null): Promise<string> {
    const file = item.open()
    try {
      this.#read += file.size
      return (await this.#known(file, before)) ?? (await this.#encode(file, item, before))
    } catch (cause) {
      if (!(cause instanceof Error) || 'code' in cause) throw cause
      throw new Error(`${shown(item.entry.path)}: ${cause.message}`, { cause })
    } finally {
      file.close()
    }
  }

  // Large files of another size are not the ones before: reading them only for their name is vain.
  async #known(file: FileData, before: Listed | null): Promise<string | null> {
    if (file.size > LARGEST_PART && file.size !== before?.entry.size) return null
    const id = contentId(file)
    return (await this.#depot.content(this.#job.scope, id)) === null ? null : id
  }

  async #encode(file: FileData, item: ImageEntry, before: Listed | null): Promise<string> {
    const candidates = file.size < SMALLEST_DELTA ? [] : await this.#candidates(item, before)
    try {
      const { id, content } = await encode(file, candidates, this.#depot)
      await this.#depot.putContent(this.#job.scope, id, content)
      return id
    } finally {
      for (const { bytes } of candidates) bytes.close()
    }
  }

  // One reference is enough: what came from `ro` is in the state before as well.
  async #candidates(item: ImageEntry, before: Listed | null): Promise<Candidate[]> {
    const earlier = await this.#earlier(before?.entry.content)
    if (earlier !== null) return [earlier]
    const path = item.lower ?? item.entry.path
    const below = this.#job.scope === '' ? null : openLower(this.#job.ro, path)
    return below === null ? [] : [{ from: { source: 'ro', path }, bytes: below, depth: 0 }]
  }

  async #earlier(id: string | undefined): Promise<Candidate | null> {
    if (id === undefined) return null
    const content = await this.#depot.content(this.#job.scope, id)
    if (content === null || content.depth >= LONGEST_CHAIN) return null
    try {
      const bytes = await openContent(this.#sources, id)
      return { from: { source: 'content', content: id }, bytes, depth: content.depth }
    } catch (err) {
      // What cannot be read any more is no reference: the new state must not depend on it.
      if (err instanceof Damage || err instanceof Failure) return null
      throw err
    }
  }

  #stampOf({ entry, stamp }: ImageEntry): Stamp | null {
    if (entry.kind !== 'file' || stamp === null) return null
    return stamp.ctime * 1000 + stamp.ctimeNsec / 1e6 < this.#settled ? stamp : null
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

const accessOf = ({ atime, atimeNsec }: Entry) => ({ atime, atimeNsec })

/** True where both are known and the same. */
export function sameStamp(a: Stamp | null, b: Stamp | null): boolean {
  if (a === null || b === null) return false
  return a.ino === b.ino && a.ctime === b.ctime && a.ctimeNsec === b.ctimeNsec
}

// Third field of /etc/passwd and /etc/group is the number. A system without them has no names.
function namesOf(file: string, numbers: ReadonlySet<number>): Record<string, string> {
  const names: Record<string, string> = {}
  for (const line of linesOf(file)) {
    const [name, , number] = line.split(':')
    if (name && number && numbers.has(Number(number))) names[number] ??= name
  }
  return names
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}
