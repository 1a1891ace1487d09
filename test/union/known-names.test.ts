// Names that a tree which nobody changes does not have: after a few of one directory, its list
// answers for the disk.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RelPath } from '../../lib/base/path.ts'
import { Stat } from '../../lib/host/stat.ts'
import { Branch, openRoot } from '../../lib/union/branch.ts'

const DIR = 'd' as RelPath
const stat = new Stat()

function temporary(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'svsfs-names-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

/** A tree with a directory of some files; `foreign`: others may change it. */
function treeAt(t: Test, path: string, files: number, foreign = false): Branch {
  mkdirSync(join(path, DIR), { recursive: true })
  for (let at = 0; at < files; at++) writeFileSync(join(path, DIR, `file${at}`), '')
  const root = openRoot(path)
  const branch = new Branch({ path, root, writable: false, foreign, prefix: null, index: null })
  t.teardown(() => branch.close())
  return branch
}

const has = (branch: Branch, name: string) => branch.peek(DIR, name, stat)

function askInVain(branch: Branch): void {
  for (let at = 0; at < 20; at++) has(branch, `absent${at}`)
}

t.test('after some absences the list answers, and what is there is found as before', async (t) => {
  const path = temporary(t)
  const branch = treeAt(t, path, 5)
  t.notOk(has(branch, 'late'))
  t.ok(has(branch, 'file3'))
  askInVain(branch)
  writeFileSync(join(path, DIR, 'late'), '')
  t.notOk(has(branch, 'late'), 'the disk is not asked any more')
  t.ok(has(branch, 'file3'))
  t.equal(stat.size, 0)
})

t.test('a base is asked each time, because others may change it', async (t) => {
  const path = temporary(t)
  const branch = treeAt(t, path, 5, true)
  askInVain(branch)
  writeFileSync(join(path, DIR, 'late'), '')
  t.ok(has(branch, 'late'))
})

t.test('a directory too large for one request is asked name by name', async (t) => {
  const path = temporary(t)
  const branch = treeAt(t, path, 2100)
  askInVain(branch)
  writeFileSync(join(path, DIR, 'late'), '')
  t.ok(has(branch, 'late'))
})
