// The keys of a store: those that sign what it exports, and those whose archives it takes.
//
//   keys/<name>.key     own, PKCS 8 in PEM, for its owner's eyes alone
//   keys/trusted.json   { "trusted": [{ key, name }], "revoked": [{ key, name }] }
//
// As text, for people to pass on: `svsfs-ed25519 <base64> <name>`.
//
// Rule: a private key never leaves the store. A revoked one stays listed, because what it has signed
// must go on being refused.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { writeWhole } from '../host/file.ts'
import { publicOf, type Signature, type SigningKey } from './signature.ts'

const TEXT = /^svsfs-ed25519 ([A-Za-z0-9+/]{43}=) (\S{1,64})$/
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/

const known = z.strictObject({ key: z.string(), name: z.string() })
const listShape = z.strictObject({ trusted: z.array(known), revoked: z.array(known) })
type Lists = z.infer<typeof listShape>

export interface KeyLine {
  readonly name: string
  /** The raw public key, base64. */
  readonly key: string
  readonly kind: 'own' | 'trusted' | 'revoked'
}

export class Keys {
  readonly #dir: string

  /** The directory as Node takes it. */
  constructor(dir: string) {
    this.#dir = dir
  }

  /** Makes a key of this store. Throws SVS_KEY_EXISTS, SVS_KEY_INVALID. */
  create(name: string): KeyLine {
    if (!NAME.test(name)) throw new Failure('SVS_KEY_INVALID', name)
    if (existsSync(this.#pathOf(name))) throw new Failure('SVS_KEY_EXISTS', name)
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
    writeWhole(bytesOf(this.#pathOf(name)), Buffer.from(pem), 0o600)
    return { name, key: publicOf(publicKey), kind: 'own' }
  }

  list(): KeyLine[] {
    const { trusted, revoked } = this.#lists()
    const gone = new Set(revoked.map(({ key }) => key))
    const own = this.#own().map((name): KeyLine => {
      const key = publicOf(createPublicKey(createPrivateKey(this.signing(name).pem)))
      return { name, key, kind: gone.has(key) ? 'revoked' : 'own' }
    })
    const ours = new Set(own.map(({ key }) => key))
    const others = (list: typeof trusted, kind: KeyLine['kind']) =>
      list.filter(({ key }) => !ours.has(key)).map((one): KeyLine => ({ ...one, kind }))
    return [...own, ...others(trusted, 'trusted'), ...others(revoked, 'revoked')]
  }

  /** The key that signs: of that name, or the first there is; null where there is none. */
  signer(name: string | null): SigningKey | null {
    const first = this.list().find(({ kind }) => kind === 'own')?.name
    const wanted = name ?? first
    return wanted === undefined ? null : this.signing(wanted)
  }

  /** Throws SVS_KEY_NOT_FOUND. */
  signing(name: string): SigningKey {
    if (!NAME.test(name) || !existsSync(this.#pathOf(name)))
      throw new Failure('SVS_KEY_NOT_FOUND', name)
    return { name, pem: readFileSync(this.#pathOf(name), 'utf8') }
  }

  /** Takes what that key has signed from now on. Throws SVS_KEY_INVALID. */
  trust(text: string): KeyLine {
    const found = TEXT.exec(text.trim())
    if (found === null) throw new Failure('SVS_KEY_INVALID', text.trim().slice(0, 100))
    const [, key, name] = found as unknown as [string, string, string]
    const { trusted, revoked } = this.#lists()
    const others = (list: Lists['trusted']) => list.filter((one) => one.key !== key)
    this.#write({ trusted: [...others(trusted), { key, name }], revoked: others(revoked) })
    return { key, name, kind: 'trusted' }
  }

  /** Refuses what a key has signed, by its name or itself. Throws SVS_KEY_NOT_FOUND. */
  revoke(which: string): KeyLine {
    const { key, name } = this.find(which)
    const { trusted, revoked } = this.#lists()
    const others = (list: Lists['trusted']) => list.filter((one) => one.key !== key)
    this.#write({ trusted: others(trusted), revoked: [...others(revoked), { key, name }] })
    return { key, name, kind: 'revoked' }
  }

  /** A key by its name or itself; one that is trusted or own before one that is revoked. */
  find(which: string): KeyLine {
    const all = this.list().filter(({ key, name }) => key === which || name === which)
    const found = all.find(({ kind }) => kind !== 'revoked') ?? all[0]
    if (found === undefined) throw new Failure('SVS_KEY_NOT_FOUND', which)
    return found
  }

  /**
   * Who has signed, of those that this store trusts. Throws SVS_SIGNATURE_REVOKED where nobody else has
   * signed, SVS_ARCHIVE_UNSIGNED unless `allowUnsigned`.
   */
  judge(path: string, signatures: readonly Signature[], allowUnsigned: boolean): string[] {
    const kinds = new Map(this.list().map(({ key, kind }) => [key, kind]))
    const kindOf = ({ key }: Signature) => kinds.get(key) ?? null
    const trusted = signatures.filter((one) => ['own', 'trusted'].includes(kindOf(one) ?? ''))
    if (trusted.length > 0) return trusted.map(({ name }) => name)
    const revoked = signatures.find((one) => kindOf(one) === 'revoked')
    if (revoked !== undefined) throw new Failure('SVS_SIGNATURE_REVOKED', path, revoked.name)
    if (allowUnsigned) return []
    const who = signatures.map(({ name, key }) => `${name} (${key})`).join(', ')
    throw new Failure('SVS_ARCHIVE_UNSIGNED', path, who === '' ? 'nobody' : `${who} alone`)
  }

  #own(): string[] {
    return readdirSync(this.#dir)
      .filter((file) => file.endsWith('.key'))
      .map((file) => file.slice(0, -4))
      .filter((name) => NAME.test(name))
      .sort()
  }

  #pathOf(name: string): string {
    return join(this.#dir, `${name}.key`)
  }

  #lists(): Lists {
    const path = join(this.#dir, 'trusted.json')
    if (!existsSync(path)) return { trusted: [], revoked: [] }
    const read = listShape.safeParse(parsed(readFileSync(path, 'utf8')))
    if (!read.success) throw new Failure('SVS_STORE_DAMAGED', path, 'it is no list of keys')
    return read.data
  }

  #write(lists: Lists): void {
    const path = join(this.#dir, 'trusted.json')
    writeWhole(bytesOf(path), Buffer.from(`${JSON.stringify(lists, null, 2)}\n`), 0o600)
  }
}

/** A key as people pass it on. */
export const keyText = ({ key, name }: { key: string; name: string }): string =>
  `svsfs-ed25519 ${key} ${name}`

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
