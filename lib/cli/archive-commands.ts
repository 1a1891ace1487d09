// svsfs export, inspect, import: states as files for other machines.

import { resolve } from 'node:path'
import type { Inspected } from '../archive/inspect.ts'
import { Failure } from '../base/failure.ts'
import type { Params } from '../daemon/api.ts'
import type { ExportAnswer, ImportAnswer } from '../daemon/archive-methods.ts'
import type { ImageAnswer } from '../daemon/image-methods.ts'
import { namedState } from '../snapshot/state-name.ts'
import { type CommandRow, option, readNumber, type Words } from './command.ts'
import type { Output } from './output.ts'
import { atPlace, plainHttp, type Wished, wishedPlace } from './repository-options.ts'
import { version } from './version.ts'
import { ago, clock, plural, shellWord, size } from './words.ts'

interface ExportWish {
  readonly layer: string
  readonly state: string | null
  readonly from: string | null
  readonly states: number | null
  readonly withBase: boolean
  readonly best: boolean
  readonly file: string
  readonly replace: boolean
  readonly key: string | null
  readonly sign: boolean
  readonly version: string
}

type ImageWish = Omit<Params<'export.image'>, 'credentials'> & Wished

export const exportCommand: CommandRow<ExportWish | ImageWish, ExportAnswer | ImageAnswer> = {
  about: `The file (a patch archive, .vpa) holds what the state has over the read-only part of its layer, as the store has it: nothing is compressed again. With --from it holds what is new since that state, which the other machine must have. With --layer it is a layer archive (.vsa), which another machine makes a layer of.

It is a ZIP: unzip -l shows what is in it, unzip -p FILE manifest.json what it is for.

With --oci it is a container image, for podman, skopeo and their like: the read-only part is one layer, what the state has over it the next (NAME@ro: the first alone). It goes to a registry or a directory, written as for svsfs push.`,
  options: [
    option('-o, --output <file>', 'where it goes; NAME-STATE.vpa here by default'),
    option('--from <state>', 'leave out what that state has'),
    option('--with-base', 'bring the read-only part, for a machine that has not got it'),
    option('--layer', 'the layer itself (.vsa): its read-only part, and with --states its states'),
    option('--states <n>', 'with --layer: the last so many of its states, or all'),
    option('--best', 'first store its programs in less room, which takes time (svsfs recode)'),
    option('--replace', 'write over a file that is there'),
    option('--key <name>', 'the key that signs; the first of svsfs key list by default'),
    option('--no-sign', 'leave it unsigned'),
    option('--oci <place>', 'as a container image: dir:PATH:TAG, or HOST/NAME:TAG of a registry'),
    plainHttp,
  ],
  examples: [
    'svsfs export firefox@latest -o firefox.vpa',
    'svsfs export firefox 3f9a --from -1 -o since-yesterday.vpa',
    'svsfs export firefox --layer --states all -o firefox.vsa',
    'svsfs export firefox@clean --oci dir:images:firefox',
  ],
  parse: (words) => {
    const { layer, state } = namedState(words.arg(0), words.optionalArg(1))
    const image = words.text('oci')
    if (image !== null) return imageWish(words, layer, state, image)
    const states = statesOf(words.flag('layer'), words.text('states'))
    const usual = states === null ? `${layer}-${state ?? 'latest'}.vpa` : `${layer}.vsa`
    const file = words.text('output') ?? usual
    return {
      layer,
      state,
      from: words.text('from'),
      states,
      withBase: words.flag('withBase'),
      best: words.flag('best'),
      file: resolve(file),
      replace: words.flag('replace'),
      key: words.text('key'),
      sign: words.choice('sign') ?? true,
      version: version(),
    }
  },
  run: async ({ session }, wish) => {
    if ('file' in wish) return session.call('export', wish)
    return session.call('export.image', { ...wish, ...(await atPlace(wish)) })
  },
  print: (done, out) => {
    if ('path' in done) printExported(done, out)
    else printImage(done, out)
  },
}

// What is said of an archive means nothing for an image.
function imageWish(words: Words, layer: string, state: string | null, place: string): ImageWish {
  const others = words.given().filter((each) => !IMAGE_OPTIONS.has(each))
  if (others.length > 0) throw new Failure('SVS_USAGE', `--oci goes without ${others.join(', ')}`)
  return { layer, state, ...wishedPlace(place, words) }
}

const IMAGE_OPTIONS = new Set([
  '--oci',
  '--plain-http',
  '--store',
  '--json',
  '--quiet',
  '--verbose',
  '--sign',
])

function printImage(
  { layer, state, place, size: all, sent, digest, warnings }: ImageAnswer,
  out: Output,
): void {
  for (const warning of warnings) out.note(`note: ${warning}`)
  const what = state === null ? `layer ${layer}` : `layer ${layer} as in state ${state}`
  out.line(`${what} is the image ${place}, ${size(all)}, ${size(sent)} of it sent`)
  out.line(digest)
}

function printExported(
  { path, bytes, payload, layer, kind, states, from, signers }: ExportAnswer,
  out: Output,
): void {
  out.line(
    `${kind === 'layer' ? `layer ${layer} with ` : ''}${plural(states.length, 'state')} in ${path}, ${size(bytes)}${from === null ? '' : `, after state ${from}`}`,
  )
  out.line(`payload ${payload}${signers.length === 0 ? '' : `, signed by ${signers.join(', ')}`}`)
  if (signers.length === 0)
    out.note('nobody has signed it, so importing it takes --allow-unsigned (svsfs key create)')
}

export const inspect: CommandRow<{ file: string }, Inspected> = {
  about:
    'Who made it, for which read-only part, what it would change, how large it is; every part of it is held against its digest. Needs no store.',
  examples: ['svsfs inspect firefox.vpa', 'svsfs inspect firefox.vpa --json'],
  parse: (words) => ({ file: resolve(words.arg(0)) }),
  run: async ({ out }, { file }) => {
    const { inspectArchive } = await import('../archive/inspect.ts')
    return inspectArchive(file, (text) => out.progress(text))
  },
  print: printInspected,
}

/** How many states go with a layer; null where the layer itself is not meant. */
export function statesOf(layer: boolean, text: string | null): number | null {
  if (!layer && text !== null) throw new Failure('SVS_USAGE', '--states goes with --layer')
  if (!layer) return null
  if (text === 'all') return Number.MAX_SAFE_INTEGER
  return text === null ? 0 : readNumber('--states', text, { whole: true, least: 0 })
}

function printInspected(found: Inspected, out: Output): void {
  const { kind, layer, base, from, states, changes, chunks, made } = found
  out.line(`${found.path}: ${kind} archive of layer ${layer}, format ${found.version}`)
  out.line(`made by ${made.by} on ${made.host}, ${clock(made.at)} (so it says)`)
  const brought = base.included ? 'brought along' : 'must be there'
  out.line(`read-only part ${base.digest.slice(0, 16)} (${size(base.bytes)}), ${brought}`)
  if (from !== null) out.line(`comes after state ${from}, which must be there`)
  out.table(
    ['state', 'when', 'names', 'size', 'message'],
    states.map((state) => [
      state.id,
      ago(state.time),
      String(state.entries),
      size(state.bytes),
      [state.label, state.message].filter(Boolean).join('  '),
    ]),
  )
  if (changes !== null)
    out.line(
      `would change: ${changes.added} added, ${changes.changed} changed, ${changes.deleted} deleted, ${changes.attributes} with other attributes`,
    )
  out.line(
    `${plural(chunks.count, 'chunk')}, ${size(chunks.bytes)} (file: ${size(found.bytes)}); codecs: ${found.codecs.join(', ')}`,
  )
  for (const { name, key, at } of found.signatures)
    out.line(`signed by ${name} (key ${key}), ${clock(at)}`)
  if (found.signatures.length === 0) out.line('not signed')
  out.line(`payload ${found.payload}: everything is as it says`)
}

interface TakeWish {
  readonly as: string | null
  readonly restore: boolean
  readonly allowUnsigned: boolean
  readonly allowDevices: boolean
  readonly allowLinks: boolean
  readonly numericOwner: boolean
}

type ImportWish = TakeWish & { readonly files: string[] }

/** How archives are taken, wherever they come from. */
export const IMPORT_OPTIONS = [
  option('--as <name>', 'the layer that gets it; the one it was made of by default'),
  option('--restore', 'go to the last of the states at once'),
  option('--allow-unsigned', 'take it although nobody has signed it whom this store trusts'),
  option('--allow-devices', 'let devices in'),
  option('--allow-links', 'let links in that lead out of the layer'),
  option('--numeric-owner', 'owners keep their numbers, whatever they are called here'),
]

export const importWish = (words: Words): TakeWish => ({
  as: words.text('as'),
  restore: words.flag('restore'),
  allowUnsigned: words.flag('allowUnsigned'),
  allowDevices: words.flag('allowDevices'),
  allowLinks: words.flag('allowLinks'),
  numericOwner: words.flag('numericOwner'),
})

export const importCommand: CommandRow<ImportWish, ImportAnswer> = {
  about: `The layer must have the read-only part that the archive is for. An archive must be signed by a key that this store trusts (svsfs key trust), or be let in by --allow-unsigned; one that was altered after it had been signed never is. Everything is checked before anything is written: the archive may come from anybody. Several archives that come after one another (1 to 2, 2 to 3) are taken in their order, however they are given; all come in, or none.

Owners whose names this machine knows get the numbers that they have here: what is ann’s there is ann’s here. --numeric-owner keeps the numbers of the archive; root, numbers without a name, those in access lists and those of the read-only part stay in any case.

What was imported is a state like any other (svsfs snapshots, svsfs restore).`,
  options: IMPORT_OPTIONS,
  examples: [
    'svsfs import firefox.vpa',
    'svsfs import firefox.vpa --as firefox-beta --restore',
    'svsfs import 1-to-2.vpa 2-to-3.vpa',
  ],
  parse: (words) => {
    const files = words.args(0).map((file) => resolve(file))
    if (files.length === 0) throw new Failure('SVS_USAGE', 'import needs a file')
    return { files, ...importWish(words) }
  },
  run: ({ session }, wish) => session.call('import', wish),
  print: printTaken,
}

export function printTaken({ layer, states, restored }: ImportAnswer, out: Output): void {
  for (const { id, time, fresh } of states)
    out.line(`state ${id} of layer ${layer}, ${ago(time)}${fresh ? '' : ': it was there already'}`)
  if (states.length === 0) out.line(`layer ${layer} was made`)
  const last = states.at(-1)
  if (restored !== null) {
    out.line(`layer ${layer} is as in state ${restored.state}`)
    if (restored.mounts.length > 0) out.line(`seen at ${restored.mounts.join(', ')}`)
    out.note(`svsfs undo ${shellWord(layer)} takes this back`)
  } else if (last !== undefined) out.note(`svsfs restore ${shellWord(layer)} ${last.id} goes to it`)
}
