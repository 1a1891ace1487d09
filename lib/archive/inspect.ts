// What an archive says of itself, for people: needs no store, and writes nothing.

import { Archive } from './archive.ts'
import type { ArchiveManifest } from './format.ts'
import type { Signed } from './signature.ts'

export interface Inspected {
  readonly path: string
  /** Bytes of the file. */
  readonly bytes: number
  readonly version: number
  readonly payload: string
  readonly kind: ArchiveManifest['kind']
  readonly layer: string
  readonly base: { readonly digest: string; readonly bytes: number; readonly included: boolean }
  readonly from: string | null
  readonly states: readonly {
    readonly id: string
    readonly time: number
    readonly message: string
    readonly label: string | null
    readonly entries: number
    readonly bytes: number
  }[]
  readonly changes: ArchiveManifest['changes']
  readonly codecs: readonly string[]
  readonly kinds: readonly string[]
  readonly chunks: { readonly count: number; readonly bytes: number }
  /** Says the archive; only signatures are proven. */
  readonly made: Signed['made']
  readonly signatures: readonly {
    readonly key: string
    readonly name: string
    readonly at: number
  }[]
}

/** Opens and checks an archive, every chunk too. Throws as Archive does. */
export async function inspectArchive(
  path: string,
  onProgress: (text: string) => void = () => {},
): Promise<Inspected> {
  const archive = await Archive.open(path)
  try {
    await archive.checkAll(onProgress)
    return described(archive)
  } finally {
    await archive.close()
  }
}

function described({ path, size, manifest, payload, signed }: Archive): Inspected {
  const { base, layer, from, states, changes, codecs, kinds, version, kind } = manifest
  const chunks = Object.values(manifest.chunks)
  return {
    path,
    bytes: size,
    version,
    payload,
    kind,
    layer: layer.name,
    base: { digest: base.digest, bytes: base.bytes, included: base.tree !== null },
    from: from?.id ?? null,
    states: states.map(({ id, time, message, label, entries, bytes }) => ({
      id,
      time,
      message,
      label,
      entries: entries.lines,
      bytes,
    })),
    changes,
    codecs,
    kinds,
    chunks: { count: chunks.length, bytes: chunks.reduce((sum, bytes) => sum + bytes, 0) },
    made: signed.made,
    signatures: signed.signatures.map(({ key, name, at }) => ({ key, name, at })),
  }
}
