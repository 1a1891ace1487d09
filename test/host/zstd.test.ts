// Frames with and without a prefix, and what becomes of hostile ones.

import t from 'tap'
import { BadFrame, compress, decompress, LARGEST_WINDOW } from '../../lib/host/zstd.ts'

const text = Buffer.from('all work and no play '.repeat(1000))
const noise = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[at] = state >>> 16
  }
  return bytes
}

t.test('what went in comes out', async (t) => {
  for (const data of [Buffer.alloc(0), Buffer.from('x'), text, noise(100_000)])
    t.ok(decompress(compress(data), data.length).equals(data))
})

t.test('a frame against its prefix holds only what is new', async (t) => {
  const prefix = noise(5_000_000)
  const data = Buffer.concat([
    prefix.subarray(0, 3_000_000),
    Buffer.from('new'),
    prefix.subarray(3_000_000),
  ])
  const frame = compress(data, { prefix })
  t.ok(frame.length < 1000, `${frame.length} bytes`)
  t.ok(decompress(frame, data.length, prefix).equals(data))
  t.throws(() => {
    const made = decompress(frame, data.length, noise(4_000_000).reverse())
    if (!made.equals(data)) throw new BadFrame('another prefix, other bytes')
  }, BadFrame)
})

t.test('a frame of another size than told is refused before memory is taken', async (t) => {
  const frame = compress(Buffer.alloc(50 * 1024 * 1024))
  t.throws(() => decompress(frame, 1000), { message: /where 1000 belong/ })
})

t.test('bytes that are no frame are refused', async (t) => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('not a frame at all'), Buffer.alloc(100, 0xff)])
    t.throws(() => decompress(bytes, 10), { name: 'BadFrame' })
  const frame = compress(text)
  t.throws(() => decompress(frame.subarray(0, frame.length - 5), text.length), { name: 'BadFrame' })
  for (let at = 6; at < frame.length; at++) {
    const bent = Buffer.from(frame)
    bent[at]! ^= 0x55
    try {
      decompress(bent, text.length)
    } catch (err) {
      if (!(err instanceof BadFrame)) throw err
    }
  }
})

t.test('more than one window is a mistake of the caller', async (t) => {
  const prefix = Buffer.allocUnsafeSlow(LARGEST_WINDOW)
  t.throws(() => compress(Buffer.alloc(1), { prefix }), TypeError)
})
