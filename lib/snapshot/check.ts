// Making contents only to see that they can be made, and making them again from files: work of a
// snapshot thread.
//
//   check   ids ─▶ made from their parts, hashed ─▶ those that cannot be, and why
//   mend    ids with paths ─▶ a file of the read-only part with that content ─▶ stored anew
//
// Rule: a file mends a content only where its bytes have that content's name.

import { Failure } from '../base/failure.ts'
import type { RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { makeContent } from './content.ts'
import { encode } from './delta.ts'
import { Damage, type Depot, type DepotReader } from './depot.ts'
import { contentId, type FileData, holesOf, readFull } from './file-data.ts'
import { Origins } from './origins.ts'
import { openBelow } from './readable.ts'
import { Shelf } from './shelf.ts'

interface Place {
  /** Digest of the read-only part, and its trees, top first. */
  readonly scope: string
  readonly ro: readonly string[]
  /** A directory on a disk with room. */
  readonly temporary: string
}

export interface CheckJob extends Place {
  readonly ids: readonly string[]
}

/** A content that cannot be made, and why. */
export interface Broken {
  readonly id: string
  readonly why: string
  /** The read-only part is not what it was. */
  readonly readOnly: boolean
}

export async function check(job: CheckJob, depot: DepotReader): Promise<Broken[]> {
  const broken: Broken[] = []
  for (const id of job.ids) {
    try {
      await makeContent({ depot, ...job }, id, () => {})
    } catch (err) {
      const readOnly = err instanceof Failure && err.code === 'SVS_RO_CHANGED'
      if (!(err instanceof Damage) && !readOnly) throw err
      broken.push({ id, why: (err as Error).message, readOnly })
    }
  }
  return broken
}

export interface MendJob extends Place {
  readonly wanted: readonly { readonly id: string; readonly paths: readonly RelPath[] }[]
}

/** Answers how many could be mended. */
export async function mend(job: MendJob, depot: Depot): Promise<number> {
  const { scope, ro, wanted } = job
  // What is mended refers to nothing.
  const sources = { ...job, scope: '', depot }
  const origins = new Origins(sources, [])
  const shop = { depot, sources, origins, shelf: new Shelf(sources) }
  let mended = 0
  for (const { id, paths } of wanted) {
    const file = fileWith(ro, id, paths)
    if (file === null) continue
    try {
      const { content } = await encode(file, null, [], shop)
      await depot.putContent(scope, id, content)
      mended += 1
    } finally {
      file.close()
    }
  }
  return mended
}

function fileWith(ro: readonly string[], id: string, paths: readonly RelPath[]): FileData | null {
  for (const root of ro) {
    for (const path of paths) {
      const file = openFile(root, path)
      if (file !== null && contentId(file) === id) return file
      file?.close()
    }
  }
  return null
}

const stat = new Stat()

function openFile(root: string, path: RelPath): FileData | null {
  const fd = openBelow(root, path)
  if (fd === null) return null
  must(sys.stat(fd, '', stat), path)
  if ((stat.mode & S.IFMT) !== S.IFREG) {
    sys.close(fd)
    return null
  }
  return {
    size: stat.size,
    holes: holesOf(fd, stat.size),
    read: (into, offset) => readFull(fd, into, offset),
    close: () => void sys.close(fd),
  }
}
