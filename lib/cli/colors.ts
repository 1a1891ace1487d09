// Colours of a terminal, where they are wanted.
//
// Rule: --color and --no-color win, then NO_COLOR and TERM=dumb, then whether what is written to is a terminal.

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1 } as const

/** Text in a colour, or as it is. */
export type Paint = (colour: keyof typeof CODES, text: string) => string

let chosen: boolean | null = null

/** What the command line or configuration says of colours; for the command that runs. */
export function chooseColors(when: unknown): void {
  if (when === true || when === 'always') chosen = true
  else chosen = when === false || when === 'never' ? false : null
}

/** `wanted`: known better here than by the command line; null where it is not. `stream`: what is written to. */
export function createColors(
  wanted: boolean | null,
  stream: { readonly isTTY?: boolean } = process.stdout,
): Paint {
  const { NO_COLOR, TERM } = process.env
  const usual = stream.isTTY === true && !NO_COLOR && TERM !== 'dumb'
  if (!(wanted ?? chosen ?? usual)) return (_, text) => text
  return (colour, text) => `\x1b[${CODES[colour]}m${text}\x1b[0m`
}
