// svsfs restore: a layer, or parts of it, as in a state.
//
//   words ─▶ --to?        copied into a directory; the layer stays
//            --dry-run?   the plan is shown
//            else         who holds changed files open? ─▶ restored in place
//
// Rule: processes are looked for here, never by the daemon, and only where something is open.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { CopyAnswer, PlanAnswer, RestoreAnswer } from '../daemon/restore-methods.ts'
import type { StateLine } from '../daemon/state-methods.ts'
import type { SublayerLine } from '../daemon/sublayer-methods.ts'
import { namedState } from '../snapshot/state-name.ts'
import { confirm, needTerminal, pick } from './ask.ts'
import { atOption, stateAt } from './at-time.ts'
import { type CommandRow, type Context, hostOption, option } from './command.ts'
import { diffContents } from './contents.ts'
import { type Holder, holdersBelow } from './open-files.ts'
import { type Output, printable } from './output.ts'
import { dayTime, wayBackWords } from './pick-lines.ts'
import { describe } from './state-commands.ts'
import { ago, plural, shellWord, size } from './words.ts'

interface RestoreWish {
  readonly layer: string | null
  readonly state: string | null
  readonly pick: boolean
  readonly at: string | null
  readonly paths: string[] | null
  readonly to: string | null
  readonly as: string | null
  readonly keepBoth: boolean
  readonly dryRun: boolean
  readonly force: boolean
}

/** Exit status where a user could not make all that a state has. */
const IN_PART = 11

type Done =
  | ({ readonly did: 'restored' } & RestoreAnswer)
  | ({ readonly did: 'copied' } & CopyAnswer)
  | ({ readonly did: 'made' } & SublayerLine)
  | ({ readonly did: 'planned'; readonly open: readonly Holder[] } & PlanAnswer)

export const restore: CommandRow<RestoreWish, Done> = {
  about: `NAME@STATE and NAME STATE are the same. A state is named by its id or the beginning of it, by its label, by "latest", or by -1 for the one before the latest, -2 and so on. What is replaced is kept as a state first, so that a restore can be undone.

--pick shows a list: typing filters it, the arrows go, Tab shows what restoring the state under the cursor would change, Enter asks once more and says what would be lost.

Only what differs is touched: a file that is the same goes on in place. A program that has a changed file open keeps the old content under that descriptor, and sees the restored one when it opens it again; such programs of yours, also those under svsfs run, are listed first, and without a terminal nothing is done then unless --force is given.

--path restores a file or a directory alone, named as in the layer or where a mount shows it. With --keep-both what is there stays, and a file that differs comes beside it as NAME~ID. With --as the state becomes a writable sublayer of its own, and nothing changes until svsfs activate NAME --sublayer switches to it. With --to nothing of the layer is touched: ordinary files are made in that directory, with owners (as root), modes, attributes and links.`,
  options: [
    option('--pick', 'choose from a list that tells what each would change'),
    atOption(),
    option('--path <path...>', 'these alone: files, or directories with all that lies in them'),
    option('--to <dir>', 'into this directory, outside of the layer; nothing there is replaced'),
    option('--as <sublayer>', 'as a writable sublayer of its own, not yet activated'),
    option('--keep-both', 'leave what is there; what differs comes beside it'),
    option('--dry-run', 'show what would be written, removed and lost; change nothing'),
    option('--force', 'also where programs hold changed files open'),
    hostOption(),
  ],
  onHost: true,
  examples: [
    'svsfs restore firefox --pick',
    'svsfs restore firefox@latest',
    'svsfs restore firefox --at yesterday',
    'svsfs restore firefox 3f9a --dry-run',
    'svsfs restore firefox -1 --path etc/firefox.ini',
    'svsfs restore firefox -1 --path etc --keep-both',
    'svsfs restore firefox 3f9a --as before-update',
    'svsfs restore firefox 3f9a --path home/notes --to /tmp/old',
  ],
  parse: (words) => ({
    ...namedWords(words.optionalArg(0), words.optionalArg(1)),
    pick: words.flag('pick'),
    at: words.text('at'),
    paths: words.list('path'),
    to: words.text('to'),
    as: words.text('as'),
    keepBoth: words.flag('keepBoth'),
    dryRun: words.flag('dryRun'),
    force: words.flag('force'),
  }),
  run: async (context, wish) => {
    refuseMixed(wish)
    const { layer, state } = await chosen(context, wish)
    const { paths, keepBoth, to } = wish
    if (to !== null) {
      const wanted = { layer, state, paths, directory: resolve(to) }
      const copy = await context.session.call('restore.to', wanted)
      if (copy.left.length > 0) context.exit(IN_PART)
      return { did: 'copied', ...copy }
    }
    if (wish.as !== null) {
      const wanted = { layer, state, sublayer: wish.as }
      return { did: 'made', ...(await context.session.call('sublayer.make', wanted)) }
    }
    const wanted = { layer, state, paths, keepBoth }
    if (wish.dryRun) {
      const plan = await context.session.call('restore.plan', wanted)
      return { did: 'planned', ...plan, open: holdersOf(await mountsOf(context, layer), plan) }
    }
    if (wish.pick) await agreeTo(context, wanted)
    else if (!wish.force) await refuseOpen(context, wanted)
    return { did: 'restored', ...(await context.session.call('restore', wanted)) }
  },
  print: (done, out) => {
    if (done.did === 'restored') printRestored(done, out)
    else if (done.did === 'copied') printCopied(done, out)
    else if (done.did === 'made') printMade(done, out)
    else printPlan(done, out)
  },
}

const namedWords = (first: string | null, second: string | null) =>
  first === null ? { layer: null, state: null } : namedState(first, second)

function refuseMixed({ to, as, paths, keepBoth, dryRun }: RestoreWish): void {
  const elsewhere = to !== null ? '--to' : as !== null ? '--as' : null
  if (elsewhere === null) return
  const given = [
    keepBoth && '--keep-both',
    dryRun && '--dry-run',
    to !== null && as !== null && '--as',
  ]
  const other = given.find((each) => each !== false) ?? (as !== null && paths !== null && '--path')
  if (other) throw new Failure('SVS_USAGE', `${elsewhere} and ${other} do not go together`)
}

function printMade({ layer, name, state }: SublayerLine, out: Output): void {
  out.line(`state ${state} of layer ${layer} is its writable sublayer ${name}`)
  out.note(`svsfs activate ${shellWord(layer)} --sublayer ${shellWord(name)} switches to it`)
}

function printRestored(
  { layer, state, before, changed, mounts }: RestoreAnswer,
  out: Output,
): void {
  const done =
    changed === null
      ? 'as a whole'
      : `${changed.write} written, ${changed.remove} removed, ${changed.attrs} with other attributes`
  out.line(`layer ${layer} is as ${ago(state.time)} (state ${state.id}): ${done}`)
  if (mounts.length > 0) out.line(`seen at ${mounts.join(', ')}`)
  out.note(`svsfs undo ${shellWord(layer)} takes this back (what was there is state ${before.id})`)
}

function printCopied({ state, directory, entries, bytes, left }: CopyAnswer, out: Output): void {
  out.line(`${plural(entries, 'name')} of state ${state.id} in ${directory}, ${size(bytes)}`)
  if (left.length > 0) out.note(`not made, because only root may: ${left.join(', ')}`)
}

function printPlan(plan: PlanAnswer & { open: readonly Holder[] }, out: Output): void {
  const { layer, state, whole, write, remove, attrs, lose, open } = plan
  out.line(`restoring layer ${layer} to state ${state.id}, ${ago(state.time)}, would do this:`)
  if (whole) out.line('everything is exchanged: the read-only part is of another version')
  const newer = new Set(lose)
  for (const { path, size: bytes } of write)
    out.line(`write   ${path}  (${size(bytes)})${newer.has(path) ? '  over newer data' : ''}`)
  for (const path of remove) out.line(`remove  ${path}${newer.has(path) ? '  newer data' : ''}`)
  for (const path of attrs) out.line(`attrs   ${path}`)
  const bytes = write.reduce((sum, one) => sum + one.size, 0)
  out.line(
    `${write.length} written (${size(bytes)}), ${remove.length} removed, ${attrs.length} with other attributes, ${lose.length} kept in no state yet`,
  )
  for (const line of wordsOf(open)) out.line(line)
  out.note('without --dry-run it is done, and svsfs undo takes it back')
}

const wordsOf = (holders: readonly Holder[]): string[] =>
  holders.map(
    ({ pid, name, files }) =>
      `open in ${name} (process ${pid}): ${files.slice(0, 3).join(', ')}${files.length > 3 ? `, and ${files.length - 3} more` : ''}`,
  )

async function mountsOf({ session }: Context, layer: string): Promise<string[]> {
  // Who holds files open on another machine is not looked for.
  if (session.isRemote) return []
  const mounts = await session.call('mounts', {})
  return mounts.filter(({ layers }) => layers.includes(layer)).map(({ mountPoint }) => mountPoint)
}

/** Who has something open that the plan changes. */
function holdersOf(mountPoints: readonly string[], plan: PlanAnswer): Holder[] {
  if (mountPoints.length === 0) return []
  const exact = new Set(plan.write.map(({ path }) => path))
  const gone = new Set(plan.remove)
  const isGone = (path: string): boolean =>
    path !== '' && (gone.has(path) || isGone(path.slice(0, path.lastIndexOf('/'))))
  return holdersBelow(mountPoints, (path) => plan.whole || exact.has(path) || isGone(path))
}

// The plan is asked for only where something of the layer's mounts is open at all.
async function refuseOpen(
  context: Context,
  wanted: { layer: string; state: string; paths: string[] | null; keepBoth: boolean },
): Promise<void> {
  const mountPoints = await mountsOf(context, wanted.layer)
  if (mountPoints.length === 0 || holdersBelow(mountPoints, () => true).length === 0) return
  const plan = await context.session.call('restore.plan', wanted)
  const open = holdersOf(mountPoints, plan)
  if (open.length === 0) return
  for (const line of wordsOf(open)) context.out.note(line)
  if (process.stdin.isTTY === true && process.stderr.isTTY === true && !context.out.json)
    return confirm('They keep what they have open. Restore all the same?')
  throw new Failure(
    'SVS_FILES_OPEN',
    wanted.layer,
    open.map(({ pid, name }) => `${name} (process ${pid})`).join(', '),
  )
}

async function chosen(
  context: Context,
  { layer, state, pick: picks, at }: RestoreWish,
): Promise<{ layer: string; state: string }> {
  if (at !== null) {
    if (layer === null || state !== null || picks)
      throw new Failure(
        'SVS_USAGE',
        '--at needs a layer, and takes the place of a state and --pick',
      )
    return { layer, state: await stateAt(at) }
  }
  if (!picks) {
    if (layer === null)
      throw new Failure('SVS_USAGE', 'restore needs a layer and a state, or --pick')
    return { layer, state: state ?? (await refuseWithoutState(context, layer)) }
  }
  if (state !== null) throw new Failure('SVS_USAGE', 'give either a state or --pick')
  needTerminal('a layer and a state (svsfs snapshots lists them)')
  return pickState(context, layer)
}

async function refuseWithoutState({ session }: Context, layer: string): Promise<never> {
  const last = (await session.call('snapshots', { layer })).slice(0, 5)
  if (last.length === 0) throw new Failure('SVS_STATE_NONE', layer)
  const list = last.map((state) => `\n  ${state.id}  ${ago(state.time)}  ${describe(state)}`)
  throw new Failure('SVS_STATE_MISSING', layer, list.join(''))
}

/** The layer, where there are several, then one of its states. */
async function pickState(
  { session }: Context,
  layer: string | null,
): Promise<{ layer: string; state: string }> {
  const all = await session.call('snapshots', { layer })
  const stored = all.filter(({ status }) => status === 'stored')
  if (stored.length === 0) throw new Failure('SVS_STATE_NONE', layer ?? 'any layer')
  const name = layer ?? (await pickLayer(stored))
  const states = stored.filter((state) => state.layer === name)
  const { pickOf } = await import('./pick-state.ts')
  const { id } = await pickOf(`Which state of ${name} shall come back?`, states, (state, whole) => {
    const wish = { layer: name, from: state.id, to: 'now', paths: null }
    return whole ? diffContents(session, wish) : session.call('diff', wish)
  })
  return { layer: name, state: id }
}

async function pickLayer(states: readonly StateLine[]): Promise<string> {
  const names = [...new Set(states.map(({ layer }) => layer))]
  if (names.length === 1) return names[0]!
  const choices = names.map((value) => {
    const own = states.filter(({ layer }) => layer === value)
    const hint = `${plural(own.length, 'state')}, the newest ${ago(own[0]?.time ?? 0)}`
    return { value, label: value, hint }
  })
  return pick('Which layer?', choices, 'a layer and a state')
}

/** Names that a question has room for. */
const NAMED = 5

/** Says what a picked state would cost, and asks once for all of it. */
async function agreeTo(
  context: Context,
  wanted: { layer: string; state: string; paths: string[] | null; keepBoth: boolean },
): Promise<void> {
  const { out, session } = context
  const plan = await session.call('restore.plan', wanted)
  const { lose, whole } = plan
  const { layer, state, paths } = wanted
  const since = await session.call('diff', { layer, from: state, to: 'now', paths })
  const named = (paths: readonly string[]) =>
    `${paths.slice(0, NAMED).map(printable).join(', ')}${paths.length > NAMED ? `, and ${paths.length - NAMED} more` : ''}`
  if (whole) out.note('everything is exchanged: the read-only part is of another version')
  else out.note(`restoring it: ${wayBackWords(since)}`)
  if (lose.length > 0)
    out.note(`lost here, and kept as a state first: ${plural(lose.length, 'file')}: ${named(lose)}`)
  for (const line of wordsOf(holdersOf(await mountsOf(context, wanted.layer), plan))) out.note(line)
  await confirm(`Restore ${wanted.layer} to ${ago(plan.state.time)}, ${dayTime(plan.state.time)}?`)
}
