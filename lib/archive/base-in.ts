// Making a read-only part from an archive that brings it.
//
//   lines ─▶ entries ─▶ (for an ordinary user: what the disk can hold, and overrides) ─▶ a new tree
//                                                                       └▶ index ─▶ its digest
//
// Rule: the tree counts once its digest is the one that the archive says; before that it lies where
// nobody looks, and what fails leaves nothing of it.

import { mkdirSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import { bytesOf, type RelPath, shown } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, S } from '../host/sys.ts'
import { publishIndex, type TreeFacts } from '../layer/index-file.ts'
import type { Override } from '../layer/layer.ts'
import { ownPrefix } from '../layer/marks.ts'
import { Damage, type Depot } from '../snapshot/depot.ts'
import { TYPE_OF } from '../snapshot/kinds.ts'
import { Pace } from '../snapshot/pace.ts'
import type { Content, Entry, Piece } from '../snapshot/records.ts'
import { runJob } from '../snapshot/thread.ts'
import { TreeWriter } from '../snapshot/tree.ts'
import type { Archive } from './archive.ts'
import { refuseCircles } from './closure.ts'
import { type Allowed, EntryReader } from './entry-lines.ts'
import { archiveFailure, readContents } from './import.ts'
import { linesOf, readList } from './lists.ts'

export interface BuildBaseOptions {
  readonly archive: Archive
  readonly allowed: Allowed
  /** Names that are not there yet, as Node takes them. */
  readonly tree: string
  readonly index: string
  readonly signal: AbortSignal | null
  readonly onProgress: (text: string) => void
}

/** Throws SVS_ARCHIVE_DAMAGED, SVS_ARCHIVE_ESCAPES, SVS_ARCHIVE_DEVICE. */
export async function buildBase(options: BuildBaseOptions): Promise<TreeFacts> {
  const { archive, tree, index, signal, onProgress } = options
  try {
    await archive.check(onProgress, signal)
    const depot = new BaseDepot(archive, await contentsOf(archive))
    const { pieces, overrides } = await listOf(options, depot)
    mkdirSync(tree, { mode: 0o700 })
    await build(tree, pieces, depot, onProgress)
    onProgress('reading what was made')
    const facts = await publishIndex(bytesOf(tree), bytesOf(index), overrides)
    mustBe(archive, facts)
    return facts
  } catch (err) {
    for (const path of [tree, index]) removeTree(AT_FDCWD, bytesOf(path))
    throw archiveFailure(err, archive.path)
  }
}

async function build(
  tree: string,
  pieces: readonly Piece[],
  depot: Depot,
  onProgress: (text: string) => void,
): Promise<void> {
  const job = {
    prefix: ownPrefix(),
    pieces,
    state: 'read-only part',
    ro: [],
    scope: '',
    into: bytesOf(tree),
    numbers: null,
  }
  try {
    await runJob('build', job, depot, ({ entries }) => onProgress(`made ${entries} names`))
  } catch (cause) {
    if (!(cause instanceof Failure) || cause.code !== 'SVS_CHUNK_DAMAGED') throw cause
    throw new Damage(cause.message, { cause })
  }
}

function mustBe(archive: Archive, facts: TreeFacts): void {
  const { digest, entries, bytes } = archive.manifest.base
  if (facts.digest === digest && facts.entries === entries && facts.bytes === bytes) return
  const user =
    process.geteuid?.() === 0 ? '' : ', or holds what only root can (attributes of the system)'
  throw new Damage(`its read-only part is not what it says${user}`)
}

async function contentsOf(archive: Archive): Promise<ReadonlyMap<string, Content>> {
  const found = await readContents(archive, 'base')
  const contents = new Map(found.map(({ id, content }) => [id, content]))
  for (const { id, content } of found)
    for (const { references = [] } of content.parts)
      if (references.some(({ source }) => source === 'ro'))
        throw new Damage(`content ${id.slice(0, 16)} refers to what it is to make`)
  await refuseCircles(contents, async () => false)
  return contents
}

/** What the tree is made of: the archive's, and the list that is made of its lines. */
class BaseDepot implements Depot {
  readonly #archive: Archive
  readonly #contents: ReadonlyMap<string, Content>
  readonly #lists = new Map<string, Buffer>()

  constructor(archive: Archive, contents: ReadonlyMap<string, Content>) {
    this.#archive = archive
    this.#contents = contents
  }

  async chunk(id: string): Promise<Buffer | null> {
    return this.#lists.get(id) ?? (await this.#archive.chunk(id))
  }

  async content(_scope: string, id: string): Promise<Content | null> {
    return this.#contents.get(id) ?? null
  }

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    this.#lists.set(id, bytes)
  }

  putContent(): Promise<void> {
    throw new TypeError('a list has no contents')
  }
}

async function listOf(
  { archive, allowed, signal }: BuildBaseOptions,
  depot: BaseDepot,
): Promise<{ pieces: Piece[]; overrides: Map<RelPath, Override> }> {
  const { tree } = archive.manifest.base
  if (tree === null) throw new Damage('it brings no read-only part')
  const reader = new EntryReader({ tag: 0, version: 0 }, allowed)
  const overrides = new Map<RelPath, Override>()
  const writer = new TreeWriter(depot)
  const pace = new Pace(1, signal)
  for (const line of linesOf(await readList(archive, tree), tree.lines)) {
    const entry = reader.read(line)
    if (entry.kind === 'whiteout' || entry.marks !== undefined || entry.number !== 0)
      throw new Damage(`${shown(entry.path)} is of a writable part`)
    if (!archive.manifest.kinds.includes(entry.kind))
      throw new Damage(`a ${entry.kind} that its manifest does not name`)
    const { held, override } = heldHere(entry)
    if (override !== null) overrides.set(entry.path, override)
    await writer.add({ entry: held, stamp: null })
    await pace.breathe()
  }
  return { pieces: await writer.end(), overrides }
}

const privileged = process.geteuid?.() === 0

/** What this user's disk can hold of an entry, and the rest, as imports do it (import-members.ts). */
function heldHere(entry: Entry): { held: Entry; override: Override | null } {
  if (privileged) return { held: entry, override: null }
  const [uid, gid] = [process.geteuid!(), process.getegid!()]
  const isDevice = entry.kind === 'char' || entry.kind === 'block'
  const mode = heldMode(entry, uid, gid)
  const override = {
    ...(entry.uid === uid ? {} : { uid: entry.uid }),
    ...(entry.gid === gid ? {} : { gid: entry.gid }),
    ...(isDevice || mode !== entry.mode ? { mode: TYPE_OF[entry.kind] | entry.mode } : {}),
    ...(isDevice ? { rdev: entry.rdev ?? 0 } : {}),
  }
  const { rdev: _, ...plain } = entry
  const held: Entry = isDevice
    ? { ...plain, kind: 'file', size: 0, mode, uid, gid }
    : { ...entry, mode, uid, gid }
  return { held, override: Object.keys(override).length === 0 ? null : override }
}

function heldMode(entry: Entry, uid: number, gid: number): number {
  const { kind, mode } = entry
  if (kind === 'symlink') return mode
  if (kind === 'char' || kind === 'block') return 0o600
  if (kind === 'dir') return mode | 0o700
  const suid = entry.uid === uid ? 0 : S.ISUID
  const sgid = entry.gid === gid ? 0 : S.ISGID
  return (mode | 0o400) & ~suid & ~sgid
}
