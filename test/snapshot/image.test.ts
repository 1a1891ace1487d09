// The frozen image: what was there at the instant is read, whatever happens afterwards. The area
// is written here as the union writes it.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { relPath } from '../../lib/base/path.ts'
import { DT } from '../../lib/host/directory.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { setXattr } from '../../lib/host/xattr.ts'
import { ownPrefix, setMark } from '../../lib/layer/marks.ts'
import { END_OF_NAMES, nameLine } from '../../lib/layer/name-log.ts'
import { contentId } from '../../lib/snapshot/file-data.ts'
import { type ImageEntry, openImage } from '../../lib/snapshot/image.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { labOf, mutate, placeOf, randomOf } from './fixture.ts'

interface Frozen {
  readonly rw: string
  readonly area: string
  readonly at: (name: string) => string
}

function frozenOf(t: Test): Frozen {
  const dir = placeOf(t)
  const rw = join(dir, 'rw')
  const area = join(dir, 'area')
  for (const path of [rw, area]) mkdirSync(path)
  return { rw, area, at: (name) => join(rw, name) }
}

const inode = (path: string): number => statSync(path).ino

// What the union does before the first change of each kind.
const before = {
  list({ area }: Frozen, dir: string): void {
    const lines = readdirSync(dir, { withFileTypes: true }).map((entry) => {
      const type = entry.isDirectory() ? DT.DIR : DT.REG
      return nameLine(entry.name, { ino: inode(join(dir, entry.name)), type })
    })
    writeFileSync(join(area, `list-${inode(dir)}`), `${lines.join('')}${END_OF_NAMES}`)
  },
  attributes({ area }: Frozen, path: string): void {
    const { mode, uid, gid, size, blocks, nlink, atimeMs, mtimeMs } = statSync(path)
    const times = { atime: Math.floor(atimeMs / 1000), mtime: Math.floor(mtimeMs / 1000) }
    const found = {
      mode,
      uid,
      gid,
      size,
      blocks,
      nlink,
      rdev: 0,
      ...times,
      atimeNsec: 0,
      mtimeNsec: 0,
    }
    const text = JSON.stringify({ ...found, xattrs: {} })
    writeFileSync(join(area, `attr-${inode(path)}`), text)
  },
  data(frozen: Frozen, path: string): void {
    before.attributes(frozen, path)
    copyFileSync(path, join(frozen.area, `data-${inode(path)}`))
  },
  lost({ area }: Frozen, path: string): void {
    linkSync(path, join(area, `link-${inode(path)}`))
  },
}

function contentOf(item: ImageEntry): string {
  const file = item.open()
  const bytes = Buffer.alloc(file.size)
  file.read(bytes, 0)
  file.close()
  return bytes.toString()
}

/** Reads an image, doing `meanwhile` after the entry of that path was met. */
function readImage({ rw, area }: Frozen, meanwhile: Record<string, () => void>) {
  const image = openImage({ rw, ro: [], numbers: null, area }, ownPrefix())
  const seen: Record<string, string> = {}
  try {
    for (const item of image.entries()) {
      const { path, kind, size } = item.entry
      meanwhile[path]?.()
      seen[path] = kind === 'file' ? `${size}:${contentOf(item)}` : kind
    }
    image.check()
  } finally {
    image.close()
  }
  return seen
}

t.test('names made, removed and moved after the instant do not show', async (t) => {
  const frozen = frozenOf(t)
  const { at } = frozen
  for (const dir of ['d', 'e']) mkdirSync(at(dir))
  for (const name of ['a', 'd/in', 'e/in', 'z']) writeFileSync(at(name), name)
  const was = readImage(frozen, {})
  const now = readImage(frozen, {
    '': () => {
      before.list(frozen, frozen.rw)
      before.lost(frozen, at('z'))
      rmSync(at('z'))
      before.lost(frozen, at('a'))
      renameSync(at('a'), at('moved'))
      writeFileSync(at('new'), 'new')
      writeFileSync(at('z'), 'another z')
    },
    d: () => {
      before.list(frozen, at('e'))
      before.lost(frozen, at('e/in'))
      rmSync(at('e/in'))
    },
  })
  t.same(now, was)
})

t.test('bytes and attributes changed after the instant do not show', async (t) => {
  const frozen = frozenOf(t)
  const { at } = frozen
  for (const name of ['a', 'b', 'c']) writeFileSync(at(name), `old ${name}`)
  const was = readImage(frozen, {})
  const now = readImage(frozen, {
    a: () => {
      before.data(frozen, at('a'))
      truncateSync(at('a'), 0)
      before.data(frozen, at('b'))
      writeFileSync(at('b'), 'NEW and longer than before')
    },
    b: () => {
      before.attributes(frozen, at('c'))
      execFileSync('chmod', ['0', at('c')])
    },
  })
  t.same(now, was)
})

for (const [mode, what] of [
  [0o755, ''],
  [0o400, ', also one that its owner may not search'],
] as const)
  t.test(`a directory that was moved away is read where it went${what}`, async (t) => {
    const frozen = frozenOf(t)
    const { at } = frozen
    mkdirSync(at('d/deep'), { recursive: true })
    writeFileSync(at('d/deep/f'), 'f')
    chmodSync(at('d'), mode)
    const was = readImage(frozen, {})
    const fd = must(sys.openat(AT_FDCWD, at('d'), O.PATH | O.DIRECTORY))
    const now = readImage(frozen, {
      '': () => {
        before.list(frozen, frozen.rw)
        writeFileSync(join(frozen.area, `dir-${inode(at('d'))}`), String(fd))
        renameSync(at('d'), at('elsewhere'))
      },
    })
    sys.close(fd)
    chmodSync(at('elsewhere'), 0o755)
    t.same(now, was)
  })

t.test('a directory removed while it was being looked at shows what it had', async (t) => {
  const frozen = frozenOf(t)
  const { at, rw } = frozen
  for (const dir of ['empty', 'full']) mkdirSync(at(dir))
  writeFileSync(at('full/f'), 'f')
  const was = readImage(frozen, {})
  const now = readImage(frozen, {
    empty: () => {
      before.list(frozen, rw)
      rmSync(at('empty'), { recursive: true })
    },
    full: () => {
      before.list(frozen, at('full'))
      before.lost(frozen, at('full/f'))
      rmSync(at('full'), { recursive: true })
    },
  })
  t.same(now, was)
})

t.test('an area that could not be kept ends the reading, with the reason', async (t) => {
  const frozen = frozenOf(t)
  writeFileSync(frozen.at('a'), 'a')
  writeFileSync(join(frozen.area, 'failed'), 'no space left')
  const failure = { code: 'SVS_FREEZE_FAILED', message: /no space left/ }
  t.throws(() => readImage(frozen, {}), failure)
})

t.test('a snapshot of a frozen layer is the image, not what came later', async (t) => {
  const lab = await labOf(t)
  const frozen = {
    rw: lab.dirs.rw,
    area: join(lab.dir, 'area'),
    at: (name: string) => join(lab.dirs.rw, name),
  }
  mkdirSync(frozen.area)
  writeFileSync(frozen.at('f'), 'as it was')
  before.data(frozen, frozen.at('f'))
  writeFileSync(frozen.at('f'), 'changed since')
  const { catalogue, layer, dirs } = lab
  const { snapshot } = await takeSnapshot({
    catalogue,
    layer,
    dirs: { ...dirs, area: frozen.area },
  })
  await lab.restore(snapshot)
  t.same(readImage({ ...frozen, area: lab.dirs.work }, {}).f, '9:as it was')
})

t.test('the id of a content tells holes from zeros', async (t) => {
  const { rw, at, area } = frozenOf(t)
  writeFileSync(at('zeros'), Buffer.alloc(100_000))
  writeFileSync(at('holes'), '')
  truncateSync(at('holes'), 100_000)
  const image = openImage({ rw, ro: [], numbers: null, area }, ownPrefix())
  t.teardown(() => image.close())
  const ids: string[] = []
  for (const item of image.entries()) {
    if (item.entry.kind !== 'file') continue
    const file = item.open()
    ids.push(contentId(file))
    file.close()
  }
  t.equal(ids.length, 2)
  t.not(ids[0], ids[1])
})

t.test('what its owner may not read is in the image all the same', async (t) => {
  const { rw, at, area } = frozenOf(t)
  mkdirSync(at('closed'))
  writeFileSync(at('closed/f'), 'inside')
  writeFileSync(at('shut'), 'secret')
  execFileSync('chmod', ['0', at('closed'), at('shut')])
  const seen = readImage({ rw, area, at }, {})
  t.match(seen, { closed: 'dir', 'closed/f': '6:inside', shut: '6:secret' })
  t.equal(statSync(at('shut')).mode & 0o777, 0)
  t.equal(statSync(at('closed')).mode & 0o777, 0)
  execFileSync('chmod', ['700', at('closed')])
})

t.test('an image may be left half read', async (t) => {
  const lab = await labOf(t)
  mutate(lab.dirs.rw, randomOf(3), 60)
  const fds = () => readdirSync('/proc/self/fd').length
  const count = fds()
  for (let round = 0; round < 5; round++) {
    const image = openImage(lab.dirs, ownPrefix())
    let left = 4
    for (const _ of image.entries()) if (left-- === 0) break
    image.close()
  }
  t.equal(fds(), count)
})

t.test('what the kernel renamed within a directory shows what lies there below', (t) => {
  const { rw, at } = frozenOf(t)
  const redirect = (path: string, to: string) => {
    const fd = must(sys.openat(AT_FDCWD, at(path), O.RDONLY))
    must(setXattr(fd, '', `${ownPrefix()}.overlay.redirect`, Buffer.from(to)))
    return fd
  }
  mkdirSync(at('moved/inner'), { recursive: true })
  mkdirSync(at('hidden/inner'), { recursive: true })
  for (const path of ['moved/meta', 'hidden/meta']) {
    writeFileSync(at(path), '')
    truncateSync(at(path), 9)
  }
  const hidden = must(sys.openat(AT_FDCWD, at('hidden'), O.RDONLY))
  setMark(hidden, '', 'opaque', ownPrefix())
  const fds = [hidden, redirect('moved', '/below/was'), redirect('moved/inner', 'old')]
  fds.push(redirect('hidden/inner', 'old'), redirect('moved/meta', 'file'))
  setMark(fds.at(-1)!, '', 'metacopy', ownPrefix())
  for (const fd of fds) sys.close(fd)
  const seen = (entries: Iterable<ImageEntry>) =>
    Object.fromEntries(
      [...entries].map(({ entry, lower }) => [entry.path, [lower, entry.marks?.redirect ?? null]]),
    )
  const image = openImage({ rw, ro: [], numbers: null, area: null }, ownPrefix())
  t.teardown(() => image.close())
  t.match(seen(image.entries()), {
    moved: ['below/was', 'below/was'],
    'moved/inner': ['below/was/old', 'below/was/old'],
    'moved/meta': ['below/was/file', 'below/was/file'],
    hidden: [null, null],
    'hidden/inner': [null, null],
  })
  mkdirSync(at('moved/inner/deep'))
  t.match(seen(image.visit(relPath('moved/inner/deep'), false)), {
    'moved/inner/deep': ['below/was/old/deep', null],
  })
  t.end()
})
