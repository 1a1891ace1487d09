// Needs root: it mounts a small disk, and breaks it.
//
// A disk that turns read-only under a mount, as ext4 does when it finds itself damaged: changes
// are EROFS, everything can still be read, and nothing shows that was refused.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t from 'tap'
import { O } from '../../lib/host/sys.ts'
import { text } from '../behaviour/act.ts'
import { errnoOfCall, type Place } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { Served } from '../behaviour/served.ts'
import { compareTrees, seeTree } from '../behaviour/walk.ts'
import { mountSmallDisk, unmountSmallDisk } from './small-disk.ts'

const CHANGES: Record<string, (place: Place) => void> = {
  'a new file': (p) => p.open('dir/new', O.WRONLY | O.CREAT).close(),
  'a new directory': (p) => p.mkdir('new'),
  'writing into what lies below': (p) => p.open('below', O.RDWR).close(),
  'emptying what lies below': (p) => p.truncate('below', 0),
  'a mode': (p) => p.chmod('below', 0o600),
  'removing what lies below': (p) => p.unlink('below'),
  'removing its own': (p) => p.unlink('own'),
  renaming: (p) => p.rename('below', 'elsewhere'),
  'a further name': (p) => p.link('own', 'elsewhere'),
  'an attribute': (p) => p.setxattr('own', 'user.x', 'y'),
  'its times': (p) => p.utimens('own', 1n, 2n),
}

t.test('a disk that turns read-only under a mount', async (t) => {
  t.setTimeout(60_000)
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'svsfs-ro-')))
  const disk = join(root, 'disk')
  mkdirSync(join(root, 'lower'))
  mkdirSync(join(root, 'lower/dir'))
  mkdirSync(join(root, 'mnt'))
  writeFileSync(join(root, 'lower/below'), 'lies below\n')
  mountSmallDisk('ext4', disk, 'blocks')
  for (const name of ['up', 'work']) mkdirSync(join(disk, name))
  writeFileSync(join(disk, 'up/own'), 'own\n')
  const options = `lowerdir=${root}/lower,upperdir=${disk}/up,workdir=${disk}/work`
  const served = await Served.start(
    ['overlay', 'ro', join(root, 'mnt'), '-f', '-o', options],
    join(root, 'mnt'),
  )
  const view = new RealPlace(join(root, 'mnt'))
  t.teardown(async () => {
    view.close()
    await served.end()
    unmountSmallDisk(disk)
    rmSync(root, { recursive: true })
  })
  const before = seeTree(view)
  const open = view.open('own', O.RDWR)
  breakDisk(disk)

  for (const [title, change] of Object.entries(CHANGES)) {
    t.equal(
      errnoOfCall(() => change(view)),
      'EROFS',
      title,
    )
    t.same(compareTrees(before, seeTree(view)), [], `${title} has changed nothing`)
  }
  t.equal(text(view, 'below'), 'lies below\n')
  open.pwrite('OWN', 0)
  t.match(
    errnoOfCall(() => open.sync()),
    /^(EROFS|EIO)$/,
    'fsync says that it could not be written',
  )
  errnoOfCall(() => open.close())
  t.match(text(view, 'own'), /^(own|OWN)\n$/, 'it can be read')
  t.notMatch(served.said, /unexpectedly/)
})

/** Has ext4 believe that it found itself damaged. */
function breakDisk(disk: string): void {
  const device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', disk], { encoding: 'utf8' }).trim()
  writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, 'a test')
}
