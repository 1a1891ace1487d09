// A repository that is a directory: an OCI image layout, which skopeo and its like read too.
//
//   DIR/oci-layout   DIR/index.json   DIR/blobs/sha256/<digest>
//
// Rule: a blob appears whole, under its digest, or not at all; index.json is exchanged last, by whoever
// holds the lock on oci-layout. What lies there may come from anybody: nothing but files is read.

import { randomBytes } from 'node:crypto'
import { constants, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { type FileHandle, link, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { flushDirectory, writeWhole } from '../host/file.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { type ImageIndex, jsonBytes, LIMITS } from './format.ts'
import {
  blobPath,
  emptyIndex,
  INDEX_NAME,
  LARGEST_INDEX,
  LAYOUT_NAME,
  LAYOUT_TEXT,
  pickOf,
  readIndex,
  tagsOf,
  withEntry,
} from './index-json.ts'
import type { Pick } from './place.ts'
import {
  type Blob,
  blobOf,
  type FoundManifest,
  manifestOf,
  type NewManifest,
  newHash,
  type Put,
  type Repository,
} from './repository.ts'

/** flock(2): LOCK_EX and LOCK_NB. */
const EXCLUSIVE_NOW = 2 | 4
const PATIENCE_MS = 60_000
const STRETCH = 1024 * 1024

export class Layout implements Repository {
  readonly name: string
  readonly #dir: string

  private constructor(dir: string) {
    this.#dir = dir
    this.name = `dir:${dir}`
  }

  /** `create`: a directory that is not there, or empty, becomes one. Throws SVS_REPOSITORY_NOT_FOUND. */
  static open(dir: string, create: boolean): Layout {
    if (!existsSync(join(dir, LAYOUT_NAME))) {
      if (!create) throw new Failure('SVS_REPOSITORY_NOT_FOUND', 'repository', dir)
      makeLayout(dir)
    }
    return new Layout(dir)
  }

  async tags(): Promise<string[]> {
    return tagsOf(await this.#index())
  }

  async manifest(pick: Pick | null): Promise<FoundManifest> {
    // One that an index names need not stand in index.json.
    const digest = pick?.digest ?? pickOf(await this.#index(), pick, this.name).digest
    const bytes = await this.#small(blobPath(digest), LIMITS.manifest)
    return manifestOf(this.name, bytes, { tag: null, digest })
  }

  async has(digest: string): Promise<boolean> {
    return existsSync(join(this.#dir, blobPath(digest)))
  }

  async *read(digest: string, start: number, end: number): AsyncGenerator<Buffer> {
    const file = await this.#open(blobPath(digest))
    try {
      for (let at = start; at < end; ) {
        const piece = Buffer.allocUnsafeSlow(Math.min(STRETCH, end - at))
        const { bytesRead } = await file.read(piece, 0, piece.length, at)
        if (bytesRead === 0) return
        at += bytesRead
        yield piece.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }

  async put(blob: Blob): Promise<Put> {
    const path = join(this.#dir, blobPath(blob.digest))
    if (existsSync(path)) return 'there'
    const temporary = `${path}.${randomBytes(4).toString('hex')}.new`
    const file = await open(temporary, 'wx', 0o644).catch((err) => this.#unwritable(err))
    try {
      await this.#write(file, blob)
      await link(temporary, path).catch((err: NodeJS.ErrnoException) => {
        if (err.code !== 'EEXIST') throw err
      })
      return 'sent'
    } catch (err) {
      return this.#unwritable(err)
    } finally {
      await file.close()
      await rm(temporary, { force: true })
    }
  }

  async mount(): Promise<boolean> {
    return false
  }

  async putManifest({ bytes, mediaType, artifactType, tag }: NewManifest): Promise<void> {
    const { digest, size } = blobOf(bytes)
    await this.put(blobOf(bytes))
    await flushDirectory(join(this.#dir, dirname(blobPath(digest))))
    const lock = await this.#lock()
    try {
      const index = await this.#index()
      const renewed = withEntry(index, { mediaType, digest, size, artifactType }, tag)
      writeWhole(bytesOf(join(this.#dir, INDEX_NAME)), jsonBytes(renewed))
    } finally {
      sys.close(lock)
    }
  }

  async close(): Promise<void> {}

  async #index(): Promise<ImageIndex> {
    return readIndex(await this.#small(INDEX_NAME, LARGEST_INDEX), this.name)
  }

  async #write(file: FileHandle, { digest, read }: Blob): Promise<void> {
    const hash = newHash()
    for await (const piece of read(0)) {
      hash.update(piece)
      for (let at = 0; at < piece.length; )
        at += (await file.write(piece, at, piece.length - at)).bytesWritten
    }
    if (`sha256:${hash.digest('hex')}` !== digest)
      throw new Failure(
        'SVS_REPOSITORY_INVALID',
        this.name,
        `${digest} changed while it was written`,
      )
    await file.sync()
  }

  async #small(name: string, most: number): Promise<Buffer> {
    const file = await this.#open(name)
    try {
      const { size } = await file.stat()
      if (size > most) throw this.#invalid(`${name} is too large`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  }

  async #open(name: string): Promise<FileHandle> {
    const path = join(this.#dir, name)
    // A FIFO is refused, not waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
      (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'ENOENT') throw new Failure('SVS_REPOSITORY_NOT_FOUND', name, this.name)
        throw new Failure('SVS_REPOSITORY_REFUSED', this.name, `${name}: ${cause.code}`, { cause })
      },
    )
    if ((await file.stat()).isFile()) return file
    await file.close()
    throw this.#invalid(`${name} is no file`)
  }

  /** Held until it is closed. */
  async #lock(): Promise<number> {
    const path = bytesOf(join(this.#dir, LAYOUT_NAME))
    const fd = must(sys.openat(AT_FDCWD, path, O.RDONLY), this.name)
    const until = Date.now() + PATIENCE_MS
    while (sys.flock(fd, EXCLUSIVE_NOW) < 0) {
      if (Date.now() > until) {
        sys.close(fd)
        throw new Failure('SVS_REPOSITORY_REFUSED', this.name, 'somebody else is changing it')
      }
      await sleep(50)
    }
    return fd
  }

  #unwritable(err: unknown): never {
    if (err instanceof Failure) throw err
    const { code } = err as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new Failure('SVS_DISK_FULL', this.#dir)
    throw new Failure('SVS_REPOSITORY_REFUSED', this.name, String(code), { cause: err })
  }

  #invalid(why: string): Failure {
    return new Failure('SVS_REPOSITORY_INVALID', this.name, why)
  }
}

function makeLayout(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true })
    if (readdirSync(dir).some((name) => !LAYOUT_NAMES.has(name)))
      throw new Failure('SVS_REPOSITORY_INVALID', dir, 'it is a directory of something else')
    mkdirSync(join(dir, 'blobs/sha256'), { recursive: true })
    const index = bytesOf(join(dir, INDEX_NAME))
    if (!existsSync(join(dir, INDEX_NAME))) writeWhole(index, jsonBytes(emptyIndex()))
    // Last: from then on it is one.
    writeWhole(bytesOf(join(dir, LAYOUT_NAME)), Buffer.from(LAYOUT_TEXT))
  } catch (cause) {
    if (cause instanceof Failure) throw cause
    const { code } = cause as NodeJS.ErrnoException
    throw new Failure('SVS_REPOSITORY_REFUSED', dir, String(code), { cause })
  }
}

/** What is there of one whose making was cut off. */
const LAYOUT_NAMES = new Set([LAYOUT_NAME, `${LAYOUT_NAME}.new`, INDEX_NAME, 'blobs'])
