// The story of demo and README, with git and SQLite, through the command line and real mounts.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { removeTree } from '../runner/leftovers.ts'
import { mountsBelow } from '../runner/mounts.ts'
import { tell } from './story.ts'
import { Svsfs } from './svsfs.ts'
import { tools } from './tools.ts'

const isRoot = process.getuid?.() === 0
const missing = ['git', 'sqlite3', 'bwrap', 'fusermount3'].filter(
  (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
)

t.test(
  'git and sqlite3 in a layer are snapshotted, wrecked, put back, rolled forward and sent',
  { skip: missing.length > 0 && `not installed: ${missing.join(', ')}` },
  async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'story-'))
    const svsfs = new Svsfs(join(place, 'store'))
    const elsewhere = new Svsfs(join(place, 'elsewhere'))
    t.teardown(async () => {
      svsfs.stop()
      elsewhere.stop()
      if (mountsBelow(place).length > 0) await svsfs.ask('umount', '--all')
      removeTree(place)
    })
    const mountPoint = join(place, 'view')
    const post = join(place, 'post')
    for (const dir of [mountPoint, post]) mkdirSync(dir)
    // An ordinary user's base cannot contain the mount point; root's can, and does here.
    const base = isRoot ? '/' : join(place, 'base')
    if (!isRoot) {
      mkdirSync(base)
      writeFileSync(join(base, 'file-of-the-base'), 'untouched\n')
    }
    const step = (title: string, facts: readonly string[]) =>
      t.pass(`${title}: ${facts.join('; ')}`)
    await tell({ svsfs, elsewhere, post, mountPoint, base, step }, (store) =>
      tools(store, join(place, 'tools')),
    )
  },
)
