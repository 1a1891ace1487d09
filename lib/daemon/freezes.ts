// The freezes of an engine: those of a snapshot, and those that go on until they are thawed.
//
//   begin    now; of a layer that no mount shows, from when one does
//   recall   what an earlier process left
//   attach   a branch was opened: the freezes of its tree ask about its changes again
//
// Rule: belongs to the thread of the union. Whoever changes a frozen tree past it calls
// `preserveRedo`, or thaws first.

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { openStage, type RedoPlan } from '../snapshot/redo.ts'
import { type RewriteStep, stagedRuns } from '../snapshot/rewrite.ts'
import type { Branch } from '../union/branch.ts'
import { Freeze } from '../union/freeze.ts'
import { AreaRoom } from '../union/freeze-budget.ts'
import { bytesBelow, WrittenRoom } from '../union/written-room.ts'
import type { FreezeSize, FreezeSpec } from './engine-api.ts'

const openDirectory = (path: string): number =>
  must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), path)

export class Freezes {
  readonly #all = new Map<number, Freeze>()
  /** Of those that go on: which tree they are of. */
  readonly #trees = new Map<Freeze, string>()
  /** Of those whose area has a limit: what is written to the image itself. */
  readonly #written = new Map<Freeze, { readonly rw: string; readonly room: WrittenRoom }>()
  readonly #rooms = new Map<string, AreaRoom>()
  readonly #onFailed: (id: number, reason: string) => void
  #next = 1

  constructor(onFailed: (id: number, reason: string) => void) {
    this.#onFailed = onFailed
  }

  /** `spec` of one that goes on until it is thawed. Throws Errno. */
  begin(branch: Branch | null, area: string, spec: FreezeSpec | null): Freeze {
    const freeze = this.#make(branch, area, spec)
    this.#all.set(freeze.id, freeze)
    return freeze
  }

  /** Answers its number; null where its tree or its area cannot be read. */
  recall(spec: FreezeSpec): number | null {
    let rw = -1
    try {
      rw = openDirectory(spec.rw)
      const freeze = this.#make(null, spec.area, spec)
      freeze.recall(rw)
      this.#all.set(freeze.id, freeze)
      return freeze.id
    } catch (err) {
      if (!(err instanceof Errno)) throw err
      return null
    } finally {
      if (rw >= 0) sys.close(rw)
    }
  }

  #make(branch: Branch | null, area: string, spec: FreezeSpec | null): Freeze {
    const id = this.#next++
    const onFailed = (reason: string) => this.#onFailed(id, reason)
    if (spec === null) return new Freeze(id, branch, openDirectory(area), { onFailed })
    const room = this.#room(spec)
    const links = openDirectory(spec.links)
    const options = { block: spec.block, room, links, onFailed }
    const freeze = new Freeze(id, branch, openDirectory(area), options)
    this.#trees.set(freeze, spec.rw)
    if (spec.room.limit !== null) {
      const at = `${spec.area}/written`
      this.#written.set(freeze, { rw: `${at}/rw`, room: new WrittenRoom(room, at) })
    }
    return freeze
  }

  // The last limit that was said is the one of the area.
  #room({ room: { name, limit } }: FreezeSpec): AreaRoom {
    const room = this.#rooms.get(name) ?? new AreaRoom()
    this.#rooms.set(name, room)
    room.limit = limit ?? Number.POSITIVE_INFINITY
    return room
  }

  /** A writable branch was opened; nothing has changed it yet. */
  attach(branch: Branch): void {
    for (const { rw, room } of this.#written.values()) {
      if (rw !== branch.path) continue
      branch.written = room
      branch.room.written = room
    }
    for (const [freeze, rw] of this.#trees) {
      if (rw !== branch.path) continue
      freeze.attach(branch)
      try {
        // While nobody had it open, another thread may have preserved something.
        freeze.recall(branch.root)
      } catch (err) {
        freeze.fail(err)
      }
    }
  }

  /** Those of a branch that go on: a restore is no change for the one that it was begun with. */
  lasting(branch: Branch): Freeze[] {
    return branch.freezes.filter((freeze) => this.#trees.has(freeze))
  }

  sizes(): FreezeSize[] {
    return [...this.#trees.keys()].map((freeze) => {
      const { blocks, bytes } = freeze.size
      const written = this.#written.get(freeze)?.room.bytes ?? 0
      return { freeze: freeze.id, blocks, bytes: bytes + written }
    })
  }

  /** Ends one. Answers descriptors for the caller to close where that may take long. */
  thaw(id: number): number[] {
    const freeze = this.#all.get(id)
    if (freeze === undefined) return []
    this.#all.delete(id)
    this.#trees.delete(freeze)
    this.#written.get(freeze)?.room.end()
    this.#written.delete(freeze)
    return freeze.thaw()
  }
}

/**
 * The same where no mount shows the tree, and in a thread that does not have the freezes. `work`: where the
 * plan's things are. Throws Errno.
 */
export function preserveApart(specs: readonly FreezeSpec[], work: string, plan: RedoPlan): void {
  for (const { rw, area, links, block, room } of specs) {
    const root = openDirectory(rw)
    const limited = new AreaRoom(room.limit ?? Number.POSITIVE_INFINITY)
    if (room.limit !== null) limited.used = bytesBelow(`${area}/written`)
    const options = { links: openDirectory(links), block, room: limited, isWhole: true }
    const freeze = new Freeze(0, null, openDirectory(area), options)
    try {
      freeze.recall(root)
      preserveRedo([freeze], root, work, plan)
    } finally {
      freeze.close()
      sys.close(root)
    }
  }
}

/** Whoever is told of changes before they happen. */
export type Preserving = Pick<Freeze, 'preserve'>

/** Before a plan is applied to a frozen tree: everything that it takes away or writes over is preserved. */
export function preserveRedo(
  freezes: readonly Preserving[],
  root: number,
  work: string,
  plan: RedoPlan,
): void {
  if (freezes.length === 0) return
  for (const step of plan.steps) {
    const { op, path } = step
    const dir = openBelow(root, parentPath(path))
    if (dir === null) continue
    try {
      const name = baseName(path)
      if (op === 'attrs' && isThere(dir, name)) tell(freezes, 'attributes', dir, name)
      if (op === 'rewrite') preserveRuns(freezes, dir, name, work, plan, step)
      else if (op !== 'attrs' && name !== '') preserveName(freezes, dir, name)
    } finally {
      sys.close(dir)
    }
  }
}

function preserveRuns(
  freezes: readonly Preserving[],
  dir: number,
  name: string,
  work: string,
  plan: RedoPlan,
  step: RewriteStep,
): void {
  if (!isThere(dir, name)) return
  const stage = openStage({ work }, plan)
  try {
    const runs = stagedRuns(stage, step)
    const preserve = (from: number, to?: number) => {
      for (const freeze of freezes) freeze.preserve('content', dir, name, from, to)
    }
    for (let index = 0; index < runs.length; index += 2)
      preserve(runs[index]!, runs[index]! + runs[index + 1]!)
    preserve(step.size)
  } finally {
    sys.close(stage)
  }
}

const stat = new Stat()

const isThere = (dir: number, name: string): boolean => sys.stat(dir, name, stat) >= 0

function tell(
  freezes: readonly Preserving[],
  change: 'names' | 'gone' | 'attributes',
  dir: number,
  name: string,
): void {
  for (const freeze of freezes) freeze.preserve(change, dir, name)
}

// What lies in a directory that goes, goes with it.
function preserveName(freezes: readonly Preserving[], dir: number, name: string): void {
  if (!isThere(dir, name)) {
    tell(freezes, 'names', dir, name)
    return
  }
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR
  tell(freezes, 'gone', dir, name)
  if (!isDirectory) return
  const fd = must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), 'freeze')
  try {
    for (const child of listDirectory(fd)) preserveName(freezes, fd, child.name)
  } finally {
    sys.close(fd)
  }
}

// Null where a directory on the way is absent.
function openBelow(root: number, path: RelPath): number | null {
  let fd = must(sys.openat(root, '.', O.PATH | O.DIRECTORY), 'freeze')
  for (const name of path === '' ? [] : path.split('/')) {
    const next = sys.openat(fd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    sys.close(fd)
    if (next === -ERRNO.ENOENT || next === -ERRNO.ENOTDIR) return null
    fd = must(next, 'freeze')
  }
  return fd
}
