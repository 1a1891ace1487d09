// The keys of the store: made, listed, trusted, revoked, passed on.

import { z } from 'zod'
import { type KeyLine, Keys, keyText } from '../archive/keys.ts'
import type { Control } from './control.ts'
import { method } from './method.ts'

const named = z.strictObject({ key: z.string().min(1).max(200) })

const keysOf = ({ store }: Control): Keys => new Keys(store.places.keys)

export interface KeyAnswer extends KeyLine {
  /** As people pass it on. */
  readonly text: string
}

const answer = (line: KeyLine): KeyAnswer => ({ ...line, text: keyText(line) })

export const keyMethods = {
  'key.create': method(named, async (control, { key }) => answer(keysOf(control).create(key))),
  'key.list': method(z.strictObject({}), async (control) => keysOf(control).list().map(answer)),
  'key.trust': method(z.strictObject({ text: z.string().max(4096) }), async (control, { text }) =>
    answer(keysOf(control).trust(text)),
  ),
  'key.revoke': method(named, async (control, { key }) => answer(keysOf(control).revoke(key))),
  'key.export': method(named, async (control, { key }) => answer(keysOf(control).find(key))),
} as const
