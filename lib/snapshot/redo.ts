// Applying a restore: steps that turn the current writable sublayer into a state. What they
// put in place lies ready in `work/restore-<id>/`.
//
//   numbers  all inode numbers of what will be placed go to the log first
//   remove   rw/path ─▶ work/restore-<id>/<trash>    done where <trash> exists, or path does not
//   place    work/restore-<id>/<staged> ─▶ rw/path   done where <staged> does not exist
//   rewrite  runs of bytes ─▶ rw/path, in place      may be done any number of times
//   attrs    owner, mode, attributes, times          may be done any number of times
//
// Between the plan and its application a running program may have changed the same names. What it
// put in the way goes to the stage as `x<inode>`; a directory that it took away is made again.
//
// A path is removed before it is placed where its kind changes; attributes of directories come
// last, after everything inside them, so that their times are the state's.
//
// Rule: synchronous, and the same whether it runs once or again after dying at any step. The
// plan was synced to the catalogue before, with what it places; it goes after `finishRestore`.

import { ERRNO } from '../base/errno.ts'
import { baseName, parentPath, type RelPath, shown } from '../base/path.ts'
import { asOwner } from '../host/own-rights.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { linkIndexOf } from '../layer/layer.ts'
import { setAttributes } from './attributes.ts'
import { appendNumbers } from './numbers.ts'
import type { RedoPlan, RedoStep } from './records.ts'
import { isRewritable, type RewriteStep, rewriteFile } from './rewrite.ts'

export type { RedoPlan, RedoStep } from './records.ts'

/** Where a layer's writable sublayer lies. Absolute paths, bytes as latin1 text. */
export interface RedoDirs {
  readonly rw: string
  readonly work: string
  readonly numbers: string | null
}

/** Name of the directory in `work` where a plan's things are. */
export const stageName = (plan: Pick<RedoPlan, 'id'>): string => `restore-${plan.id}`

const isShallow = (step: RedoStep): boolean => step.op === 'attrs' && step.shallow === true

/** Paths whose content or existence a plan changes: whoever shows them must look again. */
export const replacedPaths = (plan: RedoPlan): RelPath[] => [
  ...new Set(plan.steps.filter((step) => !isShallow(step)).map(({ path }) => path)),
]

/** Directories of which a plan changes attributes alone. */
export const touchedPaths = (plan: RedoPlan): RelPath[] =>
  plan.steps.filter(isShallow).map(({ path }) => path)

/** Applies a plan. `after` is told each step that is done, for tests that stop there. */
export function applyRedo(dirs: RedoDirs, plan: RedoPlan, after?: (step: number) => void): void {
  const root = must(sys.openat(AT_FDCWD, dirs.rw, O.PATH | O.DIRECTORY), shown(dirs.rw))
  const redo = new Redo(root, openStage(dirs, plan))
  try {
    // Which copies the base's links lead to is asked of the marks again.
    removeTree(AT_FDCWD, linkIndexOf(dirs.rw))
    if (dirs.numbers !== null) appendNumbers(dirs.numbers, plan.steps.filter(hasNumber))
    for (const [index, step] of plan.steps.entries()) {
      redo.apply(step)
      after?.(index)
    }
  } finally {
    redo.close()
  }
}

/**
 * True where every file that a plan writes in place is still the one that was looked at, and nobody
 * has it open. `area`: as in ImageDirs.
 */
export function canRewrite(
  dirs: RedoDirs,
  plan: RedoPlan,
  area: string | null,
  isOpen: (ino: number) => boolean,
): boolean {
  const steps = plan.steps.filter((step) => step.op === 'rewrite')
  if (steps.length === 0) return true
  const root = must(sys.openat(AT_FDCWD, dirs.rw, O.PATH | O.DIRECTORY), shown(dirs.rw))
  const flags = O.PATH | O.DIRECTORY
  const frozen = area === null ? null : must(sys.openat(AT_FDCWD, area, flags), shown(area))
  try {
    return steps.every((step) => {
      const dir = openDirectory(root, parentPath(step.path))
      if (dir === null) return false
      try {
        return isRewritable(dir, step, frozen, isOpen)
      } finally {
        sys.close(dir)
      }
    })
  } finally {
    if (frozen !== null) sys.close(frozen)
    sys.close(root)
  }
}

/** A directory below a root; null where one on the way is absent. Throws Errno. */
export function openDirectory(root: number, path: RelPath): number | null {
  let fd = must(sys.openat(root, '.', O.PATH | O.DIRECTORY), 'root')
  for (const name of path === '' ? [] : path.split('/')) {
    const next = sys.openat(fd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    sys.close(fd)
    if (next === -ERRNO.ENOENT || next === -ERRNO.ENOTDIR) return null
    fd = must(next, shown(path))
  }
  return fd
}

/** The directory with a plan's things. Throws Errno. */
export function openStage(dirs: Pick<RedoDirs, 'work'>, plan: Pick<RedoPlan, 'id'>): number {
  const path = `${dirs.work}/${stageName(plan)}`
  return must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY | O.NOFOLLOW), shown(path))
}

type Numbered = Exclude<RedoStep, { op: 'remove' }>
const hasNumber = (step: RedoStep): step is Numbered => step.op !== 'remove' && step.number > 0

const isInTheWay = (done: number): boolean =>
  done === -ERRNO.EISDIR || done === -ERRNO.ENOTDIR || done === -ERRNO.ENOTEMPTY

class Redo {
  readonly #root: number
  readonly #stage: number
  readonly #stat = new Stat()
  /** The directory of the last step: its neighbours come next. */
  #dir: { path: RelPath; fd: number } | null = null

  constructor(root: number, stage: number) {
    this.#root = root
    this.#stage = stage
  }

  apply(step: RedoStep): void {
    switch (step.op) {
      case 'remove':
        this.#remove(step)
        break
      case 'place':
        this.#place(step)
        break
      case 'rewrite':
        this.#rewrite(step)
        break
      case 'attrs':
        this.#attributes(step)
        break
    }
  }

  close(): void {
    this.#leave()
    sys.close(this.#stage)
    sys.close(this.#root)
  }

  #remove({ path, trash }: RedoStep & { op: 'remove' }): void {
    // What lies at the path now may be what a later step placed there.
    if (sys.stat(this.#stage, trash, this.#stat) === 0) return
    const dir = this.#enter(parentPath(path))
    if (dir === null) return
    const done = this.#move(dir, baseName(path), this.#stage, trash)
    if (done !== -ERRNO.ENOENT) must(done, shown(path))
    this.#leave()
  }

  #place({ path, staged }: RedoStep & { op: 'place' }): void {
    const found = sys.stat(this.#stage, staged, this.#stat)
    if (found === -ERRNO.ENOENT) return
    must(found, staged)
    const dir = this.#enter(parentPath(path)) ?? this.#make(parentPath(path))
    const name = baseName(path)
    const done = this.#move(this.#stage, staged, dir, name)
    if (!isInTheWay(done)) {
      must(done, shown(path))
      return
    }
    this.#putAside(dir, name)
    must(this.#move(this.#stage, staged, dir, name), shown(path))
  }

  #rewrite(step: RewriteStep): void {
    const dir = this.#enter(parentPath(step.path))
    if (dir === null) return
    const name = baseName(step.path)
    const fd = asOwner(dir, name, () => sys.openat(dir, name, O.RDWR | O.NOFOLLOW))
    if (fd === -ERRNO.ENOENT) return
    must(fd, shown(step.path))
    try {
      rewriteFile(fd, this.#stage, step)
    } finally {
      sys.close(fd)
    }
  }

  #attributes(step: RedoStep & { op: 'attrs' }): void {
    const dir = this.#enter(parentPath(step.path))
    if (dir === null) return
    const fd = sys.openat(dir, baseName(step.path) || '.', O.PATH | O.NOFOLLOW)
    if (fd === -ERRNO.ENOENT) return
    must(fd, shown(step.path))
    try {
      must(sys.stat(fd, '', this.#stat), shown(step.path))
      setAttributes(fd, this.#stat.mode & S.IFMT, step)
    } finally {
      sys.close(fd)
    }
  }

  // An ordinary user may not write into an own directory of mode 0555, nor move one; its
  // attributes are set anew at the end in any case.
  #move(from: number, name: string, to: number, newName: string): number {
    const done = sys.renameat(from, name, to, newName)
    if (done !== -ERRNO.EACCES) return done
    for (const dir of [from, to]) this.#allow(dir, '')
    this.#allow(from, name)
    return sys.renameat(from, name, to, newName)
  }

  #allow(dir: number, name: string): void {
    const fd = sys.openat(dir, name || '.', O.PATH | O.NOFOLLOW)
    if (fd < 0) return
    must(sys.stat(fd, '', this.#stat), 'stat')
    const { mode } = this.#stat
    if ((mode & S.IFMT) === S.IFDIR) sys.chmodFd(fd, (mode & 0o7777) | 0o700)
    sys.close(fd)
  }

  // Null where a directory on the way is absent.
  #enter(path: RelPath): number | null {
    if (this.#dir?.path === path) return this.#dir.fd
    this.#leave()
    const fd = openDirectory(this.#root, path)
    if (fd !== null) this.#dir = { path, fd }
    return fd
  }

  // A directory that vanished since the plan, and those above it.
  #make(path: RelPath): number {
    const above = this.#enter(parentPath(path)) ?? this.#make(parentPath(path))
    const name = baseName(path)
    if (sys.mkdirat(above, name, 0o755) === -ERRNO.EEXIST) {
      this.#putAside(above, name)
      must(sys.mkdirat(above, name, 0o755), shown(path))
    }
    return this.#enter(path) ?? must(-ERRNO.ENOENT, shown(path))
  }

  #putAside(dir: number, name: string): void {
    must(sys.stat(dir, name, this.#stat), shown(name))
    must(this.#move(dir, name, this.#stage, `x${this.#stat.ino}`), shown(name))
  }

  #leave(): void {
    if (this.#dir !== null) sys.close(this.#dir.fd)
    this.#dir = null
  }
}
