// svsfs cat: the bytes of one file, of a state or of now, to stdout.
//
//   small ─▶ they are in the answer        large ─▶ a file without a name ─▶ stdout, by stretches
//
// Rule: bytes go out as they are, and only once the whole file is known to be right.

import { randomUUID } from 'node:crypto'
import { closeSync, constants, openSync, readSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { CatAnswer } from '../daemon/cat-methods.ts'
import { splitName } from '../snapshot/state-name.ts'
import { atOption, stateAt } from './at-time.ts'
import type { CommandRow, Context } from './command.ts'
import { size } from './words.ts'

interface CatWish {
  readonly layer: string
  readonly state: string | null
  readonly at: string | null
  readonly path: string
}

const STRETCH = 1024 * 1024

export const cat: CommandRow<CatWish, CatAnswer> = {
  about: `STATE is one as svsfs restore takes it; "ro" is the layer as it was installed, and without a state, or with "now", it is the layer as it is. PATH is from the layer's root on, or where a mount shows it. Only files have bytes: directories, links and special files are refused, and a link is not followed.

The whole file is checked before its first byte is written. Of files above 1 MiB --json has no bytes: it refuses them.`,
  options: [atOption()],
  examples: [
    'svsfs cat firefox@-1 etc/firefox/prefs.js',
    'svsfs cat firefox etc/firefox/prefs.js --at yesterday',
    'svsfs cat firefox@ro usr/bin/firefox | sha256sum      # as it was installed',
  ],
  parse: (words) => {
    const { layer, state } = splitName(words.arg(0))
    const at = words.text('at')
    if (at !== null && state !== null)
      throw new Failure('SVS_USAGE', '--at takes the place of a state')
    return { layer, state, at, path: words.arg(1) }
  },
  run: async (context, { layer, state: named, at, path }) => {
    const { session, out } = context
    const state = at === null ? (named ?? 'now') : await stateAt(at)
    const found = await session.call('cat', { layer, state, path })
    if (found.bytes !== null) return found
    if (out.json)
      throw new Failure('SVS_USAGE', `${path} has ${size(found.size)}, too much for --json`)
    // The same state, also where "latest" is another one by now.
    return large(context, { layer, path, state: found.state?.id ?? state })
  },
  print: ({ bytes }, out) => {
    if (bytes !== null) out.bytes(Buffer.from(bytes, 'base64'))
  },
}

async function large(
  { session, out }: Context,
  wish: { layer: string; path: string; state: string },
): Promise<CatAnswer> {
  const into = `cat-${randomUUID()}`
  const place = join(session.places.run, into)
  const { O_CREAT, O_EXCL, O_RDWR } = constants
  const fd = openSync(place, O_CREAT | O_EXCL | O_RDWR, 0o600)
  try {
    const answer = await session.call('cat', { ...wish, into })
    // The store is for others again: a pager may keep this one waiting for long.
    await session.close()
    for (let at = 0; at < answer.size; ) {
      const stretch = Buffer.allocUnsafe(Math.min(STRETCH, answer.size - at))
      const length = readSync(fd, stretch, 0, stretch.length, at)
      await out.bytes(stretch.subarray(0, length))
      at += length
    }
    return answer
  } finally {
    closeSync(fd)
    rmSync(place, { force: true })
  }
}
