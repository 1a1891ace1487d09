// svsfs snapshot, snapshots: states of layers in time.

import { Failure } from '../base/failure.ts'
import type { SnapshotAnswer, StateLine } from '../daemon/state-methods.ts'
import { splitName } from '../snapshot/state-name.ts'
import { type CommandRow, hostOption, option, repeated, type Words } from './command.ts'
import { plainHttp, type Wished } from './repository-options.ts'
import { type KeptThere, keepInRepository, repositoryOf } from './snapshot-elsewhere.ts'
import { ago, clock, shellWord, size } from './words.ts'

interface SnapshotWish {
  readonly layer: string
  readonly message: string
  readonly label: string | null
  readonly tags: Readonly<Record<string, string>>
  readonly always: boolean
  readonly wait: boolean
  /** The host that keeps it too. */
  readonly to: string | null
  readonly allowUnsigned: boolean
  /** The repository that keeps it in place of this store. */
  readonly repository: Wished | null
}

/** `kept`: where the state is now, with --to. */
type SnapshotDone = SnapshotAnswer & { readonly kept?: KeptThere }

export const snapshot: CommandRow<SnapshotWish, SnapshotDone> = {
  about:
    'The state is that of one instant, also while programs go on writing; they are not stopped. Only what differs from the read-only part is stored, compressed. Where nothing changed since the last state, it says so and makes none, unless the new one is to have a label. With --no-wait, an id that is printed stands for a state, also where what was written turns out to be as before.',
  options: [
    option('-m, --message <text>', 'what this state is'),
    option('--label <word>', 'a name by which svsfs restore finds it'),
    repeated('--tag <key=value>', 'a word to find it by; as often as wanted'),
    option('--allow-empty', 'also where nothing changed since the last state'),
    option('--no-wait', 'return when the instant has come; a mounted layer is stored meanwhile'),
    option(
      '--to <host or place>',
      'keep the state on that host too (svsfs deploy has it shown there), or instead of here in a registry or a directory, written as for svsfs push',
    ),
    option('--allow-unsigned', 'with --to HOST: also where that host trusts none of the keys here'),
    plainHttp,
    hostOption(),
  ],
  onHost: true,
  examples: [
    'svsfs snapshot firefox -m "before the update"',
    'svsfs snapshot firefox --label clean',
    'svsfs snapshot firefox --tag release=12 --tag tested',
    'svsfs snapshot firefox --no-wait',
    'svsfs snapshot firefox --to standby',
    'svsfs snapshot firefox --to registry.example/backup/firefox:monday',
  ],
  parse: (words) => ({
    layer: words.arg(0),
    message: words.text('message') ?? '',
    label: words.text('label'),
    tags: tagsOf(words.list('tag') ?? []),
    always: words.flag('allowEmpty'),
    wait: words.flag('wait'),
    ...targetOf(words),
    allowUnsigned: words.flag('allowUnsigned'),
  }),
  run: async (context, { to, repository, allowUnsigned, ...wish }) => {
    const isElsewhere = to !== null || repository !== null
    if (isElsewhere && !wish.wait)
      throw new Failure('SVS_USAGE', '--to waits for the state, and --no-wait does not')
    if (isElsewhere && context.session.isRemote)
      throw new Failure('SVS_USAGE', '--to and --host do not go together')
    const state = await context.session.call('snapshot', wish)
    if (repository !== null)
      return { ...state, kept: await keepInRepository(context, state, repository) }
    if (to === null) return state
    const { keepThere } = await import('./keep-there.ts')
    await keepThere(context, { layer: state.layer, state: state.id, to, allowUnsigned })
    return state
  },
  print: (state, out, { to }) => {
    if (to !== null) out.line(`${to} keeps state ${state.id}`)

    if (state.status === 'pending')
      out.line(
        `state ${state.id} of ${state.layer} is pending; svsfs snapshots shows when it is stored`,
      )
    else if (!state.taken) out.line(`nothing changed since state ${state.id}, ${ago(state.time)}`)
    else
      out.line(
        `state ${state.id} of ${state.layer}: ${difference(state)}, ${size(state.stored)} stored`,
      )
    if (state.taken && state.status !== 'pending' && state.kept === undefined)
      out.note(`svsfs restore ${fullName(state)} goes back to it`)
    if (state.kept !== undefined) {
      const { place, sent } = state.kept
      out.line(`it is ${place}, ${size(sent)} sent${state.taken ? ', and not here any more' : ''}`)
    }
  },
}

/** What --to names: a host by its name, or a repository. */
function targetOf(words: Words): Pick<SnapshotWish, 'to' | 'repository'> {
  const repository = repositoryOf(words)
  return { to: repository === null ? words.text('to') : null, repository }
}

/** `key=value` and `key`, as tags. Throws SVS_USAGE. */
export function tagsOf(words: readonly string[]): Record<string, string> {
  const pairs = words.map((word): [string, string] => {
    const at = word.indexOf('=')
    return at === -1 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)]
  })
  const bare = pairs.find(([name]) => name === '')
  if (bare !== undefined) throw new Failure('SVS_USAGE', `the tag "=${bare[1]}" has no key`)
  return Object.fromEntries(pairs)
}

const difference = ({ counts }: StateLine): string => differenceWords(counts)

/** `2 added, 1 changed`. */
export function differenceWords(counts: StateLine['counts']): string {
  const parts = [
    [counts.added, 'added'],
    [counts.changed, 'changed'],
    [counts.deleted, 'deleted'],
    [counts.renamed, 'renamed'],
    [counts.attributes, 'with other attributes'],
  ] as const
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return said.length === 0 ? 'no difference' : said.join(', ')
}

interface ListWish {
  readonly layer: string | null
  readonly state: string | null
  readonly last: number | null
  readonly sizes: boolean
}

export const snapshots: CommandRow<ListWish, StateLine[]> = {
  about:
    'NAME@A..B lists those from A to B, each of them an id or the beginning of one, a label, "latest", or -1 for the one before the latest. * marks the state that the layer came from, ! one that is pinned, … one that is pending: not stored yet. STORED is what a state added to the store when it was taken; with --sizes, OWN is what would go with it, SHARED what others need too.',
  options: [
    option('--last <n>', 'only so many'),
    option('--sizes', 'what each needs of the store, by going through all of them'),
    hostOption(),
  ],
  onHost: true,
  examples: [
    'svsfs snapshots',
    'svsfs snapshots firefox --last 10',
    'svsfs snapshots firefox@clean..latest --sizes',
  ],
  parse: (words) => ({
    ...nameOf(words.optionalArg(0)),
    last: words.number('last', { whole: true, least: 1 }),
    sizes: words.flag('sizes'),
  }),
  run: ({ session }, wish) => session.call('snapshots', wish),
  print: (states, out, { layer, sizes }) => {
    if (states.length === 0) return out.note('no states yet; svsfs snapshot NAME makes one')
    const names = layer === null ? ['LAYER'] : []
    const bytes = sizes ? ['OWN', 'SHARED'] : ['STORED']
    out.table(
      ['', 'STATE', ...names, 'WHEN', '', ...bytes, 'WHY', 'WHAT'],
      states.map((state) => [
        `${state.current ? '*' : ''}${state.pinned ? '!' : ''}${state.status === 'pending' ? '…' : ''}`,
        state.id,
        ...(layer === null ? [state.layer] : []),
        clock(state.time),
        ago(state.time),
        ...(sizes
          ? [size(state.sizes?.own ?? 0), size(state.sizes?.shared ?? 0)]
          : [size(state.stored)]),
        state.trigger,
        describe(state),
      ]),
    )
  },
}

function nameOf(word: string | null): { layer: string | null; state: string | null } {
  return word === null ? { layer: null, state: null } : splitName(word)
}

/** Label, message and tags of a state, or what it changed. */
export const describe = (state: StateLine): string =>
  [
    state.label === null ? '' : `[${state.label}]`,
    state.message || (state.status === 'pending' ? 'pending' : difference(state)),
    ...Object.entries(state.tags).map(([name, value]) =>
      value === '' ? `#${name}` : `#${name}=${value}`,
    ),
  ]
    .filter(Boolean)
    .join(' ')

/** `NAME@STATE`, as a shell takes it. */
export const fullName = ({ layer, id }: StateLine): string => `${shellWord(layer)}@${id}`
