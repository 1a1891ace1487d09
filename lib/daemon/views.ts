// Views of `svsfs run` that a daemon which was killed left mounted: taken away when the store
// is opened next.

import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { mountAt } from '../host/mount-table.ts'
import type { StorePlaces } from './store-path.ts'

/** Nobody else owns the store now, so nobody serves these. */
export function removeDeadViews(places: StorePlaces): void {
  for (const name of readdirSync(places.views)) {
    const view = join(places.views, name)
    while (mountAt(bytesOf(view)) !== null) unmountFuse(bytesOf(view), true)
    rmdirSync(view)
  }
}
