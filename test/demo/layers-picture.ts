// The picture at the top of the README: what a program sees, what that is made of, and what is kept over time.
//
//   node dist/test/demo/layers-picture.js > docs/pictures/layers.svg
//
// Rule: it has its own ground, so that it can be read on a light page and on a dark one.

const WIDTH = 860
const HEIGHT = 330
const INK = '#24292f'
const PALE = '#6e7781'

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

interface Look {
  readonly fill?: string
  readonly size?: number
  readonly weight?: number
  readonly anchor?: 'start' | 'middle' | 'end'
}

const say = (x: number, y: number, text: string, look: Look = {}): string => {
  const { fill = INK, size = 14, weight = 400, anchor = 'start' } = look
  return `<text x="${x}" y="${y}" fill="${fill}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}">${escaped(text)}</text>`
}

const box = (x: number, y: number, width: number, height: number, fill: string, stroke: string) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" fill="${fill}" stroke="${stroke}"/>`

const arrow = (path: string): string =>
  `<path d="${path}" fill="none" stroke="${PALE}" stroke-width="1.6" marker-end="url(#tip)"/>`

/** The sublayers, top first. */
const STACK = [
  { text: 'firefox, writable', fill: '#fff1e5', stroke: '#e36209' },
  { text: 'firefox, read-only', fill: '#ffe0c2', stroke: '#e36209' },
  { text: 'git, writable', fill: '#e6f4ff', stroke: '#0969da' },
  { text: 'git, read-only', fill: '#cfe6fb', stroke: '#0969da' },
  { text: 'your own system', fill: '#eef0f2', stroke: '#8c959f' },
] as const

const STATES = [
  { text: 'now', note: '', fill: '#1a7f37' },
  { text: '14:02', note: 'after the second visit', fill: '#e36209' },
  { text: '13:47', note: 'after the first visit', fill: '#e36209' },
  { text: 'as installed', note: '', fill: '#ffffff' },
] as const

function view(): string[] {
  const lines = ['/usr/bin/firefox', '/usr/bin/git', '~/Documents', '/etc/…']
  return [
    say(30, 40, 'what a program sees', { weight: 600 }),
    box(30, 60, 190, 230, '#ffffff', '#8c959f'),
    '<path d="M30 84h190" stroke="#d0d7de"/>',
    ...[46, 60, 74].map((x) => `<circle cx="${x}" cy="72" r="4" fill="#d0d7de"/>`),
    say(125, 77, '/', { anchor: 'middle', size: 13 }),
    ...lines.map((line, at) => say(48, 116 + at * 30, line, { size: 13 })),
    say(48, 262, 'one tree', { fill: PALE, size: 12 }),
  ]
}

function stack(): string[] {
  return [
    say(320, 40, 'what it is made of', { weight: 600 }),
    ...STACK.flatMap(({ text, fill, stroke }, at) => [
      box(320, 60 + at * 47, 200, 40, fill, stroke),
      say(420, 85 + at * 47, text, { anchor: 'middle' }),
    ]),
    arrow('M316 175H228'),
    say(272, 165, 'FUSE', { anchor: 'middle', fill: PALE, size: 12 }),
    say(420, 312, 'never written', { anchor: 'middle', fill: PALE, size: 12 }),
  ]
}

function states(): string[] {
  return [
    say(620, 40, 'kept over time', { weight: 600 }),
    '<path d="M632 80V230" stroke="#8c959f" stroke-width="2"/>',
    ...STATES.flatMap(({ text, note, fill }, at) => [
      `<circle cx="632" cy="${80 + at * 50}" r="7" fill="${fill}" stroke="#57606a" stroke-width="1.5"/>`,
      say(650, 85 + at * 50, text, { weight: at === 0 ? 600 : 400 }),
      ...(note === '' ? [] : [say(695, 85 + at * 50, note, { fill: PALE, size: 12 })]),
    ]),
    arrow('M612 80H528'),
    say(570, 70, 'every change', { anchor: 'middle', fill: PALE, size: 12 }),
    arrow('M612 180C572 180 572 100 530 90'),
    say(566, 196, 'restore', { anchor: 'middle', fill: PALE, size: 12 }),
  ]
}

const picture = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" role="img">`,
  '<title>A program sees one tree, made of layers over your system; states of a layer are kept over time</title>',
  `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="${PALE}"/></marker></defs>`,
  `<rect width="${WIDTH}" height="${HEIGHT}" rx="10" fill="#f6f8fa"/>`,
  ...view(),
  ...stack(),
  ...states(),
  '</svg>',
]
process.stdout.write(`${picture.join('\n')}\n`)
