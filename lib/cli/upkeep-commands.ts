// svsfs gc: keeping a store in order by hand.

import type { Command } from 'commander'
import type { Collected } from '../daemon/garbage.ts'
import { addCommand, type CommandRow, option } from './command.ts'
import { plural, size } from './words.ts'

interface GcWish {
  readonly dryRun: boolean
  readonly all: boolean
}

const gc: CommandRow<GcWish, Collected> = {
  usage: 'gc',
  summary: 'remove what no state and no layer needs',
  about:
    'Chunks and contents that no state refers to, and directories that no record names. Mounts and snapshots go on meanwhile, and it may be broken off at any time. The daemon does it by itself, a while after states were deleted and once a day. A deleted layer can be brought back by svsfs undo for a week; --all takes it away now.',
  options: [
    option('--dry-run', 'only say what would go'),
    option('--all', 'also deleted layers that could still be brought back'),
  ],
  examples: ['svsfs gc', 'svsfs gc --dry-run --json'],
  parse: (words) => ({ dryRun: words.flag('dryRun'), all: words.flag('all') }),
  run: ({ session }, wish) => session.call('gc', wish),
  print: (found, out) => {
    const would = found.dryRun ? 'would be ' : ''
    for (const name of found.layers) out.line(`deleted layer ${name}: ${would}gone for good`)
    for (const path of found.directories) out.line(`${path}: ${would}removed`)
    for (const path of found.foreign)
      out.note(`note: ${path} is in no record, but older than the catalogue; it is left alone`)
    const parts = [
      plural(found.chunks, 'chunk'),
      plural(found.contents, 'content'),
      plural(found.lists, 'list'),
    ].join(', ')
    out.line(`${parts} ${would}removed: ${size(found.bytes)}`)
  },
}

export function addUpkeepCommands(program: Command): void {
  addCommand(program, gc)
}
