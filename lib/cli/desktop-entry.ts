// The entry of a layer in a desktop's menu: a .desktop file, with what can be done beside starting it.
//
//   start ─▶ svsfs run NAME      keep a state ─▶ svsfs desktop keep NAME      go back… ─▶ svsfs desktop back NAME
//
// Rule: a word of a command is one word to whoever reads the file, whatever it has in it.

export interface EntryWish {
  readonly layer: string
  readonly title: string
  readonly comment: string
  readonly icon: string | null
  readonly categories: readonly string[]
  /** The words that start this program, with the store. */
  readonly svsfs: (...words: string[]) => readonly string[]
  /** The application's own words; none: those of its recipe. */
  readonly command: readonly string[]
}

/** The first line of every entry that is ours. */
export const MADE = '# Made by svsfs desktop add; svsfs desktop remove takes it away.'

export const entryName = (layer: string): string => `svsfs-${layer}.desktop`

export function desktopEntry(wish: EntryWish): string {
  const { layer, title, comment, icon, categories, svsfs, command } = wish
  const started = svsfs('run', layer)
  const exec = command.length === 0 ? started : [...started, '--', ...command]
  const lines = [
    MADE,
    '[Desktop Entry]',
    'Type=Application',
    'Version=1.1',
    `Name=${value(title)}`,
    `Comment=${value(comment)}`,
    `Exec=${commandLine(exec)}`,
    ...(icon === null ? [] : [`Icon=${value(icon)}`]),
    'Terminal=false',
    ...(categories.length === 0 ? [] : [`Categories=${categories.map(listed).join('')}`]),
    'Actions=keep-state;go-back;',
    '',
    '[Desktop Action keep-state]',
    'Name=Keep a state',
    `Exec=${commandLine(svsfs('desktop', 'keep', layer))}`,
    '',
    '[Desktop Action go-back]',
    'Name=Go back…',
    `Exec=${commandLine(svsfs('desktop', 'back', layer))}`,
  ]
  return `${lines.join('\n')}\n`
}

/** Files and addresses that a desktop hands over. */
const FIELD = /^%[fFuU]$/

export const commandLine = (words: readonly string[]): string =>
  value(
    words.map((word) => (FIELD.test(word) ? word : quoted(word.replaceAll('%', '%%')))).join(' '),
  )

const quoted = (word: string): string =>
  /^[\w./:=@%+,-]+$/.test(word) ? word : `"${word.replace(/["`$\\]/g, '\\$&')}"`

/** A value: what begins with a backslash means something in every one of them. */
const value = (text: string): string =>
  text
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll('\r', '\\r')

const listed = (word: string): string => `${value(word).replaceAll(';', '\\;')};`
