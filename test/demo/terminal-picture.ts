// A recorded terminal as a picture that moves: screens, each with how long it stands, in one SVG.
//
//   tmux capture-pane -e ─▶ lines with SGR ─▶ runs of one colour ─▶ <text> at their columns
//
// Rule: it moves by CSS alone, and where that is not obeyed the last screen stands.

export interface Screen {
  /** Lines, with the SGR sequences of a terminal and no others. */
  readonly lines: readonly string[]
  readonly seconds: number
}

const CELL = { width: 8.2, height: 18 } as const
const MARGIN = 14
const GROUND = '#0d1117'
const TEXT = '#e6edf3'
const COLOURS = [
  '#484f58',
  '#ff7b72',
  '#3fb950',
  '#d29922',
  '#58a6ff',
  '#bc8cff',
  '#39c5cf',
  '#b1bac4',
]
const BRIGHT = [
  '#6e7681',
  '#ffa198',
  '#56d364',
  '#e3b341',
  '#79c0ff',
  '#d2a8ff',
  '#56d4dd',
  '#ffffff',
]

interface Look {
  fill: string
  dim: boolean
  bold: boolean
  inverse: boolean
  underline: boolean
}

const plain = (): Look => ({
  fill: TEXT,
  dim: false,
  bold: false,
  inverse: false,
  underline: false,
})

export function terminalPicture(screens: readonly Screen[], columns: number, rows: number): string {
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN)
  const height = rows * CELL.height + 2 * MARGIN + 16
  const total = screens.reduce((sum, { seconds }) => sum + seconds, 0)
  let begun = 0
  const groups = screens.map(({ lines, seconds }, at) => {
    const [from, to] = [begun, begun + seconds]
    begun = to
    const name = `s${at}`
    const share = (time: number) => `${((time / total) * 100).toFixed(3)}%`
    const frames = `@keyframes ${name}{0%{visibility:hidden}${share(from)}{visibility:visible}${share(to)}{visibility:hidden}100%{visibility:hidden}}`
    const last = at === screens.length - 1
    const steps = last
      ? frames.replace(/(\d[\d.]*%\{visibility:hidden\}){1,2}\}$/, '100%{visibility:visible}}')
      : frames
    const style = `#${name}{visibility:${last ? 'visible' : 'hidden'};animation:${name} ${total.toFixed(1)}s step-end infinite}`
    return { css: `${steps}${style}`, body: `<g id="${name}">${screenOf(lines)}</g>` }
  })
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" xml:space="preserve">`,
    `<style>text{font:13.6px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:pre}${groups.map(({ css }) => css).join('')}</style>`,
    `<rect width="${width}" height="${height}" rx="8" fill="${GROUND}"/>`,
    ...['#ff5f56', '#ffbd2e', '#27c93f'].map(
      (fill, at) => `<circle cx="${18 + at * 18}" cy="14" r="5" fill="${fill}"/>`,
    ),
    ...groups.map(({ body }) => body),
    '</svg>',
  ].join('\n')}\n`
}

function screenOf(lines: readonly string[]): string {
  // What a line ends with the next one begins with.
  const look = plain()
  return lines.map((line, row) => lineOf(line, row, look)).join('')
}

function lineOf(line: string, row: number, look: Look): string {
  const y = MARGIN + 16 + (row + 0.75) * CELL.height
  let column = 0
  return line
    .split(/(\x1b\[[\d;]*m)/)
    .map((part) => {
      const sequence = /^\x1b\[([\d;]*)m$/.exec(part)
      if (sequence !== null) {
        apply(look, (sequence[1] ?? '').split(';').map(Number))
        return ''
      }
      const x = MARGIN + column * CELL.width
      column += [...part].length
      return part.trim() === '' && !look.inverse ? '' : run(part, x, y, look)
    })
    .join('')
}

function run(text: string, x: number, y: number, look: Look): string {
  const length = [...text].length * CELL.width
  const ground = look.inverse
    ? `<rect x="${x.toFixed(1)}" y="${(y - 13).toFixed(1)}" width="${length.toFixed(1)}" height="${CELL.height}" fill="${look.fill}"/>`
    : ''
  const marks = [
    `fill="${look.inverse ? GROUND : look.fill}"`,
    ...(look.bold ? ['font-weight="700"'] : []),
    ...(look.dim ? ['opacity="0.6"'] : []),
    ...(look.underline ? ['text-decoration="underline"'] : []),
  ].join(' ')
  // Whatever the font: what stands in a column begins there.
  const size = `textLength="${length.toFixed(1)}" lengthAdjust="spacingAndGlyphs"`
  return `${ground}<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${size} ${marks}>${escaped(text)}</text>`
}

function apply(look: Look, codes: readonly number[]): void {
  for (const code of codes.length === 0 ? [0] : codes) {
    if (code === 0) Object.assign(look, plain())
    else if (code === 1) look.bold = true
    else if (code === 2) look.dim = true
    else if (code === 4) look.underline = true
    else if (code === 7) look.inverse = true
    else if (code === 22) [look.bold, look.dim] = [false, false]
    else if (code === 24) look.underline = false
    else if (code === 27) look.inverse = false
    else if (code >= 30 && code <= 37) look.fill = COLOURS[code - 30]!
    else if (code === 39) look.fill = TEXT
    else if (code >= 90 && code <= 97) look.fill = BRIGHT[code - 90]!
  }
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
