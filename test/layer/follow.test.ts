// Following links inside trees that lie over each other.

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { follow } from '../../lib/layer/follow.ts'
import { folderOf } from './ground.ts'

/** A layer over a base, as the descriptors of their roots. */
function trees(t: Test): number[] {
  const folder = folderOf(t)
  const [layer, base] = [join(folder, 'layer'), join(folder, 'base')]
  mkdirSync(join(layer, 'usr/bin'), { recursive: true })
  mkdirSync(join(base, 'usr/bin'), { recursive: true })
  mkdirSync(join(base, 'var'))
  mkdirSync(join(base, 'run'))
  writeFileSync(join(layer, 'usr/bin/dash'), '')
  symlinkSync('dash', join(base, 'usr/bin/sh'))
  symlinkSync('usr/bin', join(base, 'bin'))
  symlinkSync('/run', join(base, 'var/run'))
  symlinkSync('../../../../usr', join(base, 'var/up'))
  symlinkSync('round', join(base, 'round'))
  symlinkSync('absent/file', join(base, 'dangling'))
  writeFileSync(join(layer, 'hidden'), '')
  symlinkSync('usr', join(base, 'hidden'))
  return [layer, base].map((path) => {
    const fd = must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), path)
    t.teardown(() => sys.close(fd))
    return fd
  })
}

t.test('links lead where they lead for a program in the trees', async (t) => {
  const roots = trees(t)
  const leads: Record<string, [kind: string, path: string]> = {
    '': ['directory', ''],
    '/': ['directory', ''],
    'bin/sh': ['other', 'usr/bin/dash'],
    '/bin/../bin//./sh': ['other', 'usr/bin/dash'],
    'var/run': ['directory', 'run'],
    'var/up/bin': ['directory', 'usr/bin'],
    '../../bin': ['directory', 'usr/bin'],
    'bin/new': ['nowhere', 'usr/bin/new'],
    'new/below': ['nowhere', 'new/below'],
    dangling: ['nowhere', 'absent/file'],
    hidden: ['other', 'hidden'],
  }
  for (const [path, [kind, to]] of Object.entries(leads)) {
    const { kind: found, path: place } = follow(roots, path)
    t.same([found, place], [kind, to], path)
  }
})

t.test('a ring of links is an error, not a wait', async (t) => {
  const roots = trees(t)
  t.throws(() => follow(roots, 'round/x'), { code: 'ELOOP' })
})
