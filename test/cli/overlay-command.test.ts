// The words of svsfs overlay and mount.fuse.svsfs.
// Runs once: no user matters to it.

import t from 'tap'
import { overlayWords } from '../../lib/cli/overlay-command.ts'

const PLAIN = { source: 'svsfs', foreground: false, trace: false, transport: 'direct' }

t.test('source and mount point, or the mount point alone, with options anywhere', async (t) => {
  t.match(overlayWords(['src', '/m', '-o', 'lowerdir=/a']), {
    ...PLAIN,
    source: 'src',
    mountPoint: '/m',
    options: 'lowerdir=/a',
  })
  t.match(overlayWords(['-o', 'lowerdir=/a,rw', '/m']), { ...PLAIN, mountPoint: '/m' })
  t.match(overlayWords(['/m', '-olowerdir=/a', '-o', 'ro']), { options: 'lowerdir=/a,ro' })
})

t.test('what mount(8) passes along is taken', async (t) => {
  t.match(overlayWords(['src', '/m', '-n', '-s', '-v', '-t', 'fuse.svsfs', '-o', 'lowerdir=/a']), {
    source: 'src',
    mountPoint: '/m',
  })
  t.match(overlayWords(['/m', '-f', '-d', '-o', 'lowerdir=/a']), { foreground: true, trace: true })
})

t.test('what it does not know is refused', async (t) => {
  for (const words of [
    [],
    ['a', 'b', 'c'],
    ['/m', '--nonsense'],
    ['/m', '-o'],
    ['/m', '--transport', 'x'],
  ])
    t.throws(() => overlayWords(words), { code: 'SVS_USAGE', exit: 2 }, words.join(' '))
})
