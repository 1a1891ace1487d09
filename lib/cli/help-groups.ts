// Help in groups, by what people want to do; short (-h) or whole (--help, svsfs help).
//
//   -h       usage, a line about it, its own options
//   --help   that, and: about, options that all have, examples, exit status
//
// Rule: a command that stands in no group shows under the last heading, so none is ever hidden.

const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['Layers:', ['layer', 'activate', 'deactivate', 'priority', 'reset', 'update']],
  [
    'Mounts and programs:',
    ['mount', 'umount', 'enable', 'disable', 'run', 'desktop', 'overlay', 'settle'],
  ],
  [
    'States, and the way back:',
    ['snapshot', 'snapshots', 'timeline', 'restore', 'undo', 'state', 'freeze', 'freezes', 'thaw'],
  ],
  ['Looking and comparing:', ['status', 'which', 'events', 'diff', 'cat', 'log', 'du', 'top']],
  [
    'Other machines:',
    [
      ...['export', 'inspect', 'import', 'push', 'pull', 'repo', 'key'],
      ...['host', 'deploy', 'rollback', 'receive'],
    ],
  ],
  ['Upkeep:', ['doctor', 'config', 'schedule', 'forget', 'gc', 'verify', 'recode', 'daemon']],
]

export const OTHERS = 'This program:'

/** The heading that a command stands under. */
export const groupOf = (command: string): string =>
  GROUPS.find(([, names]) => names.includes(command))?.[0] ?? OTHERS

/** In the order of the groups; within one as they were. */
export function grouped<T>(entries: readonly T[], nameOf: (entry: T) => string): T[] {
  const order = [...GROUPS.map(([heading]) => heading), OTHERS]
  const place = (entry: T) => order.indexOf(groupOf(nameOf(entry)))
  return entries.toSorted((a, b) => place(a) - place(b))
}

/** True where the words ask for short help. */
export function wantsShort(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const words = end === -1 ? args : args.slice(0, end)
  return words.includes('-h') && !words.includes('--help')
}
