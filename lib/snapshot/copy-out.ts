// What a state shows, as ordinary files in a directory outside of the layer: owners, modes, times,
// attributes, hard links, holes, and no marks.
//
//   paths ─▶ ShownTree ─▶ into/.svsfs-<id>/0, 1, … ─▶ into/<name> (flushed)
//   whole ─▶      …                          0/*   ─▶ into/*
//
// Rule: nothing that is in the directory is touched, and nothing appears there before it is whole;
// contents are checked before that. What this user may not make (devices) is left out, and named.

import { ERRNO, errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { baseName, type RelPath, shown } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, must, O, RENAME_NOREPLACE, S, sys } from '../host/sys.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { setAttributes } from './attributes.ts'
import { Below, type BelowIndex } from './below.ts'
import { attributesOf, bytesBelow, makeEntry, namedDamage } from './builder.ts'
import type { DepotReader } from './depot.ts'
import type { Report } from './jobs.ts'
import { mustShow } from './parts.ts'
import type { Entry, Piece } from './records.ts'
import { type Shown, ShownTree } from './shown-tree.ts'
import type { Sources } from './sources.ts'
import { StateList } from './state-list.ts'

export interface CopyOutJob {
  readonly prefix: MarkPrefix
  readonly pieces: readonly Piece[]
  readonly state: string
  /** Read-only tree that the state was made on, its index, and its digest. */
  readonly ro: readonly string[]
  readonly index: BelowIndex | null
  readonly scope: string
  /** '' alone for all of it: then what lies in the root goes into the directory. */
  readonly paths: readonly RelPath[]
  /** An existing directory. */
  readonly into: string
  /** It was made for this: then it becomes the root, where all is meant. */
  readonly fresh: boolean
  /** Part of the name of what is being made. */
  readonly id: string
}

export interface CopiedOut {
  readonly entries: number
  readonly bytes: number
  /** What could not be made here. */
  readonly left: readonly RelPath[]
}

export async function copyOut(
  job: CopyOutJob,
  depot: DepotReader,
  report: Report,
): Promise<CopiedOut> {
  const below = new Below(job.ro[0]!, job.index)
  const into = must(sys.openat(AT_FDCWD, job.into, O.RDONLY | O.DIRECTORY), shown(job.into))
  const stage = `.svsfs-${job.id}`
  try {
    const tree = new ShownTree(new StateList(depot, job.pieces), below)
    await mustShow(tree, job.paths, job.state)
    const names = await namesOf(tree, job.paths)
    mustBeFree(into, names, job)
    must(sys.mkdirat(into, stage, 0o700), shown(job.into))
    const run = new CopyOut(job, tree, depot, report)
    const made = must(sys.openat(into, stage, O.RDONLY | O.DIRECTORY), shown(job.into))
    try {
      await run.make(made)
      must(sys.syncfs(made), 'syncfs')
      publish(made, into, names, job)
    } finally {
      sys.close(made)
      removeTree(AT_FDCWD, `${job.into}/${stage}`)
    }
    if (job.fresh && isWhole(job.paths)) {
      const { entry } = await tree.root()
      setAttributes(into, S.IFDIR, attributesOf(plain(entry), job.prefix))
    }
    must(sys.syncfs(into), 'syncfs')
    return run.result
  } catch (err) {
    throw namedDamage(err, job.state, 'its list')
  } finally {
    sys.close(into)
    below.close()
  }
}

const isWhole = (paths: readonly RelPath[]): boolean => paths.length === 1 && paths[0] === ''

/** The names that the directory gets. */
async function namesOf(tree: ShownTree, paths: readonly RelPath[]): Promise<string[]> {
  if (!isWhole(paths)) return paths.map(baseName)
  const all = await tree.children(await tree.root())
  return all.map(({ entry }) => baseName(entry.path))
}

function mustBeFree(into: number, names: readonly string[], { into: dir }: CopyOutJob): void {
  const there = new Set(listDirectory(into).map(({ name }) => name))
  for (const name of names) {
    if (there.has(name)) throw new Failure('SVS_PATH_EXISTS', shown(`${dir}/${name}`))
    there.add(name)
  }
}

function publish(made: number, into: number, names: readonly string[], job: CopyOutJob): void {
  const from = isWhole(job.paths) ? must(sys.openat(made, '0', O.PATH | O.DIRECTORY)) : made
  try {
    for (const [at, name] of names.entries()) {
      const staged = from === made ? String(at) : name
      const done = sys.renameat(from, staged, into, name, RENAME_NOREPLACE)
      if (done === -ERRNO.ENOENT) continue
      if (done === -ERRNO.EEXIST) throw new Failure('SVS_PATH_EXISTS', shown(`${job.into}/${name}`))
      must(done, shown(name))
    }
  } finally {
    if (from !== made) sys.close(from)
  }
}

const privileged = process.geteuid?.() === 0

class CopyOut {
  readonly #job: CopyOutJob
  readonly #tree: ShownTree
  readonly #sources: Sources
  readonly #report: Report
  /** Where the first name of a file with several was made. */
  readonly #firsts = new Map<string, string>()
  readonly #left: RelPath[] = []
  #entries = 0
  #bytes = 0

  constructor(job: CopyOutJob, tree: ShownTree, depot: DepotReader, report: Report) {
    this.#job = job
    this.#tree = tree
    this.#sources = { depot, scope: job.scope, ro: job.ro, temporary: job.into }
    this.#report = report
  }

  get result(): CopiedOut {
    return { entries: this.#entries, bytes: this.#bytes, left: this.#left }
  }

  async make(dir: number): Promise<void> {
    for (const [at, path] of this.#job.paths.entries())
      await this.#make((await this.#tree.look(path))!, dir, dir, String(at), String(at))
  }

  /** `way` is the place of `name` from the stage's root on. */
  async #make(one: Shown, root: number, dir: number, name: string, way: string): Promise<void> {
    const first = one.links === null ? undefined : this.#firsts.get(one.links)
    if (first !== undefined) must(linkFrom(root, first, dir, name), shown(one.entry.path))
    else if (!(await this.#makeOne(one, dir, name))) return
    else if (one.links !== null) this.#firsts.set(one.links, way)
    this.#entries += 1
    this.#bytes += first === undefined ? (one.entry.size ?? 0) : 0
    this.#report({ entries: this.#entries, bytes: this.#bytes })
    if (one.entry.kind === 'dir') await this.#fill(one, root, dir, name, way)
  }

  // Attributes last: they may forbid its owner to write into it, and its times are the state's.
  async #fill(one: Shown, root: number, dir: number, name: string, way: string): Promise<void> {
    const fd = must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), shown(way))
    try {
      must(sys.chmodFd(fd, 0o700), shown(way))
      for (const child of await this.#tree.children(one)) {
        const inside = baseName(child.entry.path)
        await this.#make(child, root, fd, inside, `${way}/${inside}`)
      }
      setAttributes(fd, S.IFDIR, attributesOf(plain(one.entry), this.#job.prefix))
    } finally {
      sys.close(fd)
    }
  }

  async #makeOne({ entry, bytes }: Shown, dir: number, name: string): Promise<boolean> {
    const { prefix, state } = this.#job
    const below = bytes.at === 'below' ? bytesBelow(this.#sources, bytes.path, entry) : undefined
    try {
      await makeEntry(this.#sources, prefix, state, dir, name, plain(entry), below)
      return true
    } catch (err) {
      const isDevice = entry.kind === 'char' || entry.kind === 'block'
      if (privileged || !isDevice || errnoOf(err) !== ERRNO.EPERM) throw err
      this.#left.push(entry.path)
      return false
    }
  }
}

// A user who may not give a file its owner gives nobody that owner's rights either.
function plain(entry: Entry): Entry {
  const own = entry.uid === process.geteuid?.() && entry.gid === process.getegid?.()
  return privileged || own || entry.kind === 'dir' ? entry : { ...entry, mode: entry.mode & 0o1777 }
}

// Name by name: the way may be longer than the kernel takes at once.
function linkFrom(root: number, way: string, dir: number, name: string): number {
  const names = way.split('/')
  const last = names.pop()!
  let from = root
  for (const each of names) {
    const next = must(sys.openat(from, each, O.PATH | O.DIRECTORY | O.NOFOLLOW), shown(way))
    if (from !== root) sys.close(from)
    from = next
  }
  const done = sys.linkat(from, last, dir, name)
  if (from !== root) sys.close(from)
  return done
}
