// Colours of a terminal, where they are wanted.
//
// Rule: --color and --no-color win, then NO_COLOR and TERM=dumb, then whether stdout is a terminal.

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1 } as const

/** Text in a colour, or as it is. */
export type Paint = (colour: keyof typeof CODES, text: string) => string

/** `wanted`: what the command line says; null where it says nothing. */
export function createColors(wanted: boolean | null): Paint {
  const { NO_COLOR, TERM } = process.env
  const usual = process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb'
  if (!(wanted ?? usual)) return (_, text) => text
  return (colour, text) => `\x1b[${CODES[colour]}m${text}\x1b[0m`
}
