// Reading an image and storing what is new in it: the work of a snapshot, done in a snapshot
// thread.
//
//   image ──┐
//           ├─▶ name by name ─▶ FileStore ─▶ TreeWriter ─▶ pieces
//   parent ─┘                      └─▶ chunks
//
// Where the journal knows what changed since the parent, that alone is looked at, and the rest of the
// parent's list is taken over (named.ts, parent-list.ts). Both ways give the same list.
//
// Rule: a file counts as unchanged only by inode, size and both times; a change so recent that
// the disk's clock might not tell it from the next one is never taken for "unchanged" later.

import { isWithin, type RelPath } from '../base/path.ts'
import { GROUPS, namesOf, USERS } from '../host/accounts.ts'
import type { Changed } from '../layer/changed.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { Below, type BelowIndex } from './below.ts'
import { type Mark, markOf, mayBeSame, sameAttributes, sameContent } from './changes.ts'
import type { Depot, DepotReader } from './depot.ts'
import { contentId } from './file-data.ts'
import { FileStore, hasContent } from './file-store.ts'
import { type Image, type ImageDirs, type ImageEntry, openImage } from './image.ts'
import { LowerTrees } from './lower.ts'
import { type Named, namedPaths } from './named.ts'
import { OwnContents } from './own-contents.ts'
import { ParentList, type SummedPiece } from './parent-list.ts'
import { RecentChunks } from './recent-chunks.ts'
import type { Entry, Piece, SnapshotRecord } from './records.ts'
import { Renames } from './renames.ts'
import type { Restamped } from './restamped.ts'
import {
  comparePaths,
  type Line,
  type Listed,
  readTree,
  type Stamp,
  Totals,
  TreeCursor,
  TreeWriter,
} from './tree.ts'

export interface ScanJob {
  readonly dirs: ImageDirs
  readonly prefix: MarkPrefix
  /** Read-only trees, top first, and the digest that contents are kept under. */
  readonly ro: readonly string[]
  readonly scope: string
  /** Of the first of them: by which numbers its files are known. */
  readonly index?: BelowIndex | null
  /** The parent state's list; null for a first state. */
  readonly parent: readonly Piece[] | null
  /** Digest of the parent's read-only sublayer. */
  readonly parentScope: string
  /** True where the catalogue has no content under `scope`: none is asked for then. */
  readonly isFirst?: boolean
  /** All that changed since the parent; null where that is not known. */
  readonly changed: Changed | null
  /** Of files that a restore made as the parent has them. */
  readonly restamped?: Restamped['stamps'] | null
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
  /** How it was found. */
  readonly by: 'journal' | 'scan'
}

/** A change younger than this may be followed by one with the same time. */
const RECENT_MS = 100
/** So many names may wait for their contents. */
const AT_ONCE = 256

/** The journal named something that cannot be: it does not know what changed. */
class JournalGap extends Error {}

export async function scan(
  job: ScanJob,
  known: Depot,
  report: (progress: Progress) => void,
): Promise<ScanResult> {
  const depot = job.isFirst === true ? new OwnContents(known) : known
  const begun = Date.now()
  const image = openImage(job.dirs, job.prefix)
  const lower = new LowerTrees(job.ro)
  // Each piece of the parent is read to be compared, and again where a new one may rest on it.
  const before = new RecentChunks(depot)
  const run = (walk: (scan: Scan) => Promise<void>) =>
    finish(new Scan(job, depot, { lower, before, settled: begun - RECENT_MS }, report), walk)
  try {
    const result =
      (await byJournal(job, before, image, run)) ??
      (await run(async (all) => {
        for (const item of image.entries()) await all.take(item)
        await all.passRest()
      }))
    image.check()
    return result
  } finally {
    lower.close()
    image.close()
  }
}

type Run = (walk: (scan: Scan) => Promise<void>) => Promise<ScanResult>

async function finish(scan: Scan, walk: (scan: Scan) => Promise<void>): Promise<ScanResult> {
  try {
    await walk(scan)
    return await scan.end()
  } catch (err) {
    await scan.abandon()
    throw err
  } finally {
    scan.close()
  }
}

async function byJournal(
  { parent, changed }: ScanJob,
  before: DepotReader,
  image: Image,
  run: Run,
): Promise<ScanResult | null> {
  if (parent === null || changed === null) return null
  const list = new ParentList(before, parent)
  try {
    const named = await namedPaths(changed, image, list)
    const result = await run(async (scan) => {
      for (const one of named) await scan.takeNamed(one, list, image)
      await scan.copyTo(null, list)
    })
    return { ...result, by: 'journal' }
  } catch (err) {
    if (err instanceof JournalGap) return null
    throw err
  }
}

/** What goes into the list next, once all before it has. */
type Waiting =
  | {
      readonly kind: 'name'
      readonly item: ImageEntry
      readonly before: Listed | null
      /** Null where it has none. */
      readonly content: Promise<string> | null
    }
  /** Taken over from the parent. */
  | { readonly kind: 'lines'; readonly lines: Line[] }
  | { readonly kind: 'piece'; readonly piece: SummedPiece; readonly list: ParentList }

/** What a scan looks at beside the image. */
interface Beside {
  readonly lower: LowerTrees
  /** Has the parent's list. */
  readonly before: DepotReader
  /** What changed later may change again without a trace, in milliseconds. */
  readonly settled: number
}

class Scan {
  readonly #files: FileStore
  readonly #lower: LowerTrees
  readonly #settled: number
  readonly #parent: TreeCursor
  readonly #writer: TreeWriter
  /** In the order of the walk: contents of the names among them are being stored. */
  readonly #waiting: Waiting[] = []
  #names = 0
  readonly #totals = new Totals()
  readonly #counts = { A: 0, M: 0, D: 0, attr: 0 }
  readonly #renames = new Renames()
  readonly #job: ScanJob
  #below: Below | null = null
  readonly #report: (progress: Progress) => void
  #entries = 0
  #changed: boolean

  constructor(
    job: ScanJob,
    depot: Depot,
    { lower, before, settled }: Beside,
    report: (progress: Progress) => void,
  ) {
    this.#job = job
    this.#report = report
    this.#lower = lower
    this.#settled = settled
    const temporary = parentOf(job.dirs.rw)
    const sources = { depot, scope: job.scope, ro: job.ro, temporary }
    this.#files = new FileStore(
      depot,
      sources,
      job.parentScope,
      job.parent ?? [],
      lower,
      job.restamped,
    )
    const former = { depot: before, pieces: job.parent ?? [] }
    this.#parent = new TreeCursor(readTree(before, former.pieces))
    this.#writer = new TreeWriter(depot, former)
    this.#changed = job.parent === null
  }

  /** Takes the next name in; what it needs to be stored may still be under way. */
  async take(item: ImageEntry): Promise<void> {
    const before = await this.#parent.at(item.entry.path, (gone) => this.#gone(gone))
    await this.#store(item, before)
  }

  /** What is left of the parent is gone. */
  passRest(): Promise<void> {
    return this.#parent.end((gone) => this.#gone(gone))
  }

  /** Takes in what the journal names, after all that comes before it. Throws JournalGap. */
  async takeNamed(named: Named, list: ParentList, image: Image): Promise<void> {
    const { path, whole } = named
    await this.copyTo(path, list)
    for (const item of image.visit(path, whole)) {
      const before = await this.#passTo(item.entry.path, named, list)
      // A name that came is named with all below it.
      if (before === null && !whole) throw new JournalGap(path)
      await this.#store(item, before)
    }
    const left = await list.peek()
    if (!whole && left?.entry.path === path) throw new JournalGap(path)
    if (whole) await this.#passTo(null, named, list)
  }

  /** Takes over what the parent has before `path`; all the rest for null. */
  async copyTo(path: string | null, list: ParentList): Promise<void> {
    for (;;) {
      const piece = list.takePiece(path)
      if (piece !== null) {
        this.#waiting.push({ kind: 'piece', piece, list })
        continue
      }
      const line = await list.peek()
      if (line === null) return
      if (path !== null && comparePaths(line.entry.path, path) >= 0) return
      list.step()
      this.#copy(line)
    }
  }

  #copy(line: Line): void {
    const last = this.#waiting.at(-1)
    if (last?.kind === 'lines') last.lines.push(line)
    else this.#waiting.push({ kind: 'lines', lines: [line] })
  }

  // What the parent has at `at` within the named; what it has before that is gone.
  async #passTo(at: string | null, { path, whole }: Named, list: ParentList): Promise<Line | null> {
    for (let line = await list.peek(); line !== null; line = await list.peek()) {
      const here = line.entry.path
      const inside = here === path || (whole && isWithin(here, path))
      if (!inside || (at !== null && comparePaths(here, at) > 0)) return null
      list.step()
      if (here === at) return line
      this.#gone(line)
    }
    return null
  }

  async #store(item: ImageEntry, before: Listed | null): Promise<void> {
    const waits = hasContent(item.entry)
    const alone = waits && this.#files.isLarge(item)
    if (alone) await this.#drain(0)
    const content = waits ? this.#files.store(item, before) : null
    // It is awaited in its turn; until then its failure is not unheard.
    content?.catch(() => {})
    this.#waiting.push({ kind: 'name', item, before, content })
    this.#names += 1
    await this.#drain(alone || this.#files.isFull ? 0 : AT_ONCE)
  }

  async end(): Promise<ScanResult> {
    await this.#drain(0)
    await this.#files.end()
    const { sum } = this.#totals
    return {
      pieces: await this.#writer.end(),
      entries: this.#entries,
      bytes: sum.bytes,
      counts: this.#countsWithRenames(),
      dependsOnBase: sum.base,
      owners: {
        users: namesOf(USERS, new Set(sum.users)),
        groups: namesOf(GROUPS, new Set(sum.groups)),
      },
      changed: this.#changed,
      by: 'scan',
    }
  }

  // What was deleted and added as one file is renamed; what its directory took along is neither.
  #countsWithRenames(): SnapshotRecord['counts'] {
    const { A: added, M: changed, D: deleted, attr: attributes } = this.#counts
    const pairs = this.#renames.match((path) => this.#entryBelow(path))
    const taken = (also: 'M' | 'attr') =>
      pairs.filter((pair) => pair.inside && pair.also === also).length
    return {
      added: added - pairs.length,
      changed: changed + taken('M'),
      deleted: deleted - pairs.filter(({ isGone }) => isGone).length,
      attributes: attributes + taken('attr'),
      renamed: pairs.filter(({ inside }) => !inside).length,
    }
  }

  close(): void {
    this.#below?.close()
  }

  /** Waits for what is under way, whatever becomes of it. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#waiting.map((one) => (one.kind === 'name' ? one.content : null)))
    await this.#files.abandon()
  }

  // In order, so that the list is.
  async #drain(left: number): Promise<void> {
    while (this.#waiting.length > 0 && (left === 0 || this.#names > left)) {
      await this.#finish(this.#waiting[0]!)
      this.#waiting.shift()
      this.#report({ entries: this.#entries, bytes: this.#files.read })
    }
  }

  async #finish(one: Waiting): Promise<void> {
    if (one.kind === 'name') {
      await this.#addName(one)
      this.#names -= 1
    } else if (one.kind === 'lines') await this.#addLines(one.lines)
    else if (this.#writer.isBetween) {
      this.#writer.take(one.piece)
      this.#entries += one.piece.entries
      this.#totals.addAll(one.piece.totals)
    } else await this.#addLines(await one.list.linesOf(one.piece))
  }

  async #addName({ item, before, content }: Waiting & { kind: 'name' }): Promise<void> {
    const { entry } = item
    if (content !== null) entry.content = await content
    this.#count(before, entry, item)
    await this.#writer.add({
      entry: this.#same(before, entry) ? { ...entry, ...accessOf(before!.entry) } : entry,
      stamp: this.#stampOf(item),
      ino: item.ino,
    })
  }

  async #addLines(lines: readonly Line[]): Promise<void> {
    for (const line of lines) {
      this.#entries += 1
      this.#totals.add(line.entry)
      await this.#writer.addLine(line)
    }
  }

  // Equal but for its access time: then the parent's is kept, so that both share the piece.
  #same(before: Listed | null, now: Entry): boolean {
    if (before === null || !sameContent(before.entry, now)) return false
    return sameAttributes(before.entry, now)
  }

  #gone({ entry, ino = 0 }: Listed): void {
    this.#changed = true
    const mark = this.#markOf(entry, null, entry.path)
    if (mark !== null) this.#counts[mark] += 1
    if (mark === 'D') this.#renames.gone({ entry, ino })
  }

  #count(listed: Listed | null, now: Entry, item: ImageEntry): void {
    this.#entries += 1
    this.#totals.add(now)
    const before = listed?.entry ?? null
    // A directory's own `lower` is where its content lies below: for a name, it is the parent's.
    const mark = this.#markOf(before, now, item.shownOver)
    if (mark !== null) this.#counts[mark] += 1
    if (mark === 'A') this.#renames.came({ entry: now, ino: item.ino })
    else if (mark === 'D' && listed !== null) this.#renames.gone({ ino: 0, ...listed })
    else if (mark === 'D') this.#goneBelow(item.shownOver)
    if (mark !== null || before === null || before.link !== now.link) this.#changed = true
  }

  // A file that was only brought up is none that changed, as in a list of differences (diff.ts).
  #markOf(before: Entry | null, now: Entry | null, over: RelPath | null): Mark | null {
    const mark = markOf(before, now, () => this.#lower.look(over))
    const entry = before ?? now
    if (mark !== 'M' || over === null || entry === null || (before !== null && now !== null))
      return mark
    const lower = this.#entryBelow(over)
    if (lower === null || !mayBeSame(lower, entry)) return mark
    if (entry.kind === 'file' && (entry.content ?? '') !== this.#contentBelow(over)) return mark
    return sameAttributes(lower, entry) ? null : 'attr'
  }

  #contentBelow(path: RelPath): string {
    const file = this.#belowTree().open(path)
    try {
      return contentId(file)
    } finally {
      file.close()
    }
  }

  #goneBelow(path: RelPath | null): void {
    const entry = path === null ? null : this.#entryBelow(path)
    if (entry !== null) this.#renames.gone({ entry, ino: 0, below: true })
  }

  #entryBelow(path: RelPath): Entry | null {
    return this.#belowTree().look(path)?.entry ?? null
  }

  #belowTree(): Below {
    this.#below ??= new Below(this.#job.ro[0]!, this.#job.index ?? null)
    return this.#below
  }

  #stampOf({ entry, stamp }: ImageEntry): Stamp | null {
    if (entry.kind !== 'file' || stamp === null) return null
    return stamp.ctime * 1000 + stamp.ctimeNsec / 1e6 < this.#settled ? stamp : null
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

const accessOf = ({ atime, atimeNsec }: Entry) => ({ atime, atimeNsec })
