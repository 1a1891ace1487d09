// Reading an image and storing what is new in it: the work of a snapshot, done in a snapshot
// thread.
//
//   image ──┐
//           ├─▶ name by name ─▶ FileStore ─▶ TreeWriter ─▶ pieces
//   parent ─┘                      └─▶ chunks
//
// Rule: a file counts as unchanged only by inode, size and both times; a change so recent that
// the disk's clock might not tell it from the next one is never taken for "unchanged" later.

import { readFileSync } from 'node:fs'
import type { MarkPrefix } from '../layer/marks.ts'
import { markOf, sameAttributes, sameContent } from './changes.ts'
import type { Depot } from './depot.ts'
import { FileStore, hasContent } from './file-store.ts'
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
/** So many names may wait for their contents. */
const AT_ONCE = 64

export async function scan(
  job: ScanJob,
  depot: Depot,
  report: (progress: Progress) => void,
): Promise<ScanResult> {
  const begun = Date.now()
  const image = openImage(job.dirs, job.prefix)
  const lower = new LowerTrees(job.ro)
  const run = new Scan(job, depot, lower, begun - RECENT_MS)
  try {
    for (const item of image.entries()) {
      await run.take(item)
      report(run.progress)
    }
    const result = await run.end()
    image.check()
    return result
  } catch (err) {
    await run.abandon()
    throw err
  } finally {
    lower.close()
    image.close()
  }
}

interface Waiting {
  readonly item: ImageEntry
  readonly before: Listed | null
  /** Null where it has none. */
  readonly content: Promise<string> | null
}

class Scan {
  readonly #files: FileStore
  readonly #lower: LowerTrees
  readonly #settled: number
  readonly #parent: TreeCursor
  readonly #writer: TreeWriter
  /** Names whose content is being stored, in the order of the walk. */
  readonly #waiting: Waiting[] = []
  readonly #uids = new Set<number>()
  readonly #gids = new Set<number>()
  readonly #counts = { A: 0, M: 0, D: 0, attr: 0 }
  #entries = 0
  #size = 0
  #changed: boolean
  #dependsOnBase = false

  constructor(job: ScanJob, depot: Depot, lower: LowerTrees, settled: number) {
    this.#lower = lower
    this.#settled = settled
    const temporary = parentOf(job.dirs.rw)
    const sources = { depot, scope: job.scope, ro: job.ro, temporary }
    this.#files = new FileStore(depot, sources, job.parentScope)
    this.#parent = new TreeCursor(readTree(depot, job.parent ?? []))
    this.#writer = new TreeWriter(depot)
    this.#changed = job.parent === null
  }

  get progress(): Progress {
    return { entries: this.#entries, bytes: this.#files.read }
  }

  /** Takes the next name in; what it needs to be stored may still be under way. */
  async take(item: ImageEntry): Promise<void> {
    const before = await this.#parent.at(item.entry.path, (gone) => this.#gone(gone))
    const waits = hasContent(item.entry)
    const alone = waits && this.#files.isLarge(item)
    if (alone) await this.#drain(0)
    const content = waits ? this.#files.store(item, before) : null
    // It is awaited in its turn; until then its failure is not unheard.
    content?.catch(() => {})
    this.#waiting.push({ item, before, content })
    await this.#drain(alone ? 0 : AT_ONCE)
  }

  async end(): Promise<ScanResult> {
    await this.#drain(0)
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

  /** Waits for what is under way, whatever becomes of it. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#waiting.map(({ content }) => content))
  }

  // In order, so that the list is.
  async #drain(left: number): Promise<void> {
    while (this.#waiting.length > left) {
      const { item, before, content } = this.#waiting[0]!
      const entry = content === null ? item.entry : { ...item.entry, content: await content }
      this.#waiting.shift()
      this.#count(before?.entry ?? null, entry, item)
      await this.#writer.add({
        entry: this.#same(before, entry) ? { ...entry, ...accessOf(before!.entry) } : entry,
        stamp: this.#stampOf(item),
      })
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

  #stampOf({ entry, stamp }: ImageEntry): Stamp | null {
    if (entry.kind !== 'file' || stamp === null) return null
    return stamp.ctime * 1000 + stamp.ctimeNsec / 1e6 < this.#settled ? stamp : null
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

const accessOf = ({ atime, atimeNsec }: Entry) => ({ atime, atimeNsec })

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
