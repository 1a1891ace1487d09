// The history of a layer, or of one path in it, over its states, the newest first; and how they
// follow each other.
//
//   states, newest first ─▶ each against the state that it came from ─▶ what changed of the path
//                             └ renamed there: older ones are asked for its former name
//
// Rule: nothing is changed. The layer is held for one state at a time, so that whoever wants to change
// it waits for no more.

import { existsSync } from 'node:fs'
import { z } from 'zod'
import { type RelPath, shown } from '../base/path.ts'
import type { Holding } from '../snapshot/claims.ts'
import type { Difference, DiffSide } from '../snapshot/diff.ts'
import type { PathChange } from '../snapshot/path-change.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import type { VersionTree } from '../snapshot/side-reader.ts'
import { runJob } from '../snapshot/thread.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { insideOf } from './restore-methods.ts'
import { versionOf } from './restoring.ts'
import { nameShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { indexOf, readOnly } from './states.ts'
import { layerPlaces } from './store-path.ts'

/** What changed below a directory in one state is listed up to so many. */
const MOST_BELOW = 1000

const logShape = z.strictObject({
  layer: nameShape,
  /** Inside the layer, or in a mount that shows it; null for the states alone. */
  path: z.string().min(1).max(8192).nullable().default(null),
  /** Only so many, the newest. */
  limit: z.number().int().min(1).nullable().default(null),
})

export interface BelowLine {
  readonly path: string
  readonly mark: Difference['mark']
  readonly from?: string
  readonly before: DiffSide | null
  readonly after: DiffSide | null
}

export interface LogChange {
  /** `other`: a version of the read-only part is not there any more, so what differs is not known. */
  readonly mark: PathChange['mark'] | 'other'
  /** Its name in this state, or in the one before if it is gone. */
  readonly path: string
  readonly from?: string
  readonly to?: string
  readonly also?: 'M' | 'attr'
  readonly before: DiffSide | null
  readonly after: DiffSide | null
  readonly counts: Readonly<
    Record<'added' | 'changed' | 'deleted' | 'renamed' | 'attributes', number>
  >
  /** What changed below it, the first thousand. */
  readonly below: readonly BelowLine[]
}

export interface LogLine {
  readonly state: StateLine
  /** Id of the state that it is compared with; null for the layer as it was installed. */
  readonly since: string | null
  /** Null where no path was asked for. */
  readonly change: LogChange | null
}

export interface LogAnswer {
  readonly layer: string
  readonly path: string | null
  readonly lines: readonly LogLine[]
}

export interface TimelineState extends StateLine {
  /** Id of the state that it came from; null for none. Where that was deleted, the next older one. */
  readonly parent: string | null
  /** True where states between the two were deleted. */
  readonly dotted: boolean
}

export interface TimelineAnswer {
  readonly layer: string
  /** Id of the state that the layer came from as it is now; null for none. */
  readonly from: string | null
  /** How many states there are. */
  readonly total: number
  /** Newest first. */
  readonly states: readonly TimelineState[]
}

export const logMethods = {
  log: method(logShape, log),
  timeline: method(logShape.omit({ path: true }), timeline),
} as const

async function timeline(
  control: Control,
  { layer: name, limit }: { layer: string; limit: number | null },
): Promise<TimelineAnswer> {
  const { catalogue } = control
  const layer = await control.layer(name)
  const head = await catalogue.head(layer.id)
  const all = (await catalogue.snapshots(layer.id)).reverse()
  const states = all.slice(0, limit ?? all.length).map((state): TimelineState => {
    const parent = beforeOf(state, all)?.id ?? null
    return { ...stateLine(layer, state, head), parent, dotted: parent !== state.parent }
  })
  return { layer: name, from: head, total: all.length, states }
}

/** What a state came from; where that was deleted, the newest that is older. */
function beforeOf(
  { parent, time }: SnapshotRecord,
  newestFirst: readonly SnapshotRecord[],
): SnapshotRecord | null {
  if (parent === null) return null
  const older = (one: SnapshotRecord) => one.time < time
  const own = newestFirst.find((one) => one.id === parent && older(one))
  return own ?? newestFirst.find(older) ?? null
}

async function log(
  control: Control,
  { layer: name, path, limit }: z.infer<typeof logShape>,
  call: Call,
): Promise<LogAnswer> {
  const layer = await control.layer(name)
  const inside = path === null ? null : insideOf(control, layer, path)
  const states = (await control.catalogue.snapshots(layer.id)).reverse()
  const most = limit ?? Number.POSITIVE_INFINITY
  const lines: LogLine[] = []
  const history = new History(control, layer, states, inside)
  for (const [at, state] of states.entries()) {
    if (lines.length >= most) break
    const line = await history.line(state)
    if (line !== null) lines.push(line)
    if (inside !== null) call.progress(`looked at ${at + 1} of ${states.length} states`)
  }
  return { layer: name, path: inside === null ? null : `/${shown(inside)}`, lines }
}

class History {
  readonly #control: Control
  readonly #layer: LayerRecord
  readonly #path: RelPath | null
  /** Newest first. */
  readonly #states: readonly SnapshotRecord[]
  /** The name that the path has in a state, where a later one tells. */
  readonly #names = new Map<string, RelPath>()

  constructor(
    control: Control,
    layer: LayerRecord,
    states: readonly SnapshotRecord[],
    path: RelPath | null,
  ) {
    this.#control = control
    this.#layer = layer
    this.#states = states
    this.#path = path
  }

  /** Null where the path did not change in this state, or the state is gone by now. */
  async line(state: SnapshotRecord): Promise<LogLine | null> {
    const before = beforeOf(state, this.#states)
    const since = before?.id ?? null
    const head = await this.#control.catalogue.head(this.#layer.id)
    const line = stateLine(this.#layer, state, head)
    if (this.#path === null) return { state: line, since, change: null }
    const path = this.#names.get(state.id) ?? this.#path
    const change = await this.#changeOf(before, state, path)
    if (since !== null && !this.#names.has(since))
      this.#names.set(since, change !== 'other' ? (change?.from ?? path) : path)
    return change === null ? null : { state: line, since, change: changeLine(path, change) }
  }

  async #changeOf(
    before: SnapshotRecord | null,
    after: SnapshotRecord,
    path: RelPath,
  ): Promise<PathChange | 'other' | null> {
    const control = this.#control
    return control.queue.run(this.#layer.id, async () => {
      const { catalogue } = control
      const layer = await catalogue.layer(this.#layer.id)
      const is = await catalogue.hold(after)
      let was: Holding | null = null
      try {
        was = before === null ? null : await catalogue.hold(before)
        // Deleted since the list was read.
        if (layer === null || is === null || (before !== null && was === null)) return null
        const over = treeOver(control, layer, after)
        const earlier = before === null ? over : treeOver(control, layer, before)
        if (over === null || earlier === null) return 'other'
        const lists = { before: was?.pieces ?? null, after: is.pieces }
        const apart = earlier.scope === over.scope ? {} : { earlier }
        return await runJob('pathChange', { ...lists, ...over, ...apart, path }, catalogue)
      } finally {
        is?.release()
        was?.release()
      }
    })
  }
}

/** What a state lies over; null where that version is gone. */
function treeOver(control: Control, layer: LayerRecord, state: SnapshotRecord): VersionTree | null {
  if (!layer.versions.some(({ version }) => version === state.ro.version)) return null
  const { version, digest: scope } = versionOf(layer, state)
  if (!existsSync(layerPlaces(control.store.places, layer.id).ro(version))) return null
  return { ro: readOnly(control, layer, version), index: indexOf(control, layer, version), scope }
}

const NONE = { added: 0, changed: 0, deleted: 0, renamed: 0, attributes: 0 }

const COUNTED = {
  A: 'added',
  M: 'changed',
  D: 'deleted',
  R: 'renamed',
  attr: 'attributes',
} as const

const shownPath = (path: RelPath): string => `/${shown(path)}`

function changeLine(path: RelPath, change: PathChange | 'other'): LogChange {
  const name = { path: shownPath(path) }
  if (change === 'other')
    return { mark: 'other', ...name, before: null, after: null, counts: NONE, below: [] }
  const { from, to, below, ...rest } = change
  const counts: Record<keyof typeof NONE, number> = { ...NONE }
  for (const { mark } of below) counts[COUNTED[mark]] += 1
  return {
    ...rest,
    ...name,
    ...(from === undefined ? {} : { from: shownPath(from) }),
    ...(to === undefined ? {} : { to: shownPath(to) }),
    counts,
    below: below.slice(0, MOST_BELOW).map(belowLine),
  }
}

const belowLine = ({ path, mark, from, before, after }: Difference): BelowLine => ({
  path: shownPath(path),
  mark,
  ...(from === undefined ? {} : { from: shownPath(from) }),
  before,
  after,
})
