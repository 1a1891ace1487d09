// The exit statuses, as help shows them. lib/base/failure.ts says which failure has which.

export const EXITS: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'failed'],
  [2, 'asked wrongly'],
  [3, 'not found'],
  [4, 'exists already, or nothing to do'],
  [5, 'in use'],
  [6, 'no store, or the store is locked'],
  [7, 'damaged'],
  [8, 'this host cannot: a tool, a library or a feature of the kernel or disk is missing'],
  [9, 'refused'],
  [10, 'bad input: an archive, a manifest, a name'],
]

/** The paragraph at the end of a command's help. */
export const exitHelp = (): string =>
  `\nExit status:\n${EXITS.slice(0, 8)
    .map(([exit, meaning]) => `${exit} ${meaning}`)
    .join(', ')
    .replace(/(.{1,76})(?: |$)/g, '  $1\n')}  svsfs help errors has the others, and every failure`
