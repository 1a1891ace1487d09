// Container images made of tar archives, as a layout that any tool reads.

import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { compress } from '../../lib/host/zstd.ts'

export type Packing = 'plain' | 'gzip' | 'zstd'

const TAR = 'application/vnd.oci.image.layer.v1.tar'
const TYPES = { plain: TAR, gzip: `${TAR}+gzip`, zstd: `${TAR}+zstd` }

export interface ImageWish {
  /** What the config says, in place of the truth. */
  readonly diffIds?: readonly string[]
  readonly architecture?: string
}

export const sha256 = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Writes an image, the lowest layer first, with the tag `v1`. */
export function writeImage(
  dir: string,
  layers: readonly (readonly [Packing, Buffer])[],
  { diffIds = layers.map(([, tar]) => sha256(tar)), architecture }: ImageWish = {},
): string {
  mkdirSync(join(dir, 'blobs/sha256'), { recursive: true })
  const put = (mediaType: string, bytes: Buffer) => {
    const digest = sha256(bytes)
    writeFileSync(join(dir, 'blobs', digest.replace(':', '/')), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const json = (mediaType: string, value: unknown) =>
    put(mediaType, Buffer.from(JSON.stringify(value)))
  const here = process.arch === 'x64' ? 'amd64' : process.arch
  const config = json('application/vnd.oci.image.config.v1+json', {
    architecture: here,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIds },
  })
  const packed = layers.map(([packing, tar]) => put(TYPES[packing], pack(packing, tar)))
  const manifest = json('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config,
    layers: packed,
  })
  const tag = { annotations: { 'org.opencontainers.image.ref.name': 'v1' } }
  const several = {
    schemaVersion: 2,
    manifests: [{ ...manifest, platform: { os: 'linux', architecture: architecture ?? here } }],
  }
  const top =
    architecture === undefined ? manifest : json('application/vnd.oci.image.index.v1+json', several)
  const index = { schemaVersion: 2, manifests: [{ ...top, ...tag }] }
  writeFileSync(join(dir, 'index.json'), JSON.stringify(index))
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  return dir
}

function pack(packing: Packing, tar: Buffer): Buffer {
  if (packing === 'plain') return tar
  return packing === 'gzip' ? gzipSync(tar) : compress(tar)
}
