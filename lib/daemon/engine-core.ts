// The engine itself: the views and sessions of all mounts of one store, in one thread.
//
//   call ─▶ EngineCore ─▶ View (lib/union)  ◀─▶ MountLink (link-direct.ts, link-native.ts) ◀─▶ kernel
//                └─▶ KernelCalls: sync of a mount, never from this thread
//
// Rule: a call's effect on what programs see is one step of this thread; the call is answered
// when the kernel has been told. Calls that wait go on in callbacks, and what follows a change of
// stacks goes on in small steps, so requests are served meanwhile.

import { ERRNO, errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import type { Log } from '../base/log.ts'
import { isWithin, joinPath, type RelPath, relPath, shown } from '../base/path.ts'
import type { Notification } from '../fuse/filesystem.ts'
import type { Jobs } from '../fuse/io.ts'
import type { KernelCalls } from '../fuse/kernel-calls.ts'
import { Tally } from '../fuse/tally.ts'
import type { Stat } from '../host/stat.ts'
import { S } from '../host/sys.ts'
import { isWhiteout } from '../layer/marks.ts'
import {
  applyRedo,
  canRewrite,
  type RedoPlan,
  replacedPaths,
  touchedPaths,
} from '../snapshot/redo.ts'
import { noteStamps } from '../snapshot/restamped.ts'
import type { Branch } from '../union/branch.ts'
import { backingOf } from '../union/files.ts'
import { Journal } from '../union/journal.ts'
import { pathIn } from '../union/node.ts'
import { notePassed, preservePassed } from '../union/passing.ts'
import { Pool } from '../union/pool.ts'
import { prepareRestack, type Restacking, replaced } from '../union/restack.ts'
import { resume, Settler, unsettledAt, viewOfLayer } from '../union/settler.ts'
import type { LayerSpec, StackSpec } from '../union/spec.ts'
import { View } from '../union/view.ts'
import type {
  DataPath,
  EngineCalls,
  EngineEvent,
  FreezeSpec,
  Frozen,
  MountSpec,
  Resume,
} from './engine-api.ts'
import { Freezes, type Preserving, preserveRedo } from './freezes.ts'
import type { Connect, MountLink } from './link.ts'

interface Mounted {
  readonly spec: MountSpec
  stack: StackSpec
  readonly view: View
  link: MountLink | null
  /** Set once we took it away: it goes on for who still uses it. */
  detached: boolean
  /** How many steps the kernel is still being told of. */
  untold: number
}

/** What one mount is told at once, and who waits for that. */
interface Batch {
  readonly told: Notification[]
  readonly done: (() => void)[]
}

/** What a freeze that is no state asks of the journal. */
const UNNAMED = { position: 0, changed: null }

/** Milliseconds for which pages are taken at most before an image begins. */
const LONGEST_TAKING = 2000
/** Milliseconds that requests may wait for a step of what follows a change of the stack. */
const STEP = 1
/** Steps of one mount that the kernel is told of at a time: others' notices stand behind them. */
const MOST_UNTOLD = 8

type Answer<T> = (outcome: { value: T } | { error: Error }) => void

export class EngineCore {
  readonly #log: Log
  readonly #kernel: KernelCalls
  readonly #connect: Connect
  readonly #emit: (event: EngineEvent) => void
  readonly #later: (act: () => void) => void
  #comesLater = false
  readonly #mounts = new Map<number, Mounted>()
  readonly #peers = new Set<View>()
  readonly #kept: Freezes
  readonly #pools = new Map<boolean, Pool>()
  readonly #settler: Settler
  /** Collects notifications while one step changes many names. */
  #batch: Map<Mounted, Batch> | null = null

  constructor(options: {
    log: Log
    kernel: KernelCalls
    connect: Connect
    emit: (event: EngineEvent) => void
    /** Runs something when requests that wait were served. */
    later: (act: () => void) => void
    /** Gives jobs to the io threads. */
    submit: Jobs['submit']
  }) {
    this.#settler = new Settler({ submit: options.submit, log: options.log })
    this.#kept = new Freezes((id, reason) => options.emit({ kind: 'freeze-failed', id, reason }))
    this.#log = options.log
    this.#kernel = options.kernel
    this.#connect = options.connect
    this.#emit = options.emit
    this.#later = options.later
  }

  /** Carries out one call; `answer` is called once, now or later. Never throws. */
  call(name: keyof EngineCalls, args: unknown[], answer: Answer<unknown>): void {
    try {
      const run = this.#calls[name] as (answer: Answer<unknown>, ...args: unknown[]) => void
      run(answer, ...args)
    } catch (err) {
      answer({ error: err instanceof Error ? err : new Error(String(err)) })
    }
  }

  readonly #calls: {
    [Name in keyof EngineCalls]: (
      answer: Answer<ReturnType<EngineCalls[Name]>>,
      ...args: Parameters<EngineCalls[Name]>
    ) => void
  } = {
    mount: (answer, spec) => this.#mount(spec, answer),
    umount: (answer, id, lazy) => this.#umount(this.#mounted(id), lazy, answer),
    restack: (answer, changes) => this.#restack(changes, answer),
    freeze: (answer, layer, area, since, spec) =>
      this.#freeze(layer, area, since, spec ?? null, answer),
    recall: (answer, specs) => answer({ value: specs.map((spec) => this.#kept.recall(spec)) }),
    freezes: (answer) => answer({ value: this.#kept.sizes() }),
    thaw: (answer, freeze) => {
      const orphans = this.#kept.thaw(freeze)
      for (const fd of orphans) this.#kernel.call({ kind: 'close', fd }, () => {})
      answer({ value: undefined })
    },
    settle: (answer, layer, paths) => this.#settle(layer, paths, answer),
    openFiles: (answer, layer) => {
      const branch = this.#writable(layer)
      answer({ value: [...openInodes(this.#peers, branch)] })
    },
    applyRedo: (answer, layer, plan, area, resume) =>
      this.#applyRedo({ layer, plan, area, resume }, answer),
    which: (answer, id, path) => answer({ value: which(this.#mounted(id).view, relPath(path)) }),
    uses: (answer, keep) =>
      answer({ value: [...this.#mounts.values()].map((mounted) => usesOf(mounted, keep)) }),
    stats: (answer, id) => {
      const { view, link } = this.#mounted(id)
      const memory = process.memoryUsage.rss()
      answer({ value: { ...view.counts, requests: link?.requests ?? 0, memory } })
    },
  }

  #mounted(id: number): Mounted {
    return this.#mounts.get(id) ?? raise(new Failure('SVS_INTERNAL', `no mount ${id}`))
  }

  #pool(privileged: boolean): Pool {
    const pool =
      this.#pools.get(privileged) ??
      new Pool(privileged, this.#settler, (branch) => this.#kept.attach(branch))
    this.#pools.set(privileged, pool)
    return pool
  }

  // The view's directories are opened before the mount hides any.
  #open(spec: MountSpec): Mounted {
    this.#refuseOwnTrees(spec)
    const view = new View({
      pool: this.#pool(spec.view.privileged),
      peers: this.#peers,
      stack: spec.stack,
      view: spec.view,
      announce: (batch, done) => this.#announce(mounted, batch, done),
      log: this.#log,
    })
    const mounted: Mounted = {
      spec,
      stack: spec.stack,
      view,
      link: null,
      detached: false,
      untold: 0,
    }
    view.behind.onWork = () => this.#goOnLater()
    return mounted
  }

  // Opening a directory inside a mount that this thread serves would wait for itself.
  #refuseOwnTrees({ stack }: MountSpec): void {
    const paths = [
      ...stack.layers.flatMap(({ rw, ro }) => [
        ...(rw === null ? [] : [rw]),
        ...ro.map((one) => one.path),
      ]),
      ...(stack.base === null ? [] : [stack.base.path]),
    ]
    for (const path of paths) {
      for (const { spec } of this.#mounts.values()) {
        if (!isWithin(path, spec.mountPoint)) continue
        throw new Failure('SVS_TREE_INSIDE_MOUNT', shown(path), shown(spec.mountPoint))
      }
    }
  }

  #mount(spec: MountSpec, answer: Answer<DataPath>): void {
    const { id } = spec
    const mounted = this.#open(spec)
    const { settleRate } = spec.view
    if (settleRate !== undefined) this.#settler.rate = settleRate
    this.#mounts.set(id, mounted)
    mounted.link = this.#connect(spec, mounted.view, {
      ready: (dataPath) => {
        resume(mounted.view)
        answer({ value: dataPath })
      },
      failed: (error) => {
        this.#mounts.delete(id)
        answer({ error })
      },
      ended: (reason) => {
        this.#mounts.delete(id)
        this.#emit({ kind: 'unmounted', id, reason })
      },
      trace: (line) => this.#emit({ kind: 'trace', id, line }),
    })
  }

  #umount(mounted: Mounted, lazy: boolean, answer: Answer<void>): void {
    mounted.link?.umount(lazy, (error) => {
      mounted.detached = error === null
      answer(error === null ? { value: undefined } : { error })
    })
  }

  #restack(changes: { id: number; stack: StackSpec }[], answer: Answer<void>): void {
    const known = changes.filter(({ id }) => this.#mounts.has(id))
    const prepared = this.#prepare(known)
    let waits = prepared.length
    if (waits === 0) answer({ value: undefined })
    for (const { mounted, stack, restacking } of prepared) {
      mounted.stack = stack
      restacking.apply(() => {
        resume(mounted.view)
        this.#announce(mounted, [], () => {
          waits -= 1
          if (waits === 0) answer({ value: undefined })
        })
      })
    }
    this.#goOn()
  }

  // What views still have to do, a little of each: topmost names of all mounts come first.
  #goOn(): void {
    for (const mounted of this.#mounts.values()) {
      const { behind } = mounted.view
      if (!behind.some || mounted.untold >= MOST_UNTOLD) continue
      mounted.untold += 1
      const told = () => {
        mounted.untold -= 1
        if (behind.some) this.#goOnLater()
      }
      const step = () => {
        this.#announce(mounted, [], told)
        behind.step(performance.now() + STEP)
      }
      this.#inOneStep(step, (outcome) => {
        if ('error' in outcome) this.#log.error('following a new stack', outcome.error)
      })
      if (behind.some) this.#goOnLater()
    }
  }

  #goOnLater(): void {
    if (this.#comesLater) return
    this.#comesLater = true
    this.#later(() => {
      this.#comesLater = false
      this.#goOn()
    })
  }

  // All that may fail: where one mount's cannot be opened, none changes.
  #prepare(changes: readonly { id: number; stack: StackSpec }[]) {
    const prepared: { mounted: Mounted; stack: StackSpec; restacking: Restacking }[] = []
    try {
      for (const { id, stack } of changes) {
        const mounted = this.#mounted(id)
        prepared.push({ mounted, stack, restacking: prepareRestack(mounted.view, stack) })
      }
      return prepared
    } catch (err) {
      for (const { restacking } of prepared) restacking.cancel()
      throw err
    }
  }

  /**
   * Runs `act`; what it announces, also before it fails, is told in order, and `answer` comes
   * when all is told.
   */
  #inOneStep<T>(act: () => T, answer: Answer<T>): void {
    const batch = new Map<Mounted, Batch>()
    const outer = this.#batch
    this.#batch = batch
    let outcome: Parameters<Answer<T>>[0]
    try {
      outcome = { value: act() }
    } catch (err) {
      outcome = { error: err instanceof Error ? err : new Error(String(err)) }
    }
    this.#batch = outer
    this.#tell(batch, () => answer(outcome))
  }

  #tell(batch: ReadonlyMap<Mounted, Batch>, done: () => void): void {
    let waits = batch.size
    if (waits === 0) done()
    for (const [mounted, { told, done: each }] of batch) {
      this.#notify(mounted, told, () => {
        for (const one of each) one()
        waits -= 1
        if (waits === 0) done()
      })
    }
  }

  #announce(mounted: Mounted, told: readonly Notification[], done: () => void): void {
    if (this.#batch === null) {
      this.#notify(mounted, told, done)
      return
    }
    const batch = this.#batch.get(mounted) ?? { told: [], done: [] }
    this.#batch.set(mounted, batch)
    batch.told.push(...told)
    batch.done.push(done)
  }

  #notify(mounted: Mounted, batch: readonly Notification[], done: () => void): void {
    if (mounted.link === null) {
      done()
      return
    }
    mounted.link.tell(batch, (error) => {
      if (error !== null) this.#log.warn('the kernel refused a notification', error)
      done()
    })
  }

  #showing(layer: string): Mounted[] {
    return [...this.#mounts.values()].filter(({ stack }) =>
      stack.layers.some(({ id }) => id === layer),
    )
  }

  // The pages that programs wrote before the instant are taken first: syncfs(2) sends them all, and
  // since Linux 6.18 does not wait until they are answered.
  #freeze(
    layer: string,
    area: string,
    since: number | null,
    spec: FreezeSpec | null,
    answer: Answer<Frozen>,
  ): void {
    const showing = this.#showing(layer)
    let waits = showing.length
    const start = () => {
      const branch = this.#pool(this.#privileged(showing)).writable(layer)
      if (branch === null && spec === null)
        throw new Failure('SVS_INTERNAL', `layer ${layer} is not mounted`)
      const freeze = this.#kept.begin(branch, area, spec)
      if (branch !== null) preservePassed(this.#peers, branch, freeze)
      const journal = branch === null || spec !== null ? UNNAMED : this.#cutJournal(branch, since)
      answer({ value: { freeze: freeze.id, at: Date.now(), journal } })
    }
    if (waits === 0) start()
    for (const { spec: mount } of showing) {
      const { mountPoint } = mount
      this.#kernel.call({ kind: 'sync', mountPoint }, (outcome) => {
        if ('error' in outcome) this.#log.warn(`sync of ${shown(mountPoint)}`, outcome.error)
        waits -= 1
        if (waits === 0) this.#whenTaken(showing, performance.now() + LONGEST_TAKING, start, answer)
      })
    }
  }

  // Whoever writes on and on, or waits for a copy, does not keep an image from beginning.
  #whenTaken(
    showing: readonly Mounted[],
    until: number,
    start: () => void,
    answer: Answer<Frozen>,
  ): void {
    if (performance.now() < until && showing.some(({ link }) => link?.hasRequests === true)) {
      this.#later(() => this.#whenTaken(showing, until, start, answer))
      return
    }
    try {
      start()
    } catch (err) {
      answer({ error: err as Error })
    }
  }

  #cutJournal(branch: Branch, since: number | null): Frozen['journal'] {
    branch.journal ??= new Journal(branch)
    const { journal } = branch
    const position = journal.cut()
    notePassed(this.#peers, branch, journal)
    return { position, changed: since === null ? null : journal.since(since) }
  }

  #settle(
    layer: string,
    paths: readonly string[],
    answer: Answer<{ path: string; errno: number }[]>,
  ): void {
    const showing = this.#showing(layer)
    const spec = showing[0]?.stack.layers.find(({ id }) => id === layer)
    if (spec === undefined) throw new Failure('SVS_INTERNAL', `layer ${layer} is not mounted`)
    const failed: { path: string; errno: number }[] = []
    let waits = paths.length + 1
    const one = (path: string, errno: number) => {
      if (errno !== 0) failed.push({ path, errno })
      waits -= 1
      if (waits === 0) answer({ value: failed })
    }
    // In the mounts another layer may hide some of them.
    const view = viewOfLayer(this.#pool(this.#privileged(showing)), spec, this.#log)
    try {
      for (const path of paths) this.#settleOne(view, relPath(path), (errno) => one(path, errno))
    } finally {
      view.destroy()
    }
    one('', 0)
  }

  #settleOne(view: View, path: RelPath, done: (errno: number) => void): void {
    try {
      const blocks = unsettledAt(view, path)
      if (blocks === null) done(0)
      else this.#settler.now(blocks, done)
    } catch (err) {
      done(errnoOf(err) ?? ERRNO.EIO)
    }
  }

  #privileged(mounts: readonly Mounted[]): boolean {
    return mounts[0]?.spec.view.privileged ?? process.geteuid?.() === 0
  }

  #writable(layer: string): Branch {
    const branch = this.#pool(this.#privileged(this.#showing(layer))).writable(layer)
    if (branch === null) throw new Failure('SVS_INTERNAL', `layer ${layer} has nothing to write to`)
    return branch
  }

  #applyRedo({ layer, plan, area, resume }: Redoing, answer: Answer<boolean>): void {
    const showing = this.#showing(layer)
    const dirs = showing[0]?.stack.layers.find(({ id }) => id === layer)
    if (dirs === undefined) throw new Failure('SVS_INTERNAL', `layer ${layer} is not mounted`)
    const branch = this.#writable(layer)
    const own = dirsOf(dirs)
    const open = () => openInodes(this.#peers, branch)
    if (!canRewrite(own, plan, area, (ino) => open().has(ino))) {
      answer({ value: false })
      return
    }
    const { journal } = branch
    const told = journal === null || resume === null ? [] : [notedBy(journal)]
    this.#inOneStep(() => {
      let done = false
      try {
        preserveRedo([...this.#kept.lasting(branch), ...told], branch.root, own.work, plan)
        applyRedo(own, plan)
        done = true
        noteStamps(own, plan)
      } finally {
        // What was done before a step failed shows, too.
        branch.layer.refresh()
        if (done && resume !== null) journal?.resume(resume.position, resume.since, resume.names)
        else journal?.lost()
        const [paths, touched] = [replacedPaths(plan), touchedPaths(plan)]
        for (const { view } of showing) replaced(view, branch, paths, touched)
      }
      return true
    }, answer)
  }

  /** Detaches every mount, for the end of the process. Answers when the kernel has done it. */
  stop(answer: () => void): void {
    const all = [...this.#mounts.values()].filter(({ detached }) => !detached)
    let waits = all.length
    if (waits === 0) answer()
    for (const mounted of all) {
      this.#umount(mounted, true, () => {
        waits -= 1
        if (waits === 0) answer()
      })
    }
  }
}

interface Redoing {
  readonly layer: string
  readonly plan: RedoPlan
  readonly area: string | null
  readonly resume: Resume | null
}

/** What a plan changes is named as what programs change is. */
const notedBy = (journal: Journal): Preserving => ({
  preserve: (change, dir, name) => journal.note(change, dir, name, null),
})

/** Inodes of a branch's files that any view has open. */
function openInodes(views: Iterable<View>, branch: Branch): Set<number> {
  const found = new Set<number>()
  for (const { opened } of views)
    for (const { branch: own, open } of opened)
      if (own === branch && open !== null) found.add(backingOf(open))
  return found
}

function dirsOf({ rw, work, numbers }: LayerSpec) {
  if (rw === null || work === null) throw new Failure('SVS_INTERNAL', 'no writable sublayer')
  return { rw, work, numbers }
}

function raise(err: Error): never {
  throw err
}

function usesOf({ spec: { id }, link }: Mounted, keep: number) {
  if (link?.tally === undefined) return { id, since: null, processes: [] }
  const until = performance.now() + keep
  if (link.tally === null || link.tally.over) link.tally = new Tally(until)
  const tally = link.tally ?? new Tally(until)
  tally.until = Math.max(tally.until, until)
  return { id, since: tally.since, processes: tally.list() }
}

/** Everything that has an entry at a path, top first: what provides it, then what that hides. */
function which(view: View, path: RelPath): ReturnType<EngineCalls['which']> {
  const rows: ReturnType<EngineCalls['which']> = []
  const at = path.lastIndexOf('/')
  const name = path.slice(at + 1)
  const dir = view.resolve(path.slice(0, Math.max(at, 0)) as RelPath)
  if (dir === null || !dir.isDirectory) return rows
  for (const place of dir.places) {
    const { branch } = place
    const inside = pathIn(dir, place)
    if (path !== '' && !branch.peek(inside, name, view.stat)) continue
    const { layer } = branch
    const part = layer.isBase
      ? 'base'
      : layer.owner !== null
        ? 'scratch'
        : branch.writable
          ? 'rw'
          : 'ro'
    const kind = path === '' ? 'directory' : kindOf(view.stat, branch)
    rows.push({ layer: layer.name, part, path: path === '' ? '' : joinPath(inside, name), kind })
  }
  return rows
}

const KINDS: Readonly<Record<number, string>> = {
  [S.IFREG]: 'file',
  [S.IFDIR]: 'directory',
  [S.IFLNK]: 'symlink',
  [S.IFIFO]: 'fifo',
  [S.IFSOCK]: 'socket',
  [S.IFBLK]: 'block device',
  [S.IFCHR]: 'character device',
}

const kindOf = (stat: Stat, branch: Branch): string =>
  branch.prefix !== null && isWhiteout(stat) ? 'whiteout' : (KINDS[stat.mode & S.IFMT] ?? 'other')
