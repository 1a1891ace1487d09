// svsfs layer …: making layers, looking at them, exchanging their read-only part.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { LayerLine } from '../daemon/layer-line.ts'
import type { CreateAnswer, DeleteAnswer, LayerDetails } from '../daemon/layer-methods.ts'
import type { LayerSource } from '../daemon/layer-source.ts'
import { confirm } from './ask.ts'
import { type CommandRow, option, type Words } from './command.ts'
import type { Output } from './output.ts'
import { atPlace, plainHttp, wishedPlace } from './repository-options.ts'
import { ago, clock, plural, shellWord, size } from './words.ts'

const SOURCE_OPTIONS = [
  option(
    '--from <source...>',
    'a directory, a tar archive, Debian packages (.deb), or oci:IMAGE, a container image',
  ),
  option('--recipe <name>', 'a recipe that comes with svsfs (layers/ lists them)'),
  option('--empty', 'nothing: all will be in the writable part'),
  option('--with-depends', 'packages: take along what they need and the base lacks'),
  option('--base <dir>', 'the tree that the layer will lie over (for packages: default /)'),
  plainHttp,
]

function sourceOf(words: Words): LayerSource {
  const paths = words.list('from')
  const recipe = words.text('recipe')
  const given = [paths !== null, recipe !== null, words.flag('empty')].filter(Boolean).length
  if (given !== 1)
    throw new Failure('SVS_USAGE', 'give one of --from SOURCE, --recipe NAME, --empty')
  const base = words.text('base')
  const place = base === null ? null : resolve(base)
  if (recipe !== null) return { kind: 'recipe', recipe, base: place }
  if (paths === null) return { kind: 'empty' }
  if (paths.some((path) => path.startsWith(IMAGE))) return imageOf(paths, words)
  const withDepends = words.flag('withDepends')
  return { kind: 'from', paths: paths.map((path) => resolve(path)), withDepends, base: place }
}

const IMAGE = 'oci:'

// Credentials are looked for when it is clear that they are needed (withCredentials).
function imageOf(paths: readonly string[], words: Words): LayerSource {
  const [path] = paths
  if (paths.length > 1 || path === undefined)
    throw new Failure('SVS_USAGE', 'one image makes a layer, and nothing beside it')
  const wished = wishedPlace(path.slice(IMAGE.length), words)
  return { kind: 'image', ...wished, credentials: null }
}

async function withCredentials(source: LayerSource): Promise<LayerSource> {
  if (source.kind !== 'image') return source
  const { credentials = null } = await atPlace(source)
  return { ...source, credentials }
}

interface CreateWish {
  readonly layer: string
  readonly source: LayerSource
  readonly activate: boolean
  readonly priority: number
}

export const create: CommandRow<CreateWish, CreateAnswer> = {
  about:
    'The source is copied with owners, modes, times, links and attributes; it is not changed. What comes of it is the read-only part of the layer, and no mount can change it. An image is named as for docker pull (oci:debian:12, oci:ghcr.io/team/app:v1), or is a directory that skopeo has made (oci:./DIR:TAG); what its layers delete is gone.',
  options: [
    ...SOURCE_OPTIONS,
    option('--activate', 'show it at once in all mounts'),
    option('--priority <n>', 'place in the order: the higher, the nearer to the top (default 0)'),
  ],
  examples: [
    'svsfs layer create tools --from /opt/tools',
    'svsfs layer create hello --from hello_2.10-3_amd64.deb --with-depends --activate',
    'svsfs layer create firefox --recipe firefox',
    'svsfs layer create nginx --from oci:nginx:stable',
    'svsfs layer create nginx --from oci:./layout:stable',
    'svsfs layer create scratch --empty',
  ],
  parse: (words) => ({
    layer: words.arg(0),
    source: sourceOf(words),
    activate: words.flag('activate'),
    priority: words.number('priority', { whole: true }) ?? 0,
  }),
  run: async ({ session }, wish) =>
    session.call('layer.create', { ...wish, source: await withCredentials(wish.source) }),
  print: (made, out) => {
    for (const warning of made.warnings) out.note(`note: ${warning}`)
    out.line(`created layer ${made.name}: ${contents(made)}`)
    if (!made.active) out.note(`svsfs activate ${shellWord(made.name)} shows it in all mounts`)
  },
}

const contents = (layer: LayerLine): string =>
  `${plural(layer.entries, 'name')}, ${size(layer.bytes)}`

export const list: CommandRow<null, LayerLine[]> = {
  examples: ['svsfs layer list', 'svsfs layer list --json'],
  parse: () => null,
  run: ({ session }) => session.call('layer.list', {}),
  print: (layers, out) => printLayers(layers, out),
}

export function printLayers(layers: readonly LayerLine[], out: Output): void {
  if (layers.length === 0) {
    out.note('no layers yet; svsfs layer create makes one')
    return
  }
  out.table(
    ['LAYER', 'ACTIVE', 'PRIORITY', 'VERSION', 'NAMES', 'SIZE', 'CREATED'],
    layers.map((layer) => [
      layer.name,
      layer.active ? 'yes' : 'no',
      String(layer.priority),
      String(layer.version),
      String(layer.entries),
      size(layer.bytes),
      ago(layer.created),
    ]),
  )
}

export const show: CommandRow<string, LayerDetails> = {
  examples: ['svsfs layer show tools'],
  parse: (words) => words.arg(0),
  run: ({ session }, layer) => session.call('layer.show', { layer }),
  print: (layer, out) => {
    const rows: [string, string][] = [
      ['name', layer.name],
      ['id', layer.id],
      ['active', layer.active ? 'yes' : 'no'],
      ['priority', String(layer.priority)],
      ['shown at', layer.mounts.join(', ') || 'nowhere'],
      ['created', `${clock(layer.created)} (${ago(layer.created)})`],
      ['read-only', `version ${layer.version}, ${contents(layer)}`],
      ['digest', layer.digest || 'not computed'],
      ['states', statesOf(layer)],
      ['schedules', String(layer.schedules)],
      ['excluded', layer.excludes.join(' ') || 'nothing'],
      ['lies in', layer.places.ro],
      ['writes to', layer.places.rw],
    ]
    for (const [name, value] of rows) out.line(`${`${name}:`.padEnd(11)}${value}`)
  },
}

function statesOf({ states, pinned, references, version }: LayerDetails): string {
  if (states === 0) return '0'
  const others = Object.entries(references)
    .filter(([of]) => of !== String(version))
    .map(([of, count]) => `, ${count} on version ${of}`)
  return `${states} (${pinned} pinned${others.join('')})`
}

interface VariableLine {
  readonly name: string
  /** What it stands for here; null for one that svsfs does not know. */
  readonly value: string | null
  readonly used: boolean
}

export const vars: CommandRow<{ layer: string }, VariableLine[]> = {
  about: `In the commands and variables of a manifest, \${HOME}, \${USER} and \${LIBDIR} stand for what differs from machine to machine; they are filled in where svsfs run starts a program, and travel in archives as they are written. $\${HOME} is the text itself. The other paths (home, profile, excludes) are names in the layer, the same on every machine.`,
  examples: ['svsfs layer vars firefox'],
  parse: (words) => ({ layer: words.arg(0) }),
  run: async ({ session }, { layer }) => {
    const { variablesHere, variablesIn } = await import('../layer/variables.ts')
    const { manifest } = await session.call('layer.show', { layer })
    const { home = `home/${layer}`, commands, env } = manifest
    const here = variablesHere(`/${String(home).replace(/^\/+/, '')}`)
    const used = new Set(variablesIn({ commands, env }))
    const known = Object.entries(here).map(([name, value]) => ({
      name,
      value,
      used: used.has(name),
    }))
    const unknown = [...used].filter((name) => !(name in here))
    return [...known, ...unknown.map((name) => ({ name, value: null, used: true }))]
  },
  print: (lines, out) =>
    out.table(
      ['variable', 'used', 'here'],
      lines.map(({ name, value, used }) => [
        `\${${name}}`,
        used ? 'yes' : '',
        value ?? 'nothing: it stays as it is written',
      ]),
    ),
}

export const rename: CommandRow<{ layer: string; to: string }, LayerLine> = {
  examples: ['svsfs layer rename tools old-tools'],
  parse: (words) => ({ layer: words.arg(0), to: words.arg(1) }),
  run: ({ session }, wish) => session.call('layer.rename', wish),
  print: (layer, out, { layer: before }) => out.line(`layer ${before} is now ${layer.name}`),
}

interface DeleteWish {
  readonly layer: string
  readonly withStates: boolean
  readonly now: boolean
  readonly yes: boolean
}

export const remove: CommandRow<DeleteWish, DeleteAnswer> = {
  about:
    'svsfs undo brings it back within a week, with everything that was changed in it and its states; then svsfs gc takes it away. Where the disk is nearly full, it goes at once. A layer that has states is deleted with them only, and one that a mount shows is not. svsfs export NAME --layer --states all keeps one in a file for longer.',
  options: [
    option('--with-states', 'also where it has states'),
    option('--now', 'for good, so that its room is free at once'),
    option('--yes', 'do not ask'),
  ],
  examples: ['svsfs layer delete tools', 'svsfs layer delete tools --with-states --yes'],
  parse: (words) => ({
    layer: words.arg(0),
    withStates: words.flag('withStates'),
    now: words.flag('now'),
    yes: words.flag('yes'),
  }),
  run: async ({ session }, { yes, ...wish }) => {
    const details = await session.call('layer.show', { layer: wish.layer })
    const states = details.states > 0 && wish.withStates
    const its = states ? ` and its ${plural(details.states, 'state')}` : ''
    if (!yes && (details.states === 0 || states))
      await confirm(`Delete layer ${wish.layer} (${contents(details)})${its}?`)
    return session.call('layer.delete', wish)
  },
  print: ({ layer, states, kept }, out) => {
    const its = states === 0 ? '' : ` with ${plural(states, 'state')}`
    out.line(`deleted layer ${layer}${its}`)
    if (!kept) return
    out.note(`svsfs undo ${shellWord(layer)} brings it back`)
    out.note('its room is free in a week, or by svsfs gc --all')
  },
}

export const replace: CommandRow<{ layer: string; source: LayerSource }, CreateAnswer> = {
  about:
    'Mounts show the new version at once, under what was changed since. The state before is kept, and earlier states keep the version they were made on; svsfs undo goes back to it.',
  options: SOURCE_OPTIONS,
  examples: ['svsfs layer replace tools --from /opt/tools-2'],
  parse: (words) => ({ layer: words.arg(0), source: sourceOf(words) }),
  run: async ({ session }, wish) =>
    session.call('layer.replace', { ...wish, source: await withCredentials(wish.source) }),
  print: (layer, out) => {
    for (const warning of layer.warnings) out.note(`note: ${warning}`)
    out.line(`layer ${layer.name} has version ${layer.version}: ${contents(layer)}`)
    out.note(`svsfs undo ${shellWord(layer.name)} goes back to the version before`)
  },
}
