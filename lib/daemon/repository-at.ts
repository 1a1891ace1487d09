// Where something lies, and who we are there: what every method has that reaches a repository.
//
// Rule: credentials come with the one request that needs them, and are kept nowhere.

import { dirname } from 'node:path'
import { z } from 'zod'
import { credentialsShape } from '../repository/credentials.ts'
import { openRepository } from '../repository/open.ts'
import type { Place } from '../repository/place.ts'
import type { Repository } from '../repository/repository.ts'
import type { Control } from './control.ts'
import { refuseOwnMount } from './own-mounts.ts'

export const atShape = z.strictObject({
  /** As commands write it for us: with absolute paths. */
  place: z.string().min(1).max(8192),
  credentials: credentialsShape.nullable().default(null),
  plainHttp: z.boolean().default(false),
})
export type At = z.infer<typeof atShape>

/** Opens a place, unless this process would wait for itself there. `create`: it is to take something. */
export async function opened(
  control: Control,
  place: Place,
  { credentials, plainHttp }: At,
  signal: AbortSignal,
  create: boolean,
): Promise<Repository> {
  if (place.kind === 'directory')
    await refuseOwnMount(control, create ? dirname(place.path) : place.path)
  return openRepository(place, { credentials, plainHttp, signal, create })
}
