// The bytes that a part refers to: stretches of files of `ro`, and of contents that are open.
//
//   references ─▶ [stretch of ro][stretch of a content]… = prefix
//
// Rule: every stretch is held against its digest where it has one. What differs in `ro` is SVS_RO_CHANGED,
// in a content Damage.

import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { LARGEST_WINDOW } from '../host/zstd.ts'
import { Damage, sha256 } from './depot.ts'
import type { Opened } from './making.ts'
import { openLower, type Readable } from './readable.ts'
import type { Part, Reference } from './records.ts'
import { scratch } from './scratch.ts'
import type { Sources } from './sources.ts'

/** All stretches one after another, in scratch memory; null where there is none. */
export function makePrefix(
  sources: Sources,
  references: readonly Reference[],
  opened: Opened,
): Buffer | null {
  if (references.length === 0) return null
  const length = references.reduce((sum, reference) => sum + reference.length, 0)
  if (length > LARGEST_WINDOW) throw new Damage('references beyond any window')
  const prefix = scratch('prefix', length)
  let at = 0
  for (const reference of references) {
    const stretch = prefix.subarray(at, at + reference.length)
    if (reference.source === 'ro') readLower(sources, reference, stretch)
    else readStretch(reference, opened.get(reference)!, stretch)
    at += reference.length
  }
  return prefix
}

/** Opened for this alone: a part may refer to more files than a process may have open. */
export function readLower(sources: Sources, reference: Reference, into: Buffer): void {
  const file = openLower(sources.ro, reference.path)
  if (file === null) throw changed(reference, 'it is missing')
  try {
    readStretch(reference, file, into)
  } finally {
    file.close()
  }
}

function readStretch(reference: Reference, source: Readable, into: Buffer): void {
  if (reference.offset + reference.length > source.size) throw changed(reference, 'it is shorter')
  source.read(into, reference.offset)
  if (reference.digest !== '' && sha256(into) !== reference.digest)
    throw changed(reference, 'its bytes differ')
}

function changed(reference: Reference, why: string): Error {
  if (reference.source === 'ro')
    return new Failure('SVS_RO_CHANGED', shown(reference.path ?? ''), why)
  return new Damage(`content ${reference.content?.slice(0, 16)}: ${why}`)
}

/**
 * What made of these parts came out wrong: chunks and contents were held against their names, so that
 * what is left is a file of `ro`.
 */
export function wrong(parts: readonly Part[], why: string, cause?: unknown): Error {
  const lower = parts.flatMap(({ references = [] }) =>
    references.filter(({ source }) => source === 'ro'),
  )
  if (lower.length > 0) return changed(lower[0]!, 'what refers to it comes out wrong')
  return new Damage(why, { cause })
}
