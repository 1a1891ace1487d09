// svsfs key …: the keys that sign archives, and those whose archives are taken.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import type { KeyAnswer } from '../daemon/key-methods.ts'
import type { CommandRow } from './command.ts'
import { shellWord } from './words.ts'

const LARGEST = 4096

export const create: CommandRow<{ key: string }, KeyAnswer> = {
  about:
    'An ed25519 key, kept in the store. From then on svsfs export signs with it (with the first by name, where there are several). What it prints is for those who shall trust it.',
  examples: ['svsfs key create office'],
  parse: (words) => ({ key: words.arg(0) }),
  run: ({ session }, wish) => session.call('key.create', wish),
  print: ({ text }, out) => {
    out.line(text)
    out.note('on other machines: svsfs key trust with this line')
  },
}

export const list: CommandRow<null, KeyAnswer[]> = {
  examples: ['svsfs key list', 'svsfs key list --json'],
  parse: () => null,
  run: ({ session }) => session.call('key.list', {}),
  print: (keys, out) =>
    out.table(
      ['name', 'kind', 'key'],
      keys.map(({ name, kind, key }) => [name, kind, key]),
    ),
}

export const trust: CommandRow<{ text: string }, KeyAnswer> = {
  about:
    'Archives that this key has signed are imported from now on. KEY is the line that svsfs key create or export printed, or a file that holds it.',
  examples: ['svsfs key trust office.pub', "svsfs key trust 'svsfs-ed25519 …= office'"],
  parse: (words) => ({ text: textOf(words.args(0).join(' ')) }),
  run: ({ session }, wish) => session.call('key.trust', wish),
  print: ({ name, key }, out) => out.line(`archives of ${name} (${key}) are taken`),
}

function textOf(word: string): string {
  if (word.startsWith('svsfs-ed25519 ')) return word
  if (!existsSync(word) || !statSync(word).isFile() || statSync(word).size > LARGEST)
    throw new Failure('SVS_KEY_INVALID', word)
  return readFileSync(word, 'utf8')
}

export const revoke: CommandRow<{ key: string }, KeyAnswer> = {
  about:
    'What only this key has signed is refused from now on, whatever is allowed. svsfs key trust takes that back.',
  examples: ['svsfs key revoke office'],
  parse: (words) => ({ key: words.arg(0) }),
  run: ({ session }, wish) => session.call('key.revoke', wish),
  print: ({ name, key }, out) => out.line(`archives of ${name} (${key}) are refused`),
}

export const exportKey: CommandRow<{ key: string }, KeyAnswer> = {
  examples: ['svsfs key export office > office.pub'],
  parse: (words) => ({ key: words.arg(0) }),
  run: ({ session }, wish) => session.call('key.export', wish),
  print: ({ text, name }, out) => {
    out.line(text)
    out.note(
      `svsfs key trust takes it on another machine; the secret half of ${shellWord(name)} stays here`,
    )
  },
}
