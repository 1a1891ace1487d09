// The exit statuses, as help shows them. lib/base/failure.ts says what each means, and which failure has which.

import { EXITS as MEANINGS } from '../base/failure.ts'

export const EXITS: readonly (readonly [number, string])[] = Object.entries(MEANINGS).map(
  ([exit, meaning]) => [Number(exit), meaning],
)

/** Those that most commands can end with. */
const USUAL = 8

/** The paragraph at the end of a command's help. */
export const exitHelp = (): string =>
  `\nExit status:\n${EXITS.slice(0, USUAL)
    .map(([exit, meaning]) => `${exit} ${meaning}`)
    .join(', ')
    .replace(
      /(.{1,76})(?: |$)/g,
      '  $1\n',
    )}  svsfs help exits has the others, svsfs help errors every failure`
