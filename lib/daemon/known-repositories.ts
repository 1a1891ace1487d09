// The repositories of registries that this store has brought something to, or got something from: where
// blobs may be that another repository of the same registry lacks.
//
// Rule: nothing depends on it: what is lost or damaged is forgotten.

import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { bytesOf } from '../base/path.ts'
import { writeWhole } from '../host/file.ts'
import type { Place } from '../repository/place.ts'
import type { Control } from './control.ts'

const MOST = 100

const fileShape = z.strictObject({
  repositories: z.array(z.strictObject({ host: z.string(), repository: z.string() })).max(MOST),
})
type Known = z.infer<typeof fileShape>['repositories']

/** Others of the same registry, the latest first. */
export function relativesOf({ store }: Control, place: Place): string[] {
  if (place.kind !== 'registry') return []
  return read(store.places.repositories)
    .filter(({ host, repository }) => host === place.host && repository !== place.repository)
    .map(({ repository }) => repository)
}

export function rememberRepository({ store }: Control, place: Place): void {
  if (place.kind !== 'registry') return
  const { host, repository } = place
  const path = store.places.repositories
  const others = read(path).filter((one) => one.host !== host || one.repository !== repository)
  const repositories = [{ host, repository }, ...others].slice(0, MOST)
  writeWhole(bytesOf(path), Buffer.from(`${JSON.stringify({ repositories }, null, 2)}\n`), 0o600)
}

function read(path: string): Known {
  if (!existsSync(path)) return []
  try {
    return fileShape.parse(JSON.parse(readFileSync(path, 'utf8'))).repositories
  } catch {
    return []
  }
}
