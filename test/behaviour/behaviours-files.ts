// Bytes of files: reading, writing, growing, cutting, holes.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { append, put, refuses, text, using, whole } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { BIG, pattern, SPARSE } from './start.ts'

const PUNCH = 3 // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE

export const FILES: Behaviours = {
  'a file opened for writing only takes writes and refuses reads'(place) {
    using(place.open('readme', O.WRONLY), (file) => {
      file.write('W')
      refuses('EBADF', () => file.read(1))
    })
    assert.equal(text(place, 'readme'), 'Wead me\n')
  },

  'a file opened for reading refuses writes'(place) {
    using(place.open('readme'), (file) => {
      refuses('EBADF', () => file.write('x'))
      refuses(['EBADF', 'EINVAL'], () => file.truncate(0))
    })
  },

  'a few bytes written in the middle leave the others'(place) {
    using(place.open('big', O.RDWR), (file) => file.pwrite('HERE', 150_000))
    const expected = pattern(BIG)
    assert.equal(text(place, 'big'), `${expected.slice(0, 150_000)}HERE${expected.slice(150_004)}`)
  },

  'writes across pages and in odd sizes read back'(place) {
    const pieces = [
      [1, 4095],
      [4000, 200],
      [8191, 2],
      [65_535, 70_001],
      [299_990, 20],
    ] as const
    let expected = pattern(BIG)
    using(place.open('big', O.RDWR), (file) => {
      for (const [at, length] of pieces) {
        const bytes = String.fromCharCode(65 + (at % 26)).repeat(length)
        assert.equal(file.pwrite(bytes, at), length)
        expected = expected.slice(0, at) + bytes + expected.slice(at + length)
      }
      assert.equal(whole(file), expected)
    })
    assert.equal(text(place, 'big'), expected)
    assert.equal(place.stat('big').size, expected.length)
  },

  'a large new file reads back'(place) {
    const bytes = pattern(3_000_001)
    put(place, 'large', bytes)
    assert.equal(text(place, 'large'), bytes)
    assert.equal(place.stat('large').size, bytes.length)
  },

  'reads beyond the end are short or empty'(place) {
    using(place.open('readme'), (file) => {
      assert.equal(file.pread(100, 4).latin1Slice(), ' me\n')
      assert.equal(file.pread(100, 8).length, 0)
      assert.equal(file.pread(100, 1 << 20).length, 0)
    })
  },

  'O_APPEND writes at the end, wherever the offset is'(place) {
    const file = place.open('readme', O.RDWR | O.APPEND)
    file.write('one\n')
    file.seek(0, 0)
    file.write('two\n')
    assert.equal(whole(file), 'read me\none\ntwo\n')
    file.close()
    append(place, 'readme', 'three\n')
    assert.equal(text(place, 'readme'), 'read me\none\ntwo\nthree\n')
  },

  'two appenders do not overwrite each other'(place) {
    const a = place.open('dir/a', O.WRONLY | O.APPEND)
    const b = place.open('dir/a', O.WRONLY | O.APPEND)
    for (let i = 0; i < 20; i++) {
      a.write(`a${i}\n`)
      b.write(`b${i}\n`)
    }
    a.close()
    b.close()
    const lines = Array.from({ length: 20 }, (_, i) => `a${i}\nb${i}\n`).join('')
    assert.equal(text(place, 'dir/a'), `a\n${lines}`)
  },

  'O_TRUNC empties a file and keeps mode and owner'(place) {
    const before = place.stat('owned')
    place.open('owned', O.WRONLY | O.TRUNC).close()
    const after = place.stat('owned')
    assert.equal(after.size, 0)
    assert.equal(text(place, 'owned'), '')
    assert.deepEqual(
      [after.mode, after.uid, after.gid, after.ino],
      [before.mode, before.uid, before.gid, before.ino],
    )
  },

  'O_TRUNC of a large file leaves nothing of it'(place) {
    put(place, 'big', 'small')
    assert.equal(text(place, 'big'), 'small')
    using(place.open('big', O.RDWR), (file) => file.truncate(1000))
    assert.equal(text(place, 'big'), `small${'\0'.repeat(995)}`)
  },

  'truncate cuts a file by name'(place) {
    place.truncate('big', 100_001)
    assert.equal(place.stat('big').size, 100_001)
    assert.equal(text(place, 'big'), pattern(100_001))
    place.truncate('big', 0)
    assert.equal(text(place, 'big'), '')
  },

  'truncate grows a file with zeros'(place) {
    place.truncate('readme', 10_000)
    assert.equal(text(place, 'readme'), `read me\n${'\0'.repeat(9992)}`)
  },

  'a file cut and grown again has zeros where it was cut'(place) {
    using(place.open('big', O.RDWR), (file) => {
      file.truncate(5_000)
      file.truncate(20_000)
      assert.equal(whole(file), pattern(5_000) + '\0'.repeat(15_000))
    })
    assert.equal(text(place, 'big'), pattern(5_000) + '\0'.repeat(15_000))
  },

  'ftruncate on a new file shows at once by name'(place) {
    using(place.open('new', O.RDWR | O.CREAT), (file) => {
      file.write('0123456789')
      file.truncate(4)
      assert.equal(place.stat('new').size, 4)
      assert.equal(file.stat().size, 4)
      assert.equal(text(place, 'new'), '0123')
    })
  },

  'a write beyond the end leaves a hole of zeros'(place) {
    using(place.open('readme', O.RDWR), (file) => file.pwrite('far', 100_000))
    assert.equal(text(place, 'readme'), `read me\n${'\0'.repeat(99_992)}far`)
    assert.equal(place.stat('readme').size, 100_003)
  },

  'what one descriptor writes, another one reads'(place) {
    const writer = place.open('dir/b', O.WRONLY)
    const reader = place.open('dir/b')
    assert.equal(reader.pread(10, 0).latin1Slice(), 'b\n')
    writer.pwrite('B!', 0)
    assert.equal(reader.pread(10, 0).latin1Slice(), 'B!')
    writer.pwrite('longer than before', 0)
    assert.equal(reader.pread(100, 0).latin1Slice(), 'longer than before')
    assert.equal(reader.stat().size, 18)
    writer.close()
    assert.equal(reader.pread(100, 0).latin1Slice(), 'longer than before')
    reader.close()
  },

  'a reader that was there first sees the first write ever made to a file'(place) {
    const reader = place.open('big')
    const before = reader.pread(16, 200_000).latin1Slice()
    assert.equal(before, pattern(BIG).slice(200_000, 200_016))
    using(place.open('big', O.RDWR), (file) => file.pwrite('sixteen bytes :)', 200_000))
    assert.equal(reader.pread(16, 200_000).latin1Slice(), 'sixteen bytes :)')
    reader.close()
  },

  'a file with holes keeps its bytes through a first change'(place) {
    using(place.open('sparse', O.RDWR), (file) => file.pwrite('x', SPARSE - 1))
    const zeros = (length: number) => '\0'.repeat(length)
    const half = 512 * 1024
    const expected = `${pattern(4096) + zeros(half - 4096) + pattern(4096) + zeros(SPARSE - half - 4097)}x`
    assert.equal(text(place, 'sparse') === expected, true)
  },

  'a file with holes stays sparse through a first change'(place) {
    place.chmod('sparse', 0o600)
    append(place, 'sparse', 'end')
    using(place.open('sparse', O.RDWR), (file) => file.sync())
    const { blocks, size } = place.stat('sparse')
    assert.equal(size, SPARSE + 3)
    assert.ok(blocks * 512 < SPARSE / 4, `${blocks * 512} bytes on disk`)
  },

  'SEEK_DATA and SEEK_HOLE find the parts of a file with holes'(place) {
    using(place.open('sparse'), (file) => {
      const hole = file.seek(0, 4)
      const data = file.seek(hole, 3)
      // A disk may know holes only in steps of its own.
      assert.ok(hole >= 4096 && hole <= 256 * 1024, `hole at ${hole}`)
      assert.ok(data > 256 * 1024 && data <= 512 * 1024, `data at ${data}`)
      assert.equal(file.seek(SPARSE - 1, 4) <= SPARSE, true)
      refuses('ENXIO', () => file.seek(SPARSE + 1, 3))
    })
  },

  'SEEK_DATA and SEEK_HOLE know what was written a moment ago'(place) {
    using(place.open('sparse', O.RDWR), (file) => {
      file.pwrite('x'.repeat(4096), 256 * 1024)
      file.pwrite('end', 2 * SPARSE)
      assert.equal(file.seek(128 * 1024, 3), 256 * 1024)
      assert.equal(file.seek(2 * SPARSE, 3), 2 * SPARSE)
      assert.equal(file.seek(2 * SPARSE, 4), 2 * SPARSE + 3)
      assert.equal(text(place, 'sparse').length, 2 * SPARSE + 3)
    })
  },

  'fallocate makes a file longer'(place) {
    using(place.open('readme', O.RDWR), (file) => {
      file.allocate(0, 0, 50_000)
      assert.equal(file.stat().size, 50_000)
      assert.equal(whole(file), `read me\n${'\0'.repeat(49_992)}`)
    })
  },

  'a punched hole reads as zeros'(place) {
    using(place.open('big', O.RDWR), (file) => {
      file.allocate(PUNCH, 8192, 16_384)
      const expected = pattern(BIG)
      assert.equal(
        whole(file) === expected.slice(0, 8192) + '\0'.repeat(16_384) + expected.slice(24_576),
        true,
      )
      assert.equal(file.stat().size, BIG)
    })
  },

  'copy_file_range moves bytes between files'(place) {
    const from = place.open('big')
    const to = place.open('dir/c', O.RDWR)
    let done = 0
    while (done < 100_000) done += from.copyTo(to, 1000 + done, 2 + done, 100_000 - done)
    assert.equal(done, 100_000)
    assert.equal(whole(to), `c\n${pattern(101_000).slice(1000)}`)
    from.close()
    to.close()
  },

  'fsync and fdatasync succeed on what is read and what is written'(place) {
    using(place.open('readme', O.RDWR), (file) => {
      file.sync()
      file.write('x')
      file.sync()
      file.write('y')
      file.sync(true)
    })
    using(place.open('dir/a'), (file) => file.sync())
    const directory = place.opendir('dir')
    directory.sync()
    directory.close()
    assert.equal(text(place, 'readme').slice(0, 2), 'xy')
  },

  'offsets beyond 4 GiB hold bytes'(place) {
    const far = 5 * 1024 ** 3
    using(place.open('new', O.RDWR | O.CREAT), (file) => {
      file.pwrite('far away', far)
      assert.equal(file.pread(8, far).latin1Slice(), 'far away')
      assert.equal(file.stat().size, far + 8)
    })
    assert.equal(place.stat('new').size, far + 8)
    place.unlink('new')
  },

  'a descriptor has one offset for reads and writes'(place) {
    using(place.open('readme', O.RDWR), (file) => {
      assert.equal(file.read(5).latin1Slice(), 'read ')
      file.write('it')
      assert.equal(file.seek(0, 1), 7)
      assert.equal(file.seek(-1, 2), 7)
      assert.equal(file.read(10).latin1Slice(), '\n')
    })
    assert.equal(text(place, 'readme'), 'read it\n')
  },

  'an open for writing that writes nothing changes nothing'(place) {
    const before = place.stat('old')
    place.open('old', O.RDWR).close()
    place.open('old', O.WRONLY | O.APPEND).close()
    const after = place.stat('old')
    assert.deepEqual([after.mtime, after.size, after.ino], [before.mtime, before.size, before.ino])
    assert.equal(text(place, 'old'), 'older than time\n')
  },
}
