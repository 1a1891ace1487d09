// svsfs gc, verify: keeping a store in order by hand.

import type { Collected } from '../daemon/garbage.ts'
import type { VerifyAnswer } from '../daemon/verifying.ts'
import { type CommandRow, option } from './command.ts'
import { plural, shellWord, size } from './words.ts'

interface GcWish {
  readonly dryRun: boolean
  readonly all: boolean
}

export const gc: CommandRow<GcWish, Collected> = {
  about:
    'Chunks and contents that no state refers to, directories that no record names, and what came of a deployment that nobody went on with for a week. Mounts and snapshots go on meanwhile, and it may be broken off at any time. While something is mounted the daemon does it by itself, a minute after it deleted states and once a day. A deleted layer can be brought back by svsfs undo for a week, while svsfs undo --list has it; --all takes it away now.',
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
    if (found.dryRun && found.bytes > 0) out.note('without --dry-run they go')
  },
}

interface VerifyWish {
  readonly layer: string | null
  readonly repair: boolean
}

/** Exit status where something is damaged. */
const DAMAGED = 7

export const verify: CommandRow<VerifyWish, VerifyAnswer> = {
  about:
    'Every record, every chunk by its digest, every file of every state by making it, with what it refers to in the read-only part. A fault is told with the states and paths that it hurts, and the exit status is 7. With --repair, what the layer or its read-only part still has is stored anew; states that cannot be had again stay, so that what is whole in them can still be restored.',
  options: [option('--repair', 'get back what can be had again')],
  examples: ['svsfs verify', 'svsfs verify firefox --repair', 'svsfs verify --json'],
  parse: (words) => ({ layer: words.optionalArg(0), repair: words.flag('repair') }),
  run: async ({ session, exit }, wish) => {
    const found = await session.call('verify', wish)
    if (found.left > 0) exit(DAMAGED)
    return found
  },
  print: (found, out, { repair }) => {
    for (const { kind, at, why, hurts, repaired } of found.faults) {
      out.line(`${repaired ? 'repaired' : 'damaged'}: ${kind} ${at}: ${why}`)
      for (const { layer, state, paths, count } of hurts) {
        const more = count > paths.length ? ` and ${count - paths.length} more` : ''
        out.line(`  ${shellWord(layer)}@${state}: ${paths.join(', ')}${more}`)
      }
    }
    out.line(
      `${plural(found.states, 'state')}, ${plural(found.contents, 'content')}, ${plural(found.chunks, 'chunk')} (${size(found.bytes)}): ${found.left === 0 ? 'whole' : plural(found.left, 'fault')}`,
    )
    if (found.left > 0 && !repair) out.note('svsfs verify --repair gets back what can be had again')
  },
}
