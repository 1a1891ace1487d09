// Every command of the program: its words, a line about it, and where the rest of it is.
//
//   table ─▶ list of help
//         └▶ the one that is asked for: its row is loaded (program.ts)
//
// Rule: no module of a command is imported here but by the function that loads it.

import type { CommandRow } from './command.ts'

/** A row, whatever it wants and answers. */
export type AnyRow = CommandRow<unknown, unknown>

export interface Leaf {
  /** `create <name>`: the name with its arguments, as commander reads them. */
  readonly usage: string
  readonly summary: string
  readonly row: () => Promise<AnyRow>
}

export interface Group {
  readonly usage: string
  readonly summary: string
  readonly about: string
  readonly commands: readonly Leaf[]
}

const leaf = (usage: string, summary: string, row: Leaf['row']): Leaf => ({ usage, summary, row })

const archives = () => import('./archive-commands.ts')
const desktops = () => import('./desktop-commands.ts')
const deploys = () => import('./deploy-command.ts')
const enabling = () => import('./enable-commands.ts')
const freezes = () => import('./freeze-commands.ts')
const hosts = () => import('./host-commands.ts')
const keys = () => import('./key-commands.ts')
const layers = () => import('./layer-commands.ts')
const mounts = () => import('./mount-commands.ts')
const order = () => import('./order-commands.ts')
const repositories = () => import('./repository-commands.ts')
const schedules = () => import('./schedule-commands.ts')
const stateGroup = () => import('./state-group.ts')
const states = () => import('./state-commands.ts')
const status = () => import('./status-commands.ts')
const upkeep = () => import('./upkeep-commands.ts')

const layer: Group = {
  usage: 'layer',
  summary: 'make, list and change layers',
  about: 'Layers: applications or sets of data that can be switched on and off.',
  commands: [
    leaf(
      'create <name>',
      'make a layer from a directory, an archive, packages or a recipe',
      async () => (await layers()).create,
    ),
    leaf('list', 'show all layers', async () => (await layers()).list),
    leaf('show <name>', 'show everything about one layer', async () => (await layers()).show),
    leaf(
      'vars <name>',
      'show what the variables of a manifest stand for here',
      async () => (await layers()).vars,
    ),
    leaf(
      'rename <name> <new-name>',
      'give a layer another name',
      async () => (await layers()).rename,
    ),
    leaf('delete <name>', 'remove a layer', async () => (await layers()).remove),
    leaf(
      'replace <name>',
      'give a layer a new version of its read-only part',
      async () => (await layers()).replace,
    ),
    leaf(
      'sublayers <name>',
      'list the writable sublayers of a layer',
      async () => (await import('./sublayer-commands.ts')).sublayersCommand,
    ),
  ],
}

const state: Group = {
  usage: 'state',
  summary: 'name, tag, pin and delete states',
  about:
    'A state is written NAME@STATE, where STATE is an id or the beginning of one, a label, "latest", or -1 for the one before the latest, -2 and so on.',
  commands: [
    leaf(
      'label <name@state> [label]',
      'give a state a name of its own',
      async () => (await stateGroup()).label,
    ),
    leaf(
      'tag <name@state> [tag...]',
      'give a state tags, or take some away',
      async () => (await stateGroup()).tag,
    ),
    leaf(
      'pin <name@state>',
      'keep a state whatever is forgotten',
      async () => (await stateGroup()).pin,
    ),
    leaf(
      'unpin <name@state>',
      'let a state be forgotten again',
      async () => (await stateGroup()).unpin,
    ),
    leaf(
      'delete <name@state>',
      'delete a state, or those of a range',
      async () => (await stateGroup()).remove,
    ),
  ],
}

const key: Group = {
  usage: 'key',
  summary: 'keys that sign archives, and keys whose archives are taken',
  about: 'Keys: ed25519, kept in the store; the secret half never leaves it.',
  commands: [
    leaf('create <name>', 'make a key to sign with', async () => (await keys()).create),
    leaf('list', 'show own, trusted and revoked keys', async () => (await keys()).list),
    leaf('trust <key...>', 'take archives that a key has signed', async () => (await keys()).trust),
    leaf('revoke <key>', 'refuse what a key has signed', async () => (await keys()).revoke),
    leaf('export <key>', 'print a key for others to trust', async () => (await keys()).exportKey),
  ],
}

const repo: Group = {
  usage: 'repo',
  summary: 'what lies in registries and directories',
  about: 'Repositories: OCI registries, and directories that any web server can give.',
  commands: [
    leaf(
      'list <place>',
      'show the tags, and what each is',
      async () => (await repositories()).list,
    ),
    leaf(
      'serve <dir>',
      'give a directory to other machines over HTTP',
      async () => (await repositories()).serve,
    ),
  ],
}

const host: Group = {
  usage: 'host',
  summary: 'machines that layers are deployed to',
  about: 'Hosts: other machines with svsfs on them, reached by ssh.',
  commands: [
    leaf(
      'add <host> <url>',
      'name a machine, by ssh://user@machine:port',
      async () => (await hosts()).add,
    ),
    leaf(
      'list',
      'show all hosts, and what they were when last checked',
      async () => (await hosts()).list,
    ),
    leaf('remove <host>', 'forget a host', async () => (await hosts()).remove),
    leaf(
      'check [host...]',
      'look whether hosts can be reached, and what they have',
      async () => (await hosts()).check,
    ),
    leaf(
      'maintenance <host> <on-or-off>',
      'leave a host out for a while',
      async () => (await hosts()).maintenance,
    ),
  ],
}

const schedule: Group = {
  usage: 'schedule',
  summary: 'states that are taken by themselves',
  about: 'Schedules: kept in the store, run by its daemon.',
  commands: [
    leaf('add <name>', 'take states of a layer by itself', async () => (await schedules()).add),
    leaf('list', 'show all schedules', async () => (await schedules()).list),
    leaf(
      'remove <schedule>',
      'end a schedule; its states stay',
      async () => (await schedules()).remove,
    ),
    leaf('pause <schedule>', 'take no states until resumed', async () => (await schedules()).pause),
    leaf(
      'resume <schedule>',
      'go on with a paused schedule',
      async () => (await schedules()).resume,
    ),
  ],
}

const desktop: Group = {
  usage: 'desktop',
  summary: 'layers in the menu of a desktop, with the way back there',
  about:
    'Entries of a desktop’s menu: the application of a layer, with "Keep a state" and "Go back…".',
  commands: [
    leaf(
      'add <name> [command...]',
      'put a layer into the menu',
      async () => (await desktops()).add,
    ),
    leaf('remove <name>', 'take it out again', async () => (await desktops()).remove),
    leaf('keep <name>', 'keep a state, and say so', async () => (await desktops()).keep),
    leaf('back <name>', 'pick a state in a terminal', async () => (await desktops()).back),
  ],
}

const config: Group = {
  usage: 'config',
  summary: 'what options are when they are not given',
  about: 'Configuration: files and variables that say what options are when they are not given.',
  commands: [
    leaf(
      'show',
      'show what is set, and by what',
      async () => (await import('./config-command.ts')).show,
    ),
  ],
}

/** In the order of help; `overlay` and `help` come after them (program.ts). */
export const COMMANDS: readonly (Leaf | Group)[] = [
  layer,
  leaf(
    'mount [dir]',
    'show the active layers at a directory, over a base if one is named',
    async () => (await mounts()).mount,
  ),
  leaf(
    'umount [dir]',
    'take a mount away, or all of the store',
    async () => (await mounts()).umount,
  ),
  leaf(
    'enable [dir]',
    'mount at every boot: writes and enables units of systemd',
    async () => (await enabling()).enable,
  ),
  leaf('disable <dir>', 'do so no more', async () => (await enabling()).disable),
  leaf(
    'daemon',
    'be the daemon of the store, for systemd',
    async () => (await import('./serve-command.ts')).serve,
  ),
  leaf('status', 'show the store, its mounts and its layers', async () => (await status()).status),
  leaf(
    'which <path>',
    'show which layer provides a path, and what that hides',
    async () => (await status()).which,
  ),
  leaf(
    'du',
    'show what layers, states, caches and the catalogue take of the disk',
    async () => (await import('./du-command.ts')).du,
  ),
  leaf(
    'top',
    'show who uses the mounts now: processes, what they ask for, bytes',
    async () => (await import('./top-command.ts')).top,
  ),
  leaf(
    'events',
    'show what happened: activation, restores, mounts, failures',
    async () => (await status()).events,
  ),
  leaf(
    'activate <name...>',
    'show layers in all mounts, at once and from now on',
    async () => (await order()).activate,
  ),
  leaf(
    'deactivate <name...>',
    'take layers out of all mounts, at once',
    async () => (await order()).deactivate,
  ),
  leaf(
    'priority <name> <n>',
    'set the place of a layer: the higher, the nearer to the top',
    async () => (await order()).priority,
  ),
  leaf(
    'reset <name>',
    'throw away everything that changed in a layer',
    async () => (await order()).reset,
  ),
  leaf(
    'run <name> [command...]',
    'run a program with a layer on top of the system',
    async () => (await import('./run-command.ts')).run,
  ),
  leaf(
    'snapshot <name>',
    'keep a layer as it is now, to come back to',
    async () => (await states()).snapshot,
  ),
  leaf('snapshots [name]', 'list states, newest first', async () => (await states()).snapshots),
  leaf(
    'timeline <name>',
    'draw the states of a layer, their branches, and where it stands now',
    async () => (await import('./timeline-command.ts')).timeline,
  ),
  state,
  leaf('forget <name>', 'delete states that no rule keeps', async () => (await schedules()).forget),
  schedule,
  leaf(
    'update <name> [command...]',
    'change a layer by a program, with the way back kept',
    async () => (await import('./update-command.ts')).update,
  ),
  leaf(
    'restore [name] [state]',
    'put a layer back to a state, at once and for running programs too',
    async () => (await import('./restore-commands.ts')).restore,
  ),
  leaf(
    'diff <name> [range] [path...]',
    'show what differs between two states, or between one and now',
    async () => (await import('./diff-command.ts')).diff,
  ),
  leaf(
    'cat <name@state> <path>',
    'print a file as a state has it, or as it is now',
    async () => (await import('./cat-command.ts')).cat,
  ),
  leaf(
    'log <name> [path]',
    'show in which states a path changed, or what each state changed',
    async () => (await import('./log-command.ts')).log,
  ),
  leaf(
    'undo [name]',
    'take the last restore, reset, replacement, activation or deletion back',
    async () => (await import('./undo-command.ts')).undo,
  ),
  leaf(
    'freeze <name>',
    'keep a static image of a layer while programs go on writing',
    async () => (await freezes()).freeze,
  ),
  leaf(
    'freezes',
    'list static images: of which layer, since when, how much was preserved',
    async () => (await freezes()).freezes,
  ),
  leaf('thaw <id>', 'end a static image and free what it has', async () => (await freezes()).thaw),
  leaf(
    'settle [name]',
    'copy at once what the first write to a large file has left for later',
    async () => (await import('./settle-command.ts')).settle,
  ),
  leaf('gc', 'remove what no state and no layer needs', async () => (await upkeep()).gc),
  leaf(
    'verify [name]',
    'hold every state against what it says it is',
    async () => (await upkeep()).verify,
  ),
  leaf(
    'doctor',
    'look for what keeps svsfs from working here, and say what mends it',
    async () => (await import('./doctor-command.ts')).doctor,
  ),
  config,
  desktop,
  leaf(
    'completion [shell] [words...]',
    'print what bash, zsh or fish needs to complete svsfs',
    async () => (await import('./completion-command.ts')).completion,
  ),
  leaf(
    'recode [name] [state]',
    'store the programs of states in less room',
    async () => (await import('./recode-command.ts')).recode,
  ),
  leaf(
    'export <name> [state]',
    'write a state, or a layer, to a file that another machine can import',
    async () => (await archives()).exportCommand,
  ),
  leaf(
    'inspect <file>',
    'show what an archive is, and check it',
    async () => (await archives()).inspect,
  ),
  leaf(
    'import <file...>',
    'take the states of an archive into a layer, or the layer itself',
    async () => (await archives()).importCommand,
  ),
  leaf(
    'push <name> <place>',
    'bring a state, or a layer, to a registry or a directory',
    async () => (await repositories()).push,
  ),
  leaf(
    'pull <place>',
    'take what lies in a registry, a directory or on a file server',
    async () => (await repositories()).pull,
  ),
  repo,
  key,
  host,
  leaf(
    'deploy <what>',
    'bring a state, or an archive, to other machines, and have them show it',
    async () => (await deploys()).deploy,
  ),
  leaf(
    'rollback <layer>',
    'bring hosts back to what they had before the last deployment',
    async () => (await deploys()).rollback,
  ),
  leaf(
    'receive',
    'the end of deploy on the other machine, started by ssh',
    async () => (await import('./receive-command.ts')).receiveCommand,
  ),
]
