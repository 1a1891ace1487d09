// svsfs mount and umount.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { Params } from '../daemon/api.ts'
import type { MountAnswer, UmountAnswer } from '../daemon/mount-methods.ts'
import { splitName } from '../snapshot/state-name.ts'
import { atOption, stateAt } from './at-time.ts'
import { type CommandRow, type Context, option, type Words } from './command.ts'
import { shellWord } from './words.ts'

type MountWish = Params<'mount'> & {
  readonly foreground: boolean
  readonly frozen: string | null
  readonly state: string | null
  readonly at: string | null
  readonly writable: boolean
}

export const mount: CommandRow<MountWish, MountAnswer> = {
  about: `Starts the daemon of the store where it does not run yet; it ends with its last mount. The directory may be the base itself: the layers then appear installed in place. With --foreground this command is the daemon, so none may run for the store yet: it serves the further mounts too.

With --state, the directory shows what the layer showed at that state, alone and read-only; files are read when they are opened, and nothing is restored. What it shows stays until svsfs umount, also where the state is deleted meanwhile; the layer cannot be deleted before.

The transport fuse-native (npm package fuse-native, libfuse 2) is for systems where /dev/fuse cannot be opened directly. It does not know the calling user's groups, cannot tell the kernel of changes (activation is seen within a second), and has no passthrough.

With --data-path passthrough, the kernel reads and writes files past the daemon: faster, and without a second cache. It needs root and Linux 6.9; elsewhere the mount is cached, and svsfs status --json says so. Who has a file open for reading before its first change then keeps the old one, and a snapshot copies what is open for writing at its instant, for which all requests wait where the disk cannot share blocks.`,
  options: [
    option('--base <dir>', 'an ordinary directory tree under all layers'),
    option('--base-writable', 'changes of files that only the base has go to the base'),
    option('--base-timeout <s>', 'seconds for which the base is trusted not to change (default 1)'),
    option('--layer <name...>', 'show these layers only, of the active ones; may be repeated'),
    option('--write-to <name>', 'the layer that new files go to where nothing else decides'),
    option('--read-only', 'refuse every change'),
    option('--whole-copies', 'copy large files up whole at their first write, not by blocks'),
    option(
      '--settle-rate <MiB>',
      'a second: what follows the first write to a large file (default 32; 0: svsfs settle does it)',
    ),
    option('--frozen <id>', 'show a freeze instead of layers (svsfs freezes), read-only'),
    option('--state <name@state>', 'show a state as a directory instead of layers, read-only'),
    atOption(),
    option('--writable', 'with --frozen: writes go to its preservation area, never to the layer'),
    option('--allow-other', 'let other users in (the default for root)'),
    option('--no-allow-other', 'keep other users out'),
    option(
      '--transport <name>',
      'how to speak with the kernel: direct (default), fuse-native',
    ).choices(['direct', 'fuse-native']),
    option(
      '--data-path <name>',
      'cached (default) or passthrough (with --read-only the default)',
    ).choices(['cached', 'passthrough']),
    option('--trace', 'a line for each request and reply: in the log, or here with --foreground'),
    option('--foreground', 'do not detach: serve until interrupted; not while the daemon runs'),
    option('--kernel-cap <version>', 'behave as with an older kernel').choices(['6.1']).hideHelp(),
  ],
  examples: [
    'svsfs mount /mnt/app                     # the active layers alone',
    'svsfs mount /mnt/root --base /           # over the system, which stays as it is',
    'svsfs mount /opt/suite --base /opt/suite # in place',
    'svsfs mount /mnt/app --layer tools fonts --read-only',
    'svsfs mount --layer tools --layer fonts /mnt/app',
    'svsfs mount /mnt/then --frozen 3fa2c1    # a layer as it was at an instant',
    'svsfs mount /mnt/old --state mail@-1     # a state, without restoring it',
    'svsfs mount /mnt/old --state mail --at "3 days ago"',
  ],
  parse: (words) => {
    refuseOthers(words)
    const base = words.text('base')
    const { dir, layers } = dirAndLayers(words)
    const [transport, cap] = [words.text('transport'), words.text('kernelCap')]
    const dataPath = words.text('dataPath')
    return {
      mountPoint: resolve(dir),
      base: base === null ? null : resolve(base),
      baseWritable: words.flag('baseWritable'),
      wholeCopies: words.flag('wholeCopies'),
      settleRate: words.number('settleRate', { least: 0 }),
      baseTimeout: words.number('baseTimeout', { least: 0 }) ?? 1,
      layers,
      writeTo: words.text('writeTo'),
      readOnly: words.flag('readOnly'),
      allowOther: words.choice('allowOther'),
      transport: transport === null ? null : (transport as 'direct' | 'fuse-native'),
      trace: words.flag('trace'),
      kernelCap: cap === null ? null : '6.1',
      dataPath: dataPath === null ? null : (dataPath as 'cached' | 'passthrough'),
      foreground: words.flag('foreground'),
      frozen: words.text('frozen'),
      state: words.text('state'),
      at: words.text('at'),
      writable: words.flag('writable'),
    }
  },
  run: async (context, { foreground, frozen, state, at, writable, ...params }) => {
    if (at !== null) return mountState(context, params, await atTime(state, at))
    if (state !== null) return mountState(context, params, state)
    if (frozen !== null) return mountFrozen(context, params, frozen, writable)
    if (writable) throw new Failure('SVS_USAGE', '--writable needs --frozen')
    if (foreground) return serveHere(context, params)
    context.session.preferTransport(params.transport ?? 'direct')
    return context.session.call('mount', params)
  },
  print: ({ mountPoint, layers, inactive }, out, { foreground }) => {
    if (foreground) return
    out.line(`mounted at ${mountPoint}: ${layers.join(' ') || 'no layer is active'}`)
    for (const name of inactive)
      out.note(`layer ${name} is not active; svsfs activate ${shellWord(name)} shows it`)
    out.note(`svsfs umount ${shellWord(mountPoint)} takes it away`)
  },
}

/** What may stand beside an option that shows one thing alone; the rest would not be heeded. */
const ALONE: readonly (readonly [option: string, shows: string, beside: readonly string[]])[] = [
  ['--state', 'one state alone, read-only', ['--read-only', '--at']],
  ['--frozen', 'one layer alone', ['--writable']],
]
const ALWAYS = ['--allow-other', '--color', '--json', '--quiet', '--store', '--verbose']

function refuseOthers(words: Words): void {
  const given = words.given()
  for (const [option, shows, beside] of ALONE) {
    if (!given.includes(option)) continue
    const others = given.filter((each) => ![option, ...beside, ...ALWAYS].includes(each))
    if (others.length > 0)
      throw new Failure('SVS_USAGE', `${option} shows ${shows}: without ${others.join(', ')}`)
  }
}

function mountFrozen(
  { session }: Context,
  { mountPoint, allowOther = null }: Params<'mount'>,
  id: string,
  writable: boolean,
): Promise<MountAnswer> {
  return session.call('mount.frozen', { id, mountPoint, writable, allowOther })
}

async function atTime(state: string | null, at: string): Promise<string> {
  if (state === null || state.includes('@'))
    throw new Failure('SVS_USAGE', '--at needs --state with the name of a layer alone')
  return `${state}@${await stateAt(at)}`
}

function mountState(
  { session }: Context,
  { mountPoint, allowOther = null }: Params<'mount'>,
  name: string,
): Promise<MountAnswer> {
  const { layer, state } = splitName(name)
  if (state === null) throw new Failure('SVS_USAGE', '--state needs NAME@STATE')
  return session.call('mount.state', { layer, state, mountPoint, allowOther })
}

/** The words of --layer may have the directory among them: no name of a layer has a slash. */
function dirAndLayers(words: Words): { dir: string; layers: string[] | null } {
  const given = words.optionalArg(0)
  const named = words.list('layer')
  if (given !== null) return { dir: given, layers: named }
  const layers = named ?? []
  const at = layers.findIndex((word) => word.includes('/') || word === '.' || word === '..')
  const [dir] = layers.splice(at, 1)
  if (dir === undefined || layers.length === 0)
    throw new Failure('SVS_USAGE', 'mount needs a directory')
  return { dir, layers }
}

/** Is the daemon itself until it is interrupted or the mount is gone. */
async function serveHere(context: Context, params: Params<'mount'>): Promise<MountAnswer> {
  const { startDaemon } = await import('../daemon/start.ts')
  const { perform } = await import('../daemon/api.ts')
  const { takeStore } = await import('../daemon/store.ts')
  const { root } = context.session.places
  takeStore(root, 'svsfs mount', true).release()
  const daemon = await startDaemon({ root, transport: params.transport ?? 'direct', log: 2 })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void daemon.stop(signal))
  try {
    const call = { progress: () => {}, whenGone: () => {} }
    const answer = (await perform(daemon.control, 'mount', params, call)) as MountAnswer
    context.out.note(`mounted at ${answer.mountPoint}; Ctrl-C ends it`)
    await daemon.ended
    return answer
  } catch (err) {
    await daemon.stop('the mount failed')
    throw err
  }
}

interface UmountWish {
  readonly mountPoint: string | null
  readonly lazy: boolean
}

export const umount: CommandRow<UmountWish, UmountAnswer> = {
  about:
    'The daemon of the store ends with its last mount, unless it is a service (svsfs daemon). A mount that svsfs enable has made comes back with the next boot; svsfs disable ends that.',
  options: [
    option('--all', 'all mounts of the store'),
    option('--lazy', 'also where programs still use it; they keep what they have open'),
  ],
  examples: ['svsfs umount /mnt/app', 'svsfs umount --all'],
  parse: (words) => {
    const dir = words.optionalArg(0)
    if ((dir === null) !== words.flag('all'))
      throw new Failure('SVS_USAGE', 'give either a directory or --all')
    return { mountPoint: dir === null ? null : resolve(dir), lazy: words.flag('lazy') }
  },
  run: async (context, { mountPoint, lazy }) => {
    if (mountPoint === null) return umountAll(context, lazy)
    const { session } = context
    const { storeExists } = await import('../daemon/store.ts')
    if (storeExists(session.places.root)) {
      const answer = await session.call('umount', { mountPoint, lazy })
      if (answer.ends) await session.untilFree()
      return answer
    }
    const { umountForeign } = await import('../daemon/mount-methods.ts')
    return { mountPoints: [await umountForeign(mountPoint, lazy)], left: 0, used: [], ends: true }
  },
  print: ({ mountPoints, used }, out) => {
    for (const place of mountPoints) out.line(`unmounted ${place}`)
    for (const place of used)
      out.note(
        `what ${place} showed is still used, by a program or in another mount namespace, and served until that ends`,
      )
    if (mountPoints.length === 0) out.line('nothing was mounted')
  },
}

async function umountAll({ session }: Context, lazy: boolean): Promise<UmountAnswer> {
  const answer = await session.call('umount.all', { lazy })
  if (answer.ends) await session.untilFree()
  return answer
}
