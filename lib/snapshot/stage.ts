// Getting a state ready on the disk: as a stage that a redo plan puts in place, or as a
// whole new writable sublayer.
//
//   stage   plan ─▶ work/restore-<id>/s0, s1, … (flushed) ─▶ RedoPlan
//   build   pieces ─▶ an empty directory, and its log of numbers
//
// Rule: everything is on the disk, content checked, before the plan is returned; what a failed stage
// leaves in `work` is removed at once, and in any case when the store is opened.

import { baseName, isWithin, parentPath, type RelPath, shown } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { setAttributes } from './attributes.ts'
import { attributesOf, bytesBelow, makeEntry, namedDamage } from './builder.ts'
import { Damage, type DepotReader } from './depot.ts'
import type { Report } from './jobs.ts'
import { appendNumbers, type NumberRecord } from './numbers.ts'
import { type Fix, type PlanJob, type PlannedSteps, plan, type RestorePlan } from './plan.ts'
import type { Entry, Piece, RedoPlan, RedoStep } from './records.ts'
import { stageName } from './redo.ts'
import type { Sources } from './sources.ts'
import { type Busy, LargeFiles } from './stage-large.ts'
import { readTree } from './tree.ts'

/** Where contents of a state come from. */
interface Origin {
  /** The state's id, for messages and as what the plan leads to. */
  readonly state: string
  /** Read-only trees that the state was made on, top first, and their digest. */
  readonly ro: readonly string[]
  readonly scope: string
}

export interface StageJob extends PlanJob, Origin {
  readonly id: string
  readonly layer: string
  /** The state that the layer comes from afterwards. */
  readonly becomes: string
  /** Number of the writable sublayer. */
  readonly rw: number
  readonly work: string
  /** Number of the read-only part that the state was made on. */
  readonly version: number
  /** What programs have open. */
  readonly busy: Busy
}

export interface Staged {
  readonly plan: RestorePlan
  readonly redo: RedoPlan
  /** As Planned has it. */
  readonly differing: readonly RelPath[] | null
}

export async function stage(job: StageJob, depot: DepotReader, report: Report): Promise<Staged> {
  try {
    const planned = await plan(job, depot, report)
    const place = `${job.work}/${stageName(job)}`
    must(sys.mkdirat(AT_FDCWD, place, 0o700), shown(place))
    try {
      const steps = await stageSteps(job, planned.steps, depot, place, report)
      const { id, layer, becomes, rw } = job
      const redo = { id, layer, state: becomes, rw, steps }
      return { plan: planned.plan, redo, differing: planned.differing ?? null }
    } catch (err) {
      removeTree(AT_FDCWD, place)
      throw err
    }
  } catch (err) {
    throw namedDamage(err, job.state, 'its list')
  }
}

async function stageSteps(
  job: StageJob,
  planned: PlannedSteps,
  depot: DepotReader,
  place: string,
  report: Report,
): Promise<RedoStep[]> {
  const dir = must(sys.openat(AT_FDCWD, place, O.RDONLY | O.DIRECTORY), shown(place))
  const sources: Sources = { depot, scope: job.scope, ro: job.ro, temporary: job.work }
  const large = new LargeFiles(job, sources, dir)
  const steps: RedoStep[] = planned.removes.map((path, at) => ({
    op: 'remove',
    path,
    trash: `t${at}`,
  }))
  const fixes: Fix[] = []
  try {
    const made = new Map<RelPath, { staged: string; ino: number }>()
    let bytes = 0
    for (const [at, entry] of planned.places.entries()) {
      const staged = `s${at}`
      report({ entries: at, bytes: (bytes += entry.size ?? 0) })
      const replaced = planned.replaced?.get(entry.path)
      const done = replaced && (await large.stage(entry, replaced, staged))
      if (done) {
        steps.push(done.step)
        if (done.fix !== null) fixes.push(done.fix)
        continue
      }
      const first = entry.link === undefined ? undefined : made.get(entry.link)
      if (first !== undefined) must(sys.linkat(dir, first.staged, dir, staged), 'link')
      const below = planned.copied.get(entry.path)
      const fill = below === undefined ? undefined : bytesBelow(sources, below, entry)
      const ino =
        first?.ino ?? (await makeEntry(sources, job.prefix, job.state, dir, staged, entry, fill))
      made.set(entry.path, { staged, ino })
      steps.push({ op: 'place', path: entry.path, staged, ino, number: entry.number })
    }
    for (const fix of [...fixes, ...planned.fixes]) steps.push(attributesStep(fix, job.prefix))
    must(sys.syncfs(dir), 'syncfs')
    return steps
  } finally {
    sys.close(dir)
  }
}

function attributesStep(
  { entry, removeXattrs, renumber, shallow }: Fix,
  prefix: MarkPrefix,
): RedoStep {
  const wanted = attributesOf(entry, prefix, removeXattrs)
  return {
    op: 'attrs',
    path: entry.path,
    ...wanted,
    setXattrs: { ...wanted.setXattrs },
    removeXattrs: [...removeXattrs],
    ino: renumber,
    number: renumber === 0 ? 0 : entry.number,
    ...(shallow === true ? { shallow } : {}),
  }
}

export interface BuildJob extends Origin {
  readonly prefix: MarkPrefix
  readonly pieces: readonly Piece[]
  /** An empty directory. */
  readonly into: string
  /** Its log of inode numbers, which is made. */
  readonly numbers: string | null
}

interface OpenDir {
  readonly fd: number
  readonly entry: Entry
}

/** Makes a whole state in an empty directory. Returns how many entries it has. */
export async function build(job: BuildJob, depot: DepotReader, report: Report): Promise<number> {
  const root = must(sys.openat(AT_FDCWD, job.into, O.RDONLY | O.DIRECTORY), shown(job.into))
  const run = new Build(job, depot, root)
  try {
    for await (const { entry } of readTree(depot, job.pieces))
      report({ entries: await run.add(entry), bytes: 0 })
    return run.end()
  } catch (err) {
    throw namedDamage(err, job.state, 'its list')
  } finally {
    run.close()
    sys.close(root)
  }
}

class Build {
  readonly #job: BuildJob
  readonly #sources: Sources
  readonly #root: number
  readonly #numbers: NumberRecord[] = []
  readonly #dirs: OpenDir[] = []
  readonly #stat = new Stat()
  #count = 0

  constructor(job: BuildJob, depot: DepotReader, root: number) {
    this.#job = job
    const temporary = parentPath(job.into as RelPath) || '/'
    this.#sources = { depot, scope: job.scope, ro: job.ro, temporary }
    this.#root = root
  }

  async add(entry: Entry): Promise<number> {
    while (this.#dirs.length > 0 && !isWithin(entry.path, this.#dirs.at(-1)!.entry.path))
      this.#leave()
    const ino = await this.#make(entry)
    if (entry.number > 0 && entry.link === undefined)
      this.#numbers.push({ ino, number: entry.number })
    return (this.#count += 1)
  }

  end(): number {
    while (this.#dirs.length > 0) this.#leave()
    if (this.#job.numbers !== null) appendNumbers(this.#job.numbers, this.#numbers)
    must(sys.syncfs(this.#root), 'syncfs')
    return this.#count
  }

  close(): void {
    for (const { fd } of this.#dirs.splice(0)) sys.close(fd)
  }

  async #make(entry: Entry): Promise<number> {
    if (entry.path === '') return this.#enter(this.#root, '.', entry)
    const above = this.#dirs.at(-1)
    if (above !== undefined && above.entry.path !== parentPath(entry.path))
      throw new Damage(`${shown(entry.path)} lies in no directory`)
    const dir = above?.fd ?? this.#root
    const name = baseName(entry.path)
    if (entry.link !== undefined) {
      const from = this.#openParent(entry.link)
      const done = sys.linkat(from, baseName(entry.link), dir, name)
      sys.close(from)
      must(done, shown(entry.path))
      return 0
    }
    const { prefix, state } = this.#job
    const ino = await makeEntry(this.#sources, prefix, state, dir, name, entry)
    return entry.kind === 'dir' ? this.#enter(dir, name, entry) : ino
  }

  #enter(dir: number, name: string, entry: Entry): number {
    const flags = O.PATH | O.DIRECTORY | O.NOFOLLOW
    const fd = must(sys.openat(dir, name, flags), shown(entry.path))
    this.#dirs.push({ fd, entry })
    must(sys.stat(fd, '', this.#stat), shown(entry.path))
    // Writable for its owner until all that lies in it is there.
    must(sys.chmodFd(fd, 0o700), shown(entry.path))
    return this.#stat.ino
  }

  #leave(): void {
    const { fd, entry } = this.#dirs.pop()!
    try {
      setAttributes(fd, S.IFDIR, attributesOf(entry, this.#job.prefix))
    } finally {
      sys.close(fd)
    }
  }

  #openParent(path: RelPath): number {
    let fd = must(sys.openat(this.#root, '.', O.PATH | O.DIRECTORY), 'root')
    for (const name of parentPath(path).split('/')) {
      if (name === '') continue
      const next = sys.openat(fd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
      sys.close(fd)
      fd = must(next, shown(path))
    }
    return fd
  }
}
