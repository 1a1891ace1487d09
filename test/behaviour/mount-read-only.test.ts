// A read-only mount shows the same tree, along both data paths, and refuses every change.

import t from 'tap'
import { O, S } from '../../lib/host/sys.ts'
import { errnoOfCall, type OpenFile, type Place } from './place.ts'
import { START } from './start.ts'
import { dropIn } from './subject-mount.ts'
import { compareTrees, compareWithDrawn, seeTree } from './walk.ts'

/** Each way to change something, and what it was meant for. */
const CHANGES: Readonly<Record<string, (place: Place) => unknown>> = {
  'open for writing': (place) => place.open('readme', O.WRONLY),
  'open, made empty': (place) => place.open('readme', O.RDONLY | O.TRUNC),
  create: (place) => place.open('new', O.RDWR | O.CREAT, 0o644),
  'nameless file': (place) => place.tmpfile('dir', O.RDWR, 0o600),
  truncate: (place) => place.truncate('readme', 1),
  chmod: (place) => place.chmod('readme', 0o600),
  'chmod of a directory': (place) => place.chmod('dir', 0o700),
  times: (place) => place.utimens('readme', 'now', 'now'),
  mkdir: (place) => place.mkdir('new'),
  fifo: (place) => place.mknod('new', S.IFIFO | 0o600),
  symlink: (place) => place.symlink('readme', 'new'),
  link: (place) => place.link('readme', 'new'),
  unlink: (place) => place.unlink('readme'),
  rmdir: (place) => place.rmdir('dir/deep/er'),
  rename: (place) => place.rename('readme', 'new'),
  attribute: (place) => place.setxattr('readme', 'user.new', 'value'),
  'chmod by a descriptor': (place) => opened(place, (file) => file.chmod(0o600)),
  'attribute by a descriptor': (place) => opened(place, (file) => file.setxattr('user.new', 'v')),
}

function opened(place: Place, work: (file: OpenFile) => void): void {
  const file = place.open('readme')
  try {
    work(file)
  } finally {
    file.close()
  }
}

for (const dataPath of ['cached', 'passthrough'] as const)
  await t.test(`read-only, ${dataPath}`, async (t) => {
    const ground = await dropIn({ name: dataPath, readOnly: true, dataPath }).make(['start'])
    t.teardown(() => ground.close())
    const place = ground.place('start')
    const before = ground.lowers.map((lower) => seeTree(lower))
    t.same(compareWithDrawn(place, START), [], 'it shows the starting tree as it is drawn')
    for (const [title, change] of Object.entries(CHANGES))
      t.equal(
        errnoOfCall(() => change(place)),
        'EROFS',
        `${title} is refused`,
      )
    t.same(compareWithDrawn(place, START), [], 'it still does')
    place.close()
    ground.lowers.forEach((lower, i) => {
      t.same(compareTrees(before[i]!, seeTree(lower)), [], 'a lower tree is as it was')
    })
  })
