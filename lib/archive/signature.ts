// Who made an archive: the entry `signature`, and the ed25519 signatures in it.
//
//   signed text = "svsfs archive signature 1\n" payload "\n" moment "\n" name "\n"
//
// The payload is the digest of the manifest, which names every byte of the archive: so a signature stands
// for all of it. Who made it, and where, is a claim that nobody signs; a signature's name and moment are
// signed with it.
//
// Rule: a signature that does not fit makes the whole archive invalid, whoever else has signed.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { canonicalText } from './canonical.ts'

/** Bytes before a raw ed25519 key in its DER form (RFC 8410). */
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_BYTES = 32

const moment = z.number().int().nonnegative()
const base64 = (bytes: number) =>
  z.string().refine((text) => {
    const found = Buffer.from(text, 'base64')
    return found.length === bytes && found.toString('base64') === text
  })

export const signatureShape = z.strictObject({
  /** The raw public key. */
  key: base64(KEY_BYTES),
  name: z.string().regex(/^[^\s\0-\x1f\x7f]{1,64}$/),
  /** Milliseconds since 1970. */
  at: moment,
  signature: base64(64),
})
export type Signature = z.infer<typeof signatureShape>

const entryShape = z.strictObject({
  made: z.strictObject({ at: moment, by: z.string().max(100), host: z.string().max(255) }),
  signatures: z.array(signatureShape).max(100),
})
/** What the entry `signature` says. */
export type Signed = z.infer<typeof entryShape>

/** A key that signs. */
export interface SigningKey {
  readonly name: string
  /** PKCS 8, PEM. */
  readonly pem: string
}

export function signPayload(
  payload: string,
  { name, pem }: SigningKey,
  at = Date.now(),
): Signature {
  const key = createPrivateKey(pem)
  const signature = sign(null, textOf({ payload, at, name }), key).toString('base64')
  return { key: publicOf(createPublicKey(key)), name, at, signature }
}

/** The raw public key, as base64. */
export function publicOf(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).subarray(PUBLIC_DER.length).toString('base64')
}

const textOf = ({ payload, at, name }: { payload: string; at: number; name: string }): Buffer =>
  Buffer.from(`svsfs archive signature 1\n${payload}\n${at}\n${name}\n`)

/** True where the signature is of that payload. */
export function fits(payload: string, { key, name, at, signature }: Signature): boolean {
  const der = Buffer.concat([PUBLIC_DER, Buffer.from(key, 'base64')])
  try {
    const known = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return verify(null, textOf({ payload, at, name }), known, Buffer.from(signature, 'base64'))
  } catch {
    // 32 bytes that are no point of the curve.
    return false
  }
}

export const signedText = (signed: Signed): Buffer => Buffer.from(canonicalText(signed))

/** Reads the entry, and holds every signature against the payload. Throws SVS_SIGNATURE_INVALID. */
export function readSigned(bytes: Buffer, payload: string, path: string): Signed {
  const read = entryShape.safeParse(parsed(bytes))
  if (!read.success) throw new Failure('SVS_ARCHIVE_DAMAGED', path, 'its signature is none')
  for (const one of read.data.signatures)
    if (!fits(payload, one)) throw new Failure('SVS_SIGNATURE_INVALID', path, one.name)
  return read.data
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}
