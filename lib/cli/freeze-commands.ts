// svsfs freeze, freezes, thaw: a layer as it was at one instant, beside the one that goes on.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { FreezeLine } from '../daemon/frozen-layers.ts'
import { type CommandRow, option } from './command.ts'
import { ago, clock, size } from './words.ts'

interface FreezeWish {
  readonly layer: string
  readonly preserve: string | null
  readonly block: number
}

export const freeze: CommandRow<FreezeWish, FreezeLine> = {
  about: `Nothing is copied at the instant; what programs change afterwards is preserved first, small files whole, of larger ones the blocks. svsfs mount DIR --frozen ID shows the image, svsfs thaw ends it and frees all that it has, svsfs freezes lists them. It outlives the daemon, also one that is killed, but not in the middle of a restore of its layer; after the machine went down unexpectedly, and in memory after any restart of it, it is gone, and svsfs freezes says so. Where the area is full the image ends as failed, and reading it gives EIO; the layer goes on.

Memory (--preserve ram:64M) is one area for all freezes that are in it; the last limit that was said counts.`,
  options: [
    option('--preserve <place>', 'where changes are preserved: a directory, or ram:64M'),
    option('--block <size>', 'granularity of large files: 4K (default) to 1M'),
  ],
  examples: [
    'svsfs freeze mail',
    'svsfs freeze mail --preserve ram:64M --block 64K',
    'svsfs mount /mnt/then --frozen 3fa2c1',
  ],
  parse: (words) => {
    const preserve = words.text('preserve')
    return {
      layer: words.arg(0),
      preserve: preserve === null ? null : placeOf(preserve),
      block: bytesOf('--block', words.text('block') ?? '4K'),
    }
  },
  run: ({ session }, wish) => session.call('freeze', wish),
  print: ({ id, layer }, out) => {
    out.line(`freeze ${id} of ${layer}`)
    out.note(`svsfs mount DIR --frozen ${id} shows it, svsfs thaw ${id} ends it`)
  },
}

function placeOf(preserve: string): string {
  if (!preserve.startsWith('ram:')) return resolve(preserve)
  return `ram:${bytesOf('--preserve', preserve.slice(4))}`
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

function bytesOf(name: string, text: string): number {
  const found = /^(\d{1,12})([KMG]?)$/.exec(text)
  if (found === null) throw new Failure('SVS_USAGE', `${name} must be a size as 64K or 1M: ${text}`)
  return Number(found[1]) * UNITS[found[2]!]!
}

export const freezes: CommandRow<null, FreezeLine[]> = {
  about:
    'whole: it shows what was. failed, gone: it shows nothing any more; svsfs thaw removes it.',
  examples: ['svsfs freezes', 'svsfs freezes --json'],
  parse: () => null,
  run: ({ session }) => session.call('freezes', {}),
  print: (lines, out) => {
    if (lines.length === 0) return out.note('no layer is frozen; svsfs freeze NAME does it')
    out.table(
      ['FREEZE', 'LAYER', 'SINCE', '', 'STATE', 'BLOCKS', 'BYTES', 'IN', 'SHOWN AT'],
      lines.map((line) => [
        line.id,
        line.layer,
        clock(line.since),
        ago(line.since),
        line.reason === '' ? line.state : `${line.state}: ${line.reason}`,
        String(line.blocks),
        size(line.bytes),
        line.preserve,
        line.mounts.join(' '),
      ]),
    )
  },
}

export const thaw: CommandRow<string, FreezeLine> = {
  about:
    'Nothing is merged: the layer is what it is. What was written to a writable image goes, too.',
  examples: ['svsfs thaw 3fa2c1'],
  parse: (words) => words.arg(0),
  run: ({ session }, id) => session.call('thaw', { id }),
  print: ({ id, layer, bytes }, out) =>
    out.line(`freeze ${id} of ${layer} is ended, ${size(bytes)} are free`),
}
