// Bringing back what a state had without touching what is there: a file that differs comes
// beside the present one, under its name with the state's id.
//
//   now  notes.txt (newer)      ─▶  notes.txt (newer), notes.txt~3f9a2b1c (the state's)
//   now  nothing                ─▶  notes.txt (the state's)
//
// Rule: nothing is removed, replaced or given other attributes; what is equal is not doubled.

import { Failure } from '../base/failure.ts'
import { baseName, joinPath, NAME_MAX, parentPath, type RelPath, shown } from '../base/path.ts'
import type { Below } from './below.ts'
import { contentId } from './file-data.ts'
import type { Ground } from './parts.ts'
import type { Planned } from './plan.ts'
import type { Entry } from './records.ts'
import type { Shown } from './shown-tree.ts'

/** Digits of the state's id in the name of what comes beside. */
const ID_DIGITS = 8
/** So many files of one name may come from one state, before somebody has to tidy up. */
const MOST_BESIDE = 16

/** The names under which a file of a state may come beside the present one, in this order. */
export function besides(path: RelPath, state: string): RelPath[] {
  return Array.from({ length: MOST_BESIDE }, (_, at) => {
    const tail = `~${state.slice(0, ID_DIGITS)}${at === 0 ? '' : `-${at + 1}`}`
    const name = baseName(path).slice(0, NAME_MAX - tail.length) + tail
    return joinPath(parentPath(path), name)
  })
}

export async function planBeside(ground: Ground): Promise<Planned> {
  const run = new Beside(ground)
  for (const path of ground.parts.paths) await run.bring((await ground.then.look(path))!, path)
  return run.planned()
}

class Beside {
  readonly #ground: Ground
  readonly #whiteouts: ReadonlySet<RelPath>
  readonly #removes: RelPath[] = []
  readonly #places: Entry[] = []
  readonly #copied = new Map<RelPath, RelPath>()
  readonly #firsts = new Map<string, RelPath>()

  constructor(ground: Ground) {
    this.#ground = ground
    const gone = ground.present.filter(({ entry }) => entry.kind === 'whiteout')
    this.#whiteouts = new Set(gone.map(({ entry }) => entry.path))
  }

  /** Brings what the state showed to a path, or beside what is there. */
  async bring(was: Shown, path: RelPath): Promise<void> {
    const is = await this.#ground.now.look(path)
    if (was.entry.kind === 'dir' && is?.entry.kind === 'dir') {
      for (const child of await this.#ground.then.children(was))
        await this.bring(child, joinPath(path, baseName(child.entry.path)))
      return
    }
    if (is === null) await this.#place(was, path)
    else if (!isSame(this.#ground, was, is)) await this.#placeBeside(was, path)
  }

  async planned(): Promise<Planned> {
    const places = [...(await this.#ways()), ...this.#places]
    const write = places.map(({ path, size = 0 }) => ({ path, size }))
    return {
      plan: { write, remove: [], attrs: [], lose: [] },
      steps: { removes: this.#removes, places, fixes: [], copied: this.#copied },
    }
  }

  // Directories that only the read-only sublayer has so far, and that get something now.
  async #ways(): Promise<Entry[]> {
    const { now, present } = this.#ground
    const made = new Set(
      [...this.#places, ...present.map(({ entry }) => entry)].map(({ path }) => path),
    )
    const ways: Entry[] = []
    const need = async (path: RelPath): Promise<void> => {
      if (path === '' || made.has(path) || this.#isWay(path)) return
      made.add(path)
      await need(parentPath(path))
      const below = await now.look(path)
      if (below !== null) ways.push({ ...below.entry, number: 0 })
    }
    for (const { path } of this.#places) await need(parentPath(path))
    return ways
  }

  // Those above the wanted paths are made by whoever asked for this plan.
  #isWay(path: RelPath): boolean {
    return this.#ground.parts.paths.some((part) => part.startsWith(`${path}/`))
  }

  async #place(was: Shown, path: RelPath): Promise<void> {
    const hidden = this.#whiteouts.has(path)
    if (hidden) this.#removes.push(path)
    const marks = hidden && was.entry.kind === 'dir' ? { marks: { opaque: true as const } } : {}
    const entry: Entry = { ...was.entry, path, number: 0, ...marks }
    if (was.bytes.at === 'below') this.#copied.set(path, was.bytes.path)
    this.#places.push(was.links === null ? entry : this.#linked(entry, was.links))
    if (was.entry.kind !== 'dir') return
    for (const child of await this.#ground.then.children(was))
      await this.#place(child, joinPath(path, baseName(child.entry.path)))
  }

  #linked(entry: Entry, file: string): Entry {
    const first = this.#firsts.get(file)
    if (first !== undefined) return { ...entry, link: first }
    this.#firsts.set(file, entry.path)
    return { ...entry, linked: true }
  }

  // Not twice, where it was brought there before.
  async #placeBeside(was: Shown, path: RelPath): Promise<void> {
    for (const free of besides(path, this.#ground.parts.state)) {
      if (this.#places.some((entry) => entry.path === free)) continue
      const is = await this.#ground.now.look(free)
      if (is === null) return this.#place(was, free)
      if (was.entry.kind !== 'dir' && isSame(this.#ground, was, is)) return
    }
    throw new Failure('SVS_PATH_BLOCKED', shown(path), 'its copies of before')
  }
}

/** True where both show the same: kind, bytes, target, device. */
function isSame({ belowThen, belowNow }: Ground, was: Shown, is: Shown): boolean {
  const { kind, size, target, rdev } = was.entry
  const now = is.entry
  if (kind !== now.kind || size !== now.size || target !== now.target || rdev !== now.rdev)
    return false
  return kind !== 'file' || size === 0 || nameOf(belowThen, was) === nameOf(belowNow, is)
}

// A present file without a name is none that the state could have.
function nameOf(below: Below, { bytes }: Shown): string | null {
  if (bytes.at === 'content') return bytes.id
  if (bytes.at === 'none') return null
  const file = below.open(bytes.path)
  try {
    return contentId(file)
  } finally {
    file.close()
  }
}
