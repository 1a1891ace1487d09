// A mount of one layer without a store, as the engine is asked for it.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { MountSpec } from '../../lib/daemon/engine-api.ts'

/** Its directories are made in `dir`, which is empty; the mount point is `dir/mnt`. */
export function specIn(dir: string, id = 1, name = 'app'): MountSpec {
  for (const part of ['rw', 'work', 'base', 'mnt']) mkdirSync(join(dir, part))
  const layer = {
    id: name,
    name,
    tag: id,
    rw: join(dir, 'rw'),
    numbers: join(dir, 'rw.numbers'),
    work: join(dir, 'work'),
    ro: [],
    scratch: null,
    excludes: [],
  }
  return {
    id,
    mountPoint: join(dir, 'mnt'),
    stack: { layers: [layer], base: { path: join(dir, 'base'), writable: false, timeout: 1 } },
    view: {
      readOnly: false,
      writeTo: null,
      privateTo: null,
      blocked: [],
      privileged: process.geteuid?.() === 0,
      timeout: Number.POSITIVE_INFINITY,
    },
    source: 'test',
    allowOther: false,
    transport: 'direct',
    trace: false,
    kernelCap: null,
    dataPath: 'cached',
  }
}
