// svsfs push, pull, repo: layers and states in registries, directories and on file servers.

import { once } from 'node:events'
import { resolve } from 'node:path'
import type { Params } from '../daemon/api.ts'
import type { PullAnswer, PushAnswer, RepositoryAnswer } from '../daemon/repository-methods.ts'
import { namedState } from '../snapshot/state-name.ts'
import { IMPORT_OPTIONS, importWish, printTaken, statesOf } from './archive-commands.ts'
import { type CommandRow, option } from './command.ts'
import type { Output } from './output.ts'
import {
  atPlace,
  CREDENTIALS,
  PLACES,
  plainHttp,
  type Wished,
  wishedPlace,
} from './repository-options.ts'
import { version } from './version.ts'
import { ago, plural, size } from './words.ts'

type PushWish = Omit<Params<'push'>, 'credentials'> & Wished

export const push: CommandRow<PushWish, PushAnswer> = {
  about: `What goes there is what svsfs export makes, with the read-only part, so that a machine that has nothing yet can take it: chunks in packs of some megabytes. What the repository has is not sent again, and a state after another one costs what is new in it. The tag is "latest" where none is given, in a directory the name of the layer.

${PLACES}

${CREDENTIALS}`,
  options: [
    option('--no-base', 'leave the read-only part out, for machines that have it'),
    option('--from <state>', 'leave out what that state has'),
    option('--layer', 'the layer itself: its read-only part, and with --states its states'),
    option('--states <n>', 'with --layer: the last so many of its states, or all'),
    option('--best', 'first store its programs in less room, which takes time (svsfs recode)'),
    option('--key <name>', 'the key that signs; the first of svsfs key list by default'),
    option('--no-sign', 'leave it unsigned'),
    plainHttp,
  ],
  examples: [
    'svsfs push firefox@clean ghcr.io/team/firefox:clean',
    'svsfs push firefox localhost:5000/firefox',
    'svsfs push firefox --layer --states all dir:/srv/layers:firefox',
  ],
  parse: (words) => {
    const { layer, state } = namedState(words.arg(0), null)
    return {
      layer,
      state,
      from: words.text('from'),
      states: statesOf(words.flag('layer'), words.text('states')),
      withBase: words.choice('base') ?? true,
      best: words.flag('best'),
      key: words.text('key'),
      sign: words.choice('sign') ?? true,
      version: version(),
      ...wishedPlace(words.arg(1), words),
    }
  },
  run: async ({ session }, wish) => session.call('push', { ...wish, ...(await atPlace(wish)) }),
  print: printPushed,
}

export function printPushed(done: PushAnswer, out: Output): void {
  const { kind, layer, states, place, digest, payload, signers } = done
  const what =
    kind === 'layer'
      ? `layer ${layer} with ${plural(states.length, 'state')}`
      : `state ${states.at(-1)} of ${layer}`
  if (!done.fresh) out.line(`${what} is ${place} already`)
  else {
    const had = done.there + done.mounted
    out.line(
      `${what} is ${place}: ${size(done.sent)} sent${had > 0 ? `, ${size(had)} were there` : ''}`,
    )
  }
  out.line(
    `${digest}, payload ${payload}${signers.length === 0 ? '' : `, signed by ${signers.join(', ')}`}`,
  )
  if (signers.length === 0)
    out.note('nobody has signed it, so pulling it takes --allow-unsigned (svsfs key create)')
}

type PullWish = Omit<Params<'pull'>, 'credentials'> & Wished

export const pull: CommandRow<PullWish, PullAnswer> = {
  about: `Takes what svsfs push has brought there, as svsfs import takes a file: checked against its signature, and every part of it before anything is written. What is here already is not fetched. A layer that is not here is made; one that has the read-only part gets the states.

${PLACES}

${CREDENTIALS}`,
  options: [...IMPORT_OPTIONS, plainHttp],
  examples: [
    'svsfs pull ghcr.io/team/firefox:clean --restore',
    'svsfs pull localhost:5000/firefox --as firefox-beta',
    'svsfs pull https://files.example/layers:firefox',
  ],
  parse: (words) => ({ ...importWish(words), ...wishedPlace(words.arg(0), words) }),
  run: async ({ session }, wish) => session.call('pull', { ...wish, ...(await atPlace(wish)) }),
  print: (answer, out) => {
    printTaken(answer, out)
    out.line(`fetched ${size(answer.fetched)} from ${answer.place}`)
  },
}

export const list: CommandRow<Wished, RepositoryAnswer> = {
  about: `Says of each tag what it is, as it says of itself: only svsfs pull checks signatures. With a tag it is that one alone.

${PLACES}

${CREDENTIALS}`,
  options: [plainHttp],
  examples: ['svsfs repo list ghcr.io/team/firefox', 'svsfs repo list dir:/srv/layers --json'],
  parse: (words) => wishedPlace(words.arg(0), words),
  run: async ({ session }, wish) => session.call('repo.list', await atPlace(wish)),
  print: ({ tags, place }, out) => {
    if (tags.length === 0)
      return out.note(`${place} has nothing; svsfs push brings something there`)
    out.table(
      ['TAG', 'KIND', 'LAYER', 'STATE', 'WHEN', 'SIZE', 'WHAT'],
      tags.map((line) => [
        line.tag,
        line.kind,
        line.layer ?? '',
        line.state?.id ?? '',
        line.state === null ? '' : ago(line.state.time),
        line.size === null ? '' : size(line.size),
        [line.state?.label && `[${line.state.label}]`, line.state?.message || line.what]
          .filter(Boolean)
          .join(' '),
      ]),
    )
  },
}

interface ServeWish {
  readonly dir: string
  readonly listen: string
}

export const serve: CommandRow<ServeWish, never> = {
  about:
    'Anybody who reaches the address can read everything in the directory, and nothing is ever changed. Any other web server that has the directory does as well: svsfs pull http://HOST:PORT/:TAG. Container tools can fetch images from it as from a registry. Ctrl-C ends it.',
  options: [option('--listen <address:port>', 'where (default 127.0.0.1:8080; port 0 is any)')],
  examples: ['svsfs repo serve /srv/layers', 'svsfs repo serve /srv/layers --listen 0.0.0.0:8080'],
  parse: (words) => ({
    dir: resolve(words.arg(0).replace(/^dir:/, '')),
    listen: words.text('listen') ?? '127.0.0.1:8080',
  }),
  run: async ({ out }, { dir, listen }) => {
    const { serveLayout } = await import('../repository/serve.ts')
    // Before it says that it is ready.
    const ended = Promise.race(
      ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal)),
    )
    const serving = await serveLayout(dir, listen, (line) => out.note(line))
    try {
      if (out.json) out.data({ url: serving.url })
      else out.line(`${dir} is at ${serving.url}`)
      await ended
    } finally {
      await serving.close()
    }
    process.exit(0)
  },
  print: () => {},
}
