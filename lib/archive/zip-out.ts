// Writing an archive: a ZIP as a stream, the same bytes for the same entries on every machine.
//
//   add(name, bytes) … end() ─▶ archiver ─▶ <file>.<random>.new (flushed) ─▶ <file>
//
// Rule: the file appears whole or not at all, and what is there already is never written over.

import { randomBytes } from 'node:crypto'
import { createWriteStream, type WriteStream } from 'node:fs'
import { link, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ZipArchive } from 'archiver'
import { Failure } from '../base/failure.ts'
import { flushDirectory } from '../host/file.ts'

/** The first day that ZIP knows: an archive says nothing of when it was made but in its signature. */
const DAY = new Date(Date.UTC(1980, 0, 1))
/** So many bytes may wait for the disk. */
const AHEAD = 8 * 1024 * 1024

export class ZipOut {
  readonly #path: string
  readonly #temporary: string
  readonly #zip = new ZipArchive({ store: true })
  readonly #file: WriteStream
  /** Settles when the file is closed, whatever closed it. */
  readonly #closed: Promise<void>
  #failure: unknown = null

  constructor(path: string) {
    this.#path = path
    this.#temporary = `${path}.${randomBytes(4).toString('hex')}.new`
    this.#file = createWriteStream(this.#temporary, { flags: 'wx', mode: 0o644, flush: true })
    const fail = (err: unknown) => {
      this.#failure ??= err
      this.#file.destroy()
    }
    this.#closed = new Promise((resolve) => void this.#file.once('close', resolve))
    this.#file.on('error', fail)
    this.#zip.on('error', fail)
    this.#zip.on('warning', fail)
    this.#zip.pipe(this.#file)
  }

  async add(name: string, bytes: Buffer): Promise<void> {
    this.#mustGoOn()
    const written = new Promise<void>((resolve) => this.#zip.once('entry', resolve))
    this.#zip.append(bytes, { name, date: DAY, mode: 0o644, store: true })
    await Promise.race([written, this.#closed])
    while (this.#zip.readableLength + this.#file.writableLength > AHEAD && this.#failure === null)
      await Promise.race([this.#drained(), this.#closed])
    this.#mustGoOn()
  }

  /** Ends the archive. Throws SVS_PATH_EXISTS where something came to be there meanwhile. */
  async end(replace: boolean): Promise<number> {
    await Promise.race([this.#zip.finalize(), this.#closed])
    await this.#closed
    this.#mustGoOn()
    const { bytesWritten } = this.#file
    if (replace) await rename(this.#temporary, this.#path)
    else {
      await linkNew(this.#temporary, this.#path)
      await rm(this.#temporary)
    }
    await flushDirectory(dirname(this.#path))
    return bytesWritten
  }

  /** Removes what there is of it. */
  async abandon(): Promise<void> {
    this.#zip.abort()
    this.#file.destroy()
    await this.#closed
    await rm(this.#temporary, { force: true })
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => void this.#file.once('drain', resolve))
  }

  #mustGoOn(): void {
    if (this.#failure === null) return
    const { code, message } = this.#failure as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new Failure('SVS_DISK_FULL', this.#path)
    throw new Failure('SVS_ARCHIVE_UNWRITABLE', this.#path, message, { cause: this.#failure })
  }
}

async function linkNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new Failure('SVS_PATH_EXISTS', to)
  }
}
