// svsfs enable and disable: mounts that come back with the machine, as units of systemd.
//
//   svsfs enable DIR [as svsfs mount] ─▶ units (units.ts) ─▶ on the disk, enabled (unit-files.ts)
//
// Rule: nothing is mounted or unmounted without --now; with --print nothing is touched at all.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import { type CommandRow, option, type Words } from './command.ts'
import { mount } from './mount-commands.ts'
import {
  managerRuns,
  needUnit,
  removeUnit,
  systemctl,
  type UnitPlace,
  unitDirectory,
  writeUnits,
} from './unit-files.ts'
import { daemonUnit, type Manager, mountUnit, mountUnitName, type Unit } from './units.ts'
import { shellWord } from './words.ts'

/** Options of `svsfs mount` that a mount at boot may have. */
const MOUNT_OPTIONS: readonly string[] = [
  '--base',
  '--base-writable',
  '--base-timeout',
  '--layer',
  '--write-to',
  '--read-only',
  '--whole-copies',
  '--settle-rate',
  '--allow-other',
  '--no-allow-other',
  '--data-path',
]

const OF_MOUNT = (mount.options ?? []).filter(({ long }) => MOUNT_OPTIONS.includes(long ?? ''))

const PLACE_OPTIONS = [
  option('--user', 'for the manager of this user, also as root'),
  option('--root <dir>', 'in a system that does not run: the root of its tree'),
  option('--now', 'at once, too'),
]

interface EnableWish {
  readonly place: UnitPlace
  readonly mountPoint: string
  readonly base: string | null
  readonly layers: readonly string[]
  readonly options: readonly string[]
  readonly now: boolean
  readonly print: boolean
}

interface EnableAnswer {
  readonly unit: string
  readonly mountPoint: string
  /** With what stands in them where they were not written. */
  readonly files: readonly { readonly path: string; readonly text: string }[]
  readonly written: boolean
  readonly started: boolean
  readonly manager: Manager
  /** The manager runs here, and knows of them. */
  readonly told: boolean
}

export const enable: CommandRow<EnableWish, EnableAnswer> = {
  about: `Writes a unit of systemd for the mount and one for the daemon of the store, and enables them: as root in /etc/systemd/system, otherwise in ~/.config/systemd/user. The unit mounts after the directories that it needs are there (RequiresMountsFor), comes back where the daemon was killed, and unmounts when it is stopped.

The options are those of svsfs mount; given anew they replace those of before. Further options of systemd belong in a drop-in: systemctl edit UNIT. None of them may give the unit a mount namespace (PrivateTmp, ProtectSystem).

A user's units start at login; loginctl enable-linger starts them at boot. Where no systemd runs, the links are made and the next boot finds them; --print shows the units and writes nothing.`,
  options: [
    ...OF_MOUNT,
    ...PLACE_OPTIONS,
    option('--print', 'print the units; write and enable nothing'),
  ],
  examples: [
    'svsfs enable /mnt/app                    # at every boot, as svsfs mount /mnt/app',
    'svsfs enable /mnt/root --base / --now',
    'svsfs enable ~/view --layer notes        # as an ordinary user: at login',
    'svsfs enable /mnt/app --print            # where systemd is not, or to look first',
  ],
  parse: (words) => {
    const { mountPoint, base, layers } = mount.parse(words)
    const wish = {
      place: placeOf(words),
      mountPoint,
      base: base ?? null,
      layers: layers ?? [],
      options: [...optionWords(words), ...(layers ?? []).flatMap((name) => ['--layer', name])],
      now: words.flag('now'),
      print: words.flag('print'),
    }
    if (wish.now && (wish.print || wish.place.root !== null))
      throw new Failure('SVS_USAGE', '--now needs the system that runs: without --print and --root')
    return wish
  },
  run: async ({ session, out }, wish) => {
    const { place, mountPoint, now } = wish
    const program = [process.execPath, programFile()]
    const store = session.places.root
    const units = [
      mountUnit({ ...wish, manager: place.manager, store, program }),
      daemonUnit({ manager: place.manager, program }),
    ]
    const unit = units[0]!.name
    const files = units.map(({ name, text }) => ({ path: `${unitDirectory(place)}/${name}`, text }))
    const answer = { unit, mountPoint, files, manager: place.manager }
    if (wish.print) return { ...answer, written: false, started: false, told: false }
    if (place.root === null)
      for (const layer of wish.layers) await session.call('layer.show', { layer })
    const told = enableUnits(place, units, unit)
    if (now) startNow(place, unit, out.progress.bind(out))
    return { ...answer, written: true, started: now, told }
  },
  print: (answer, out) => {
    const { unit, mountPoint, files, written, started, manager, told } = answer
    if (!written) {
      for (const { path, text } of files) out.line(`# ${path}\n${text}`)
      return
    }
    out.line(`enabled ${unit}: ${mountPoint} is mounted at every ${atWhat(manager)}`)
    const whose = manager === 'user' ? ' --user' : ''
    if (!told) out.note('systemd does not run here; where these files boot, it will')
    else if (!started) out.note(`systemctl${whose} start ${shellWord(unit)} mounts it now`)
    if (manager === 'user') out.note('loginctl enable-linger: at every boot, also without a login')
  },
}

const atWhat = (manager: Manager): string => (manager === 'user' ? 'login' : 'boot')

function enableUnits(place: UnitPlace, units: readonly Unit[], unit: string): boolean {
  const told = managerRuns(place)
  writeUnits(place, units)
  systemctl(place, 'enable', unit)
  if (told) systemctl(place, 'daemon-reload')
  return told
}

function startNow(place: UnitPlace, unit: string, progress: (text: string) => void): void {
  if (!managerRuns(place))
    throw new Failure('SVS_SYSTEMD_FAILED', 'start', unit, 'systemd does not run here')
  progress(`starting ${unit}`)
  // Anew where it is started already: its options may be others.
  systemctl(place, 'restart', unit)
}

interface DisableWish {
  readonly place: UnitPlace
  readonly mountPoint: string
  readonly now: boolean
}

interface DisableAnswer {
  readonly unit: string
  readonly mountPoint: string
  readonly removed: readonly string[]
  readonly stopped: boolean
}

export const disable: CommandRow<DisableWish, DisableAnswer> = {
  about:
    'Takes back what svsfs enable has done for a directory. What is mounted stays until it is unmounted; --now stops the unit, which unmounts it.',
  options: PLACE_OPTIONS,
  examples: ['svsfs disable /mnt/app', 'svsfs disable /mnt/app --now'],
  parse: (words) => ({
    place: placeOf(words),
    mountPoint: resolve(words.arg(0)),
    now: words.flag('now'),
  }),
  run: async (_, { place, mountPoint, now }) => {
    const unit = mountUnitName(mountPoint)
    needUnit(place, unit, mountPoint)
    const runs = managerRuns(place)
    if (now && !runs)
      throw new Failure('SVS_SYSTEMD_FAILED', 'stop', unit, 'systemd does not run here')
    if (now) systemctl(place, 'stop', unit)
    systemctl(place, 'disable', unit)
    const removed = removeUnit(place, unit)
    if (runs) systemctl(place, 'daemon-reload')
    return { unit, mountPoint, removed, stopped: now }
  },
  print: ({ unit, mountPoint, stopped }, out) => {
    out.line(`disabled ${unit}${stopped ? ` and unmounted ${mountPoint}` : ''}`)
    if (!stopped) out.note(`svsfs umount ${shellWord(mountPoint)} takes a mount away that is there`)
  },
}

function placeOf(words: Words): UnitPlace {
  const root = words.text('root')
  const own = words.flag('user') || (root === null && process.geteuid?.() !== 0)
  return { manager: own ? 'user' : 'system', root: root === null ? null : resolve(root) }
}

/** As they were given; paths of another directory are of no use to a service. */
function optionWords(words: Words): string[] {
  return OF_MOUNT.filter(({ long }) => long !== '--layer').flatMap((each) => {
    const name = each.attributeName()
    if (each.negate) return words.choice(name) === false ? [each.long!] : []
    const value = words.text(name)
    if (value !== null) return [each.long!, each.long === '--base' ? resolve(value) : value]
    return words.choice(name) === true ? [each.long!] : []
  })
}

/** What was called: a link that stays where the program is replaced, or the file itself. */
function programFile(): string {
  const called = process.argv[1]
  if (called === undefined) throw new TypeError('not started from a file')
  return resolve(called)
}
