// Reading the ZIP of an archive that may come from anybody: its entries, where they lie, and nothing
// else of it.
//
//   file ─▶ central directory ─▶ names, lengths, places (all checked) ─▶ read(name)
//
// Rule: nothing is read by a length that was not held against the file's own; entries are stored, not
// compressed, so none can be larger than it is; no two lie over each other.

import { constants } from 'node:fs'
import { type FileHandle, open as openFile } from 'node:fs/promises'
import { openPromise, type ZipFile } from 'yauzl'
import { Failure } from '../base/failure.ts'
import { CHUNK_FOLDER, LIMITS, MANIFEST_NAME, SIGNATURE_NAME } from './format.ts'

// A FIFO is refused, not waited for.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

/** Central directory and local header of an entry are at least so long together. */
const LEAST_PER_ENTRY = 46 + 30 + CHUNK_FOLDER.length + 64

interface Place {
  readonly start: number
  readonly length: number
}

export class ZipIn {
  readonly path: string
  /** Bytes of the file. */
  readonly size: number
  readonly #file: FileHandle
  readonly #places: ReadonlyMap<string, Place>

  private constructor(path: string, size: number, file: FileHandle, places: Map<string, Place>) {
    this.path = path
    this.size = size
    this.#file = file
    this.#places = places
  }

  /** Throws SVS_SOURCE_NOT_FOUND, SVS_ARCHIVE_DAMAGED. */
  static async open(path: string): Promise<ZipIn> {
    const file = await openFile(path, FLAGS).catch((cause: NodeJS.ErrnoException) => {
      throw new Failure('SVS_SOURCE_NOT_FOUND', path, String(cause.code), { cause })
    })
    try {
      const stat = await file.stat()
      if (!stat.isFile()) throw new Failure('SVS_SOURCE_NOT_FOUND', path, 'it is no file')
      const places = await placesOf(path, stat.size)
      return new ZipIn(path, stat.size, file, places)
    } catch (err) {
      await file.close()
      throw err
    }
  }

  /** Names of all entries, in the order of the directory. */
  get names(): string[] {
    return [...this.#places.keys()]
  }

  lengthOf(name: string): number {
    return this.#places.get(name)?.length ?? 0
  }

  /** The bytes of an entry; null where there is none. Throws SVS_ARCHIVE_DAMAGED where the file was cut. */
  async read(name: string): Promise<Buffer | null> {
    const place = this.#places.get(name)
    if (place === undefined) return null
    // Its own memory: chunks travel to threads by giving it away.
    const bytes = Buffer.allocUnsafeSlow(place.length)
    for (let done = 0; done < place.length; ) {
      const rest = place.length - done
      const { bytesRead } = await this.#file.read(bytes, done, rest, place.start + done)
      if (bytesRead === 0) throw damaged(this.path, 'it is cut short')
      done += bytesRead
    }
    return bytes
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

const damaged = (path: string, why: string, cause?: unknown): Failure =>
  new Failure('SVS_ARCHIVE_DAMAGED', path, why, { cause })

async function placesOf(path: string, size: number): Promise<Map<string, Place>> {
  const zip = await openPromise(path, {
    lazyEntries: true,
    autoClose: false,
    decodeStrings: false,
    validateEntrySizes: true,
  }).catch((cause: Error) => {
    throw damaged(path, `it is no ZIP, or cut short (${cause.message.split('.')[0]})`, cause)
  })
  try {
    if (zip.entryCount > size / LEAST_PER_ENTRY + 2) throw damaged(path, 'more entries than bytes')
    return await readPlaces(zip, path, size)
  } catch (cause) {
    if (cause instanceof Failure) throw cause
    throw damaged(path, (cause as Error).message, cause)
  } finally {
    zip.close()
  }
}

async function readPlaces(zip: ZipFile, path: string, size: number): Promise<Map<string, Place>> {
  const places = new Map<string, Place>()
  let end = 0
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileNameRaw.latin1Slice()
    if (places.has(name)) throw damaged(path, `entry ${printable(name)} is there twice`)
    const length = entry.uncompressedSize
    if (entry.compressionMethod !== 0 || entry.compressedSize !== length || entry.isEncrypted())
      throw damaged(path, `entry ${printable(name)} is not stored as it is`)
    if (length > mostOf(name, path, places.size))
      throw damaged(path, `entry ${printable(name)} is too long`)
    const local = await zip.readLocalFileHeaderPromise(entry, {})
    if (local.fileName.latin1Slice() !== name || local.compressionMethod !== 0)
      throw damaged(path, `entry ${printable(name)} has two headers that differ`)
    const start = local.fileDataStart
    // In the order of the file, one after the other: so they cannot lie over each other.
    if (entry.relativeOffsetOfLocalHeader !== end || start + length > size)
      throw damaged(path, `entry ${printable(name)} does not lie where it must`)
    end = start + length
    places.set(name, { start, length })
  }
  for (const name of [MANIFEST_NAME, SIGNATURE_NAME])
    if (!places.has(name)) throw damaged(path, `${name} is missing`)
  return places
}

/** How long an entry of that name, at that place, may be. */
function mostOf(name: string, path: string, at: number): number {
  if (at === 0 && name === MANIFEST_NAME) return LIMITS.manifest
  if (at === 1 && name === SIGNATURE_NAME) return LIMITS.signature
  if (
    at > 1 &&
    name.startsWith(CHUNK_FOLDER) &&
    /^[0-9a-f]{64}$/.test(name.slice(CHUNK_FOLDER.length))
  )
    return LIMITS.chunk
  throw damaged(path, `entry ${printable(name)} does not belong there`)
}

const printable = (name: string): string =>
  name
    .slice(0, 80)
    .replace(/[^ -~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
