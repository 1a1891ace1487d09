// Who uses the mounts: processes, what they ask for, how many bytes.
//
// Rule: nothing is counted unless somebody asks, and no longer than he said that he would ask again.

import { z } from 'zod'
import type { Asked } from '../fuse/tally.ts'
import type { Control } from './control.ts'
import { method } from './method.ts'

const topShape = z.strictObject({
  /** For how long to go on counting when nobody asks again, in milliseconds. */
  keep: z.number().int().min(100).max(600_000),
})

export interface MountUse {
  readonly id: number
  readonly mountPoint: string
  /** When counting began, in milliseconds since 1970; null where the transport cannot count. */
  readonly since: number | null
  /** Since then. */
  readonly processes: readonly Asked[]
}

export interface TopAnswer {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly mounts: readonly MountUse[]
}

export const topMethods = {
  top: method(topShape, top),
} as const

async function top(
  { mounts, engine }: Control,
  { keep }: z.infer<typeof topShape>,
): Promise<TopAnswer> {
  const uses = (await engine?.uses(keep)) ?? []
  const placeOf = new Map((mounts?.list() ?? []).map(({ id, mountPoint }) => [id, mountPoint]))
  const shown = uses.flatMap(({ id, since, processes }): MountUse[] => {
    const mountPoint = placeOf.get(id)
    return mountPoint === undefined ? [] : [{ id, mountPoint, since, processes }]
  })
  return { at: Date.now(), mounts: shown }
}
