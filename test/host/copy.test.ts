// Copies of bytes within and between disks: whole, holes kept.

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { copyData } from '../../lib/host/copy.ts'

/** Directories on two kinds of disk, where the machine has both. */
const dirs = [tmpdir(), '/dev/shm'].map((place) => mkdtempSync(join(place, 'svsfs-copy-')))
t.teardown(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true })
})

function copied(fromDir: string, toDir: string, fill: (fd: number) => void, size?: number) {
  const [source, target] = [join(fromDir, 'from'), join(toDir, 'to')]
  const from = openSync(source, 'w+')
  const to = openSync(target, 'w+')
  try {
    fill(from)
    copyData(from, to, size ?? fstatSync(from).size)
    return { from: readFileSync(source), to: readFileSync(target), blocks: fstatSync(to).blocks }
  } finally {
    closeSync(from)
    closeSync(to)
    rmSync(source)
    rmSync(target)
  }
}

for (const from of dirs) {
  for (const to of dirs) {
    const between = from === to ? `on the disk of ${from}` : `from ${from} to ${to}`

    t.test(`bytes are the same ${between}`, async (t) => {
      const bytes = Buffer.alloc(3_333_333, 'the quick brown fox')
      const { to: result } = copied(from, to, (fd) => writeSync(fd, bytes))
      t.ok(result.equals(bytes))
      t.equal(copied(from, to, () => {}).to.length, 0, 'an empty file too')
    })

    t.test(`holes stay holes ${between}`, async (t) => {
      const result = copied(from, to, (fd) => {
        writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, 8 * 1024 * 1024)
        writeSync(fd, Buffer.alloc(10, 2), 0, 10, 32 * 1024 * 1024)
        ftruncateSync(fd, 64 * 1024 * 1024)
      })
      t.ok(result.to.equals(result.from))
      t.ok(result.blocks * 512 < 1024 * 1024, `${result.blocks} blocks`)
    })

    t.test(`a size below or above the source's is what the copy gets ${between}`, async (t) => {
      const fill = (fd: number) => writeSync(fd, Buffer.alloc(10_000, 'x'))
      t.equal(copied(from, to, fill, 5000).to.toString(), 'x'.repeat(5000))
      t.equal(copied(from, to, fill, 20_000).to.length, 20_000)
    })
  }
}

t.test('a source that cannot be read is an errno', async (t) => {
  const fd = openSync(join(dirs[0]!, 'write-only'), 'w')
  const to = openSync(join(dirs[0]!, 'other'), 'w')
  writeSync(fd, 'text')
  t.throws(() => copyData(fd, to, 4), { code: 'EBADF' })
  closeSync(fd)
  closeSync(to)
})
