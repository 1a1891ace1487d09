// Blobs as they come from a repository, held against what they must be.
//
//   fetchBlob ─▶ all bytes of a small one     fetchInto ─▶ a large one, to a file     fetchStretch ─▶ a part
//
// Rule: never more bytes than were announced; a connection that is cut goes on where it was. A part
// cannot be held against the digest of its blob: whoever asks for one knows digests of its own.

import type { FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import type { Descriptor } from './format.ts'
import { digestOf, newHash, type Repository } from './repository.ts'

const ATTEMPTS = 4
const FIRST_PAUSE_MS = 100

/** The bytes of a blob that fits into memory. Throws SVS_REPOSITORY_INVALID. */
export async function fetchBlob(
  repository: Repository,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  most: number,
): Promise<Buffer> {
  if (size > most)
    throw invalid(repository, `${digest} has ${size} bytes, which is more than it may have`)
  const bytes = await fetchStretch(repository, digest, 0, size, size)
  if (digestOf(bytes) !== digest) throw invalid(repository, `${digest} is not what its name says`)
  return bytes
}

/** A part of a blob. */
export async function fetchStretch(
  repository: Repository,
  digest: string,
  start: number,
  end: number,
  size: number,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stretch(repository, digest, start, end, size)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Writes a blob to a file, flushed by whoever opened it. Throws SVS_REPOSITORY_INVALID. */
export async function fetchInto(
  repository: Repository,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  file: FileHandle,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const hash = newHash()
  let done = 0
  for await (const piece of stretch(repository, digest, 0, size, size)) {
    hash.update(piece)
    onProgress((done += piece.length))
    for (let at = 0; at < piece.length; )
      at += (await file.write(piece, at, piece.length - at)).bytesWritten
  }
  if (`sha256:${hash.digest('hex')}` !== digest)
    throw invalid(repository, `${digest} is not what its name says`)
}

async function* stretch(
  repository: Repository,
  digest: string,
  start: number,
  end: number,
  size: number,
): AsyncGenerator<Buffer> {
  let at = start
  for (let attempt = 1; at < end; attempt++) {
    const before = at
    try {
      for await (const piece of repository.read(digest, at, end, size)) {
        at += piece.length
        if (at > end) throw invalid(repository, `${digest} has more bytes than it says`)
        yield piece
      }
      if (at < end) throw invalid(repository, `${digest} has fewer bytes than it says`)
    } catch (err) {
      // Whatever came counts as progress: a bad line gets a blob through piece by piece.
      if (at > before) attempt = 1
      if (!isPassing(err) || attempt >= ATTEMPTS) throw err
      await sleep(FIRST_PAUSE_MS * 2 ** attempt)
    }
  }
}

/** A connection that failed, not an answer. */
export const isPassing = (err: unknown): boolean =>
  err instanceof Failure && err.code === 'SVS_REPOSITORY_UNREACHABLE'

const invalid = ({ name }: Repository, why: string): Failure =>
  new Failure('SVS_REPOSITORY_INVALID', name, why)
