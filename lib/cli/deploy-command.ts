// svsfs deploy and rollback: layers and states of this store, or an archive, on other machines.
//
//   NAME@STATE ─▶ archive for what each host has (made once for those that have the same) ─▶ hosts
//   FILE.vpa   ─▶ as it is                                                                ─▶ hosts
//
// Rule: the archive is made by the store, and checked by the host; what lies between is lib/deploy.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import type { Archive } from '../archive/archive.ts'
import { Failure } from '../base/failure.ts'
import type { HostLine } from '../daemon/host-methods.ts'
import { type RolledBack, rollbackAnswer } from '../deploy/messages.ts'
import type { Parcel, Sending, Sent } from '../deploy/sender.ts'
import { namedState } from '../snapshot/state-name.ts'
import { type CommandRow, type Context, option } from './command.ts'
import {
  type Chosen,
  chosenHosts,
  exitOf,
  HostProgress,
  type HostResult,
  printFailed,
  resultOf,
  withLink,
} from './on-hosts.ts'
import type { Output } from './output.ts'
import type { Session } from './session.ts'
import { version } from './version.ts'
import { plural, shellWord, size } from './words.ts'

export interface DeployWish {
  /** `file`: an archive that is there. */
  readonly what:
    | { readonly kind: 'state'; readonly layer: string; readonly state: string | null }
    | { readonly kind: 'file'; readonly path: string }
  readonly as: string | null
  readonly hosts: readonly string[]
  readonly group: string | null
  readonly parallel: number
  readonly canary: number
  readonly check: string | null
  readonly checkTime: number
  readonly withBase: boolean
  readonly restore: boolean
  readonly activate: boolean
  readonly allowUnsigned: boolean
  readonly allowDevices: boolean
  readonly allowLinks: boolean
  readonly numericOwner: boolean
  readonly dryRun: boolean
}

export interface DeployAnswer {
  readonly layer: string
  /** Of the state; null for a file. */
  readonly state: string | null
  readonly results: readonly HostResult<Sent>[]
  /** Hosts of the group that are in maintenance. */
  readonly left: readonly string[]
}

const PARALLEL = 4
const CHECK_SECONDS = 300

export const deploy: CommandRow<DeployWish, DeployAnswer> = {
  about: `Each host is asked what it has, and sent what it lacks: where it has an earlier state of the layer, only what is new since. It checks the signature by the keys that it trusts (svsfs key trust there), and every digest; keeps what the layer is there as a state; and has the layer show the new one, at once, under running programs. With --check it then runs COMMAND (in a shell, with SVSFS_STORE, SVSFS_LAYER and SVSFS_STATE), and where that fails the layer is as it was before, on that host. A link that was cut goes on where it was when the command is given again.

A host that has not got the read-only part of the layer, or the layer, gets it by --with-base. svsfs rollback goes back.

The exit status is 0 where all hosts have it, 11 where some have, and otherwise that of the first failure.`,
  options: [
    option('--to <host...>', 'the hosts, by name'),
    option('--group <name>', 'all hosts of a group that are not in maintenance'),
    option('--as <name>', 'the layer there; of the same name by default'),
    option('--with-base', 'bring the read-only part to hosts that lack it'),
    option('--activate', 'have all mounts there show the layer'),
    option('--no-switch', 'keep the state there, and go on showing what is shown'),
    option('--parallel <n>', 'so many hosts at once').default(String(PARALLEL)),
    option('--canary <n>', 'so many first, alone; where one fails the others are not begun'),
    option('--check <command>', 'run on each host afterwards; where it fails, that host goes back'),
    option('--check-time <seconds>', 'how long that may take').default(String(CHECK_SECONDS)),
    option('--dry-run', 'say what would be sent'),
    option('--allow-unsigned', 'also what nobody has signed whom the host trusts'),
    option('--allow-devices', 'let devices in'),
    option('--allow-links', 'let links in that lead out of the layer'),
    option('--numeric-owner', 'owners keep their numbers, whatever they are called there'),
  ],
  examples: [
    'svsfs deploy firefox --to desk1 desk2',
    'svsfs deploy firefox@clean --group desks --canary 1 --check "svsfs run firefox -- firefox-esr --version"',
    'svsfs deploy firefox.vpa --to lab --dry-run',
  ],
  parse: (words) => {
    const hosts = words.list('to') ?? []
    const check = words.text('check')
    const restore = words.choice('switch') ?? true
    if (check !== null && !restore)
      throw new Failure('SVS_USAGE', '--check looks at what was switched to')
    return {
      what: whatOf(words.arg(0)),
      as: words.text('as'),
      hosts,
      group: words.text('group'),
      parallel: words.number('parallel', { whole: true, least: 1 }) ?? PARALLEL,
      canary: words.number('canary', { whole: true, least: 0 }) ?? 0,
      check,
      checkTime: words.number('checkTime', { whole: true, least: 1 }) ?? CHECK_SECONDS,
      withBase: words.flag('withBase'),
      restore,
      activate: words.flag('activate'),
      allowUnsigned: words.flag('allowUnsigned'),
      allowDevices: words.flag('allowDevices'),
      allowLinks: words.flag('allowLinks'),
      numericOwner: words.flag('numericOwner'),
      dryRun: words.flag('dryRun'),
    }
  },
  run: async (context, wish) => {
    context.session.keepOpen('svsfs deploy')
    const chosen = await chosenHosts(context.session, wish.hosts, wish.group)
    const answer = await deployTo(context, wish, chosen)
    context.exit(exitOf(answer.results))
    return answer
  },
  print: printDeployed,
}

function whatOf(word: string): DeployWish['what'] {
  if (/\.v[ps]a$/.test(word) || word.includes('/')) {
    const path = resolve(word)
    if (!existsSync(path)) throw new Failure('SVS_SOURCE_NOT_FOUND', path, 'ENOENT')
    return { kind: 'file', path }
  }
  const { layer, state } = namedState(word, null)
  return { kind: 'state', layer, state }
}

/** Sends to all of them. */
export async function deployTo(
  { session, out }: Pick<Context, 'session' | 'out'>,
  wish: DeployWish,
  { hosts, left }: Chosen,
): Promise<DeployAnswer> {
  const { onHosts } = await import('../deploy/rounds.ts')
  const { send } = await import('../deploy/sender.ts')
  const progress = new HostProgress(out)
  const parcels = new Parcels(session)
  try {
    const sending = await sendingOf(session, wish, parcels)
    const act = (host: HostLine) =>
      withLink(host, progress.of(host.name), (link) => send(link, sending, progress.of(host.name)))
    const outcomes = await onHosts(hosts, wish, act, (done) =>
      progress.done(done.host, done.ok === false ? done.error : null),
    )
    const { layer, state } = sending
    return { layer, state, results: outcomes.map(resultOf), left }
  } finally {
    await parcels.close()
  }
}

async function sendingOf(
  session: Session,
  wish: DeployWish,
  parcels: Parcels,
): Promise<Sending & { readonly state: string | null }> {
  const { what, as, withBase, dryRun, hosts: _, ...rest } = wish
  const { restore, activate, allowUnsigned, allowDevices, allowLinks, numericOwner } = rest
  const { check, checkTime } = rest
  const from = `${userInfo().username} on ${hostname()}`
  const allowed = { allowUnsigned, allowDevices, allowLinks }
  const owners = numericOwner ? ({ numericOwner } as const) : {}
  const take = { restore, activate, ...allowed, ...owners, check, checkTime, from }
  if (what.kind === 'file') {
    const archive = await parcels.ofFile(what.path)
    const { base, layer } = archive.manifest
    const parcel = async () => parcels.parcelOf(archive)
    // Whether a host can take it, the host says.
    const all = { candidates: [], withBase: true, dryRun, take, state: null }
    return { layer: as ?? layer.name, base: base.digest, parcel, ...all }
  }
  const { layer, state, base, candidates } = await session.call('deploy.choose', {
    layer: what.layer,
    state: what.state,
  })
  const parcel = async (earlier: string | null, brings: boolean) =>
    parcels.parcelOf(await parcels.ofState(layer, state, earlier, brings))
  // What most hosts lack is what came last: made while ssh is on its way.
  const [last] = candidates
  if (last !== undefined && !withBase) parcels.ofState(layer, state, last, false).catch(() => {})
  return { layer: as ?? layer, base, candidates, withBase, parcel, take, dryRun, state }
}

/** The archives that are sent: each is made once. */
class Parcels {
  readonly #session: Session
  readonly #archives = new Map<string, Promise<Archive>>()
  readonly #files: string[] = []

  constructor(session: Session) {
    this.#session = session
  }

  ofFile(path: string): Promise<Archive> {
    return this.#once(path, () => opened(path))
  }

  ofState(layer: string, state: string, from: string | null, withBase: boolean): Promise<Archive> {
    return this.#once(`${from} ${withBase}`, async () => {
      const dir = this.#session.places.incoming
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      const file = join(dir, `out-${randomBytes(6).toString('hex')}.vpa`)
      this.#files.push(file)
      const wish = { layer, state, from, withBase, file, version: version() }
      await this.#session.call('export', wish)
      return opened(file)
    })
  }

  async parcelOf(archive: Archive): Promise<Parcel> {
    const { chunks, codecs } = archive.manifest
    return {
      payload: archive.payload,
      texts: await archive.texts(),
      chunks,
      codecs,
      chunk: async (id) => (await archive.chunk(id))!,
    }
  }

  async close(): Promise<void> {
    for (const made of await Promise.allSettled(this.#archives.values()))
      if (made.status === 'fulfilled') await made.value.close()
    for (const file of this.#files) rmSync(file, { force: true })
  }

  #once(key: string, make: () => Promise<Archive>): Promise<Archive> {
    const known = this.#archives.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#archives.set(key, made)
    return made
  }
}

async function opened(path: string): Promise<Archive> {
  const { Archive } = await import('../archive/archive.ts')
  return Archive.open(path)
}

function printDeployed({ layer, results, left }: DeployAnswer, out: Output): void {
  for (const { host, data } of results)
    if (data !== null) out.line(`${host}: ${sentWords(layer, data)}`)
  for (const host of left) out.line(`${host}: in maintenance, left out`)
  printFailed(results, out)
  if (results.some(({ data }) => data?.done === 'switched'))
    out.note(`svsfs rollback ${shellWord(layer)} --host HOST goes back`)
}

function sentWords(
  layer: string,
  { done, state, before, chunks, bytes, mounts, created }: Sent,
): string {
  const sent = `${plural(chunks, 'chunk')}, ${size(bytes)}`
  if (done === 'would') return `${sent} would be sent`
  const what = state === null ? `layer ${layer}` : `state ${state} of layer ${layer}`
  if (done === 'already') return `it shows ${what} already; ${sent} sent`
  if (done === 'kept') return `${what} is kept there; ${sent} sent`
  const way = created ? 'the layer was made' : `before it: ${before}`
  return `shows ${what}${mounts.length === 0 ? '' : ` at ${mounts.join(', ')}`} (${way}); ${sent} sent`
}

interface RollbackWish {
  readonly layer: string
  readonly hosts: readonly string[]
  readonly group: string | null
  readonly parallel: number
}

export interface RollbackAnswer {
  readonly layer: string
  readonly results: readonly HostResult<RolledBack>[]
  readonly left: readonly string[]
}

export const rollback: CommandRow<RollbackWish, RollbackAnswer> = {
  about:
    'Each host has the layer as it was before the last deployment of it; one that was made by it is deleted there (svsfs undo brings it back). What programs changed there since is a state first. Given again it changes nothing: a rollback that some hosts missed can be given to all of them.',
  options: [
    option('--host <host...>', 'the hosts, by name'),
    option('--group <name>', 'all hosts of a group that are not in maintenance'),
    option('--parallel <n>', 'so many hosts at once').default(String(PARALLEL)),
  ],
  examples: ['svsfs rollback firefox --host desk1 desk2', 'svsfs rollback firefox --group desks'],
  parse: (words) => ({
    layer: words.arg(0),
    hosts: words.list('host') ?? [],
    group: words.text('group'),
    parallel: words.number('parallel', { whole: true, least: 1 }) ?? PARALLEL,
  }),
  run: async ({ session, out, exit }, { layer, hosts: names, group, parallel }) => {
    const { hosts, left } = await chosenHosts(session, names, group)
    const { onHosts } = await import('../deploy/rounds.ts')
    const progress = new HostProgress(out)
    const act = (host: HostLine) =>
      withLink(host, progress.of(host.name), (link) =>
        link.ask({ ask: 'rollback', params: { layer } }, rollbackAnswer),
      )
    const outcomes = await onHosts(hosts, { parallel, canary: 0 }, act, (done) =>
      progress.done(done.host, done.ok === false ? done.error : null),
    )
    const results = outcomes.map(resultOf)
    exit(exitOf(results))
    return { layer, results, left }
  },
  print: ({ layer, results, left }, out) => {
    for (const { host, data } of results)
      if (data !== null) out.line(`${host}: ${backWords(layer, data)}`)
    for (const host of left) out.line(`${host}: in maintenance, left out`)
    printFailed(results, out)
  },
}

function backWords(layer: string, { done, state }: RolledBack): string {
  if (done === 'none') return `layer ${layer} was rolled back already`
  if (done === 'removed') return `layer ${layer} was not there before, and is deleted`
  return `layer ${layer} is as in state ${state}`
}
