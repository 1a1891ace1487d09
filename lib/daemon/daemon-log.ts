// The daemon's log, run/daemon.log: what it says, and what a crash prints.

import { openSync, renameSync, statSync } from 'node:fs'
import type { StorePlaces } from './store-path.ts'

/** Bytes after which the log becomes daemon.log.1 and a new one begins, at the next start. */
const LARGEST_LOG = 4 << 20

/** Opens the log for appending. */
export function openLog(places: StorePlaces): number {
  const size = statSync(places.log, { throwIfNoEntry: false })?.size ?? 0
  if (size > LARGEST_LOG) renameSync(places.log, `${places.log}.1`)
  return openSync(places.log, 'a', 0o600)
}
