// Acts on mappings: private and shared, beside every other way of reaching the same bytes.
//
// Rule: no page beyond the end of a file is touched; that would be SIGBUS, on either side.

import fc from 'fast-check'
import { Stat } from '../../lib/host/stat.ts'
import { must, sys } from '../../lib/host/sys.ts'
import { act, bytesOf, onFile } from './act.ts'
import { FILE_SLOTS, MAP_SLOTS, type Side } from './side.ts'
import type { Weighed } from './vocabulary.ts'

const LENGTHS = [4096, 8192, 65_536, 131_072, 1 << 20]
const STARTS = [0, 0, 0, 4096, 65_536, 2 ** 32 - 4096]
const WITHIN = [0, 1, 10, 4000, 4096, 9000, 65_000, 70_000]
const COUNTS = [1, 10, 500, 4096, 20_000]
const SYNCS: readonly (readonly [string, number])[] = [
  ['', 4],
  [' later', 1],
  [' and look again', 6],
]

const slot = fc.nat(MAP_SLOTS - 1)
const stat = new Stat()
const sizeOf = (fd: number): number => {
  must(sys.stat(fd, '', stat), 'stat')
  return stat.size
}

/** How many of `count` bytes can be touched. */
const within = (side: Side, m: number, at: number, count: number): number =>
  Math.min(count, side.map(m).reach(sizeOf, at))

export function actsOnMappings(): Weighed[] {
  return [
    {
      weight: 4,
      arbitrary: fc
        .record({
          m: slot,
          n: fc.nat(FILE_SLOTS - 1),
          shared: fc.boolean(),
          writable: fc.boolean(),
          length: fc.constantFrom(...LENGTHS),
          offset: fc.constantFrom(...STARTS),
        })
        .map(({ m, n, ...wish }) => {
          const words = `${wish.shared ? 'shared' : 'private'}${wish.writable ? ' writable' : ''}`
          const what = `%${m} = map ${words} ${wish.length} at ${wish.offset}`
          return onFile(n, what, (side) => side.keepMap(m, n, wish), { needs: ['kernel'] })
        }),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(slot, fc.constantFrom(...WITHIN), fc.constantFrom(...COUNTS))
        .map(([m, at, count]) =>
          act(`%${m} look at ${count} at ${at}`, { maps: [m], needs: ['kernel'] }, (side) => {
            const into = Buffer.alloc(within(side, m, at, count))
            if (into.length > 0) side.map(m).mapping.read(at, into)
            return into
          }),
        ),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(slot, fc.nat(999), fc.constantFrom(...WITHIN), fc.constantFrom(...COUNTS))
        .map(([m, seed, at, count]) =>
          act(
            `%${m} put ${count} of ${seed} at ${at}`,
            { maps: [m], needs: ['kernel'], looseTimes: true },
            (side) => {
              if (!side.map(m).wish.writable) return 'not writable'
              const from = bytesOf(seed, within(side, m, at, count))
              if (from.length > 0) side.map(m).mapping.write(at, from)
              return from.length
            },
          ),
        ),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(slot, fc.constantFrom(...SYNCS))
        .map(([m, [word, flags]]) =>
          act(
            `%${m} msync${word}`,
            { maps: [m], needs: ['kernel'], looseTimes: true },
            (side) => void must(side.map(m).mapping.sync(flags), 'msync'),
          ),
        ),
    },
    {
      weight: 1,
      arbitrary: slot.map((m) =>
        act(`%${m} unmap`, { maps: [m], needs: ['kernel'], looseTimes: true }, (side) =>
          side.freeMap(m),
        ),
      ),
    },
  ]
}
