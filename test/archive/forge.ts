// Archives that were tampered with by somebody who knows the format: lists and manifest are changed,
// and every digest is made to fit again.

import { createHash } from 'node:crypto'
import { canonicalText } from '../../lib/archive/canonical.ts'
import type { ArchiveList, ArchiveManifest } from '../../lib/archive/format.ts'
import { cutLines, writeList } from '../../lib/archive/lists.ts'
import { ZipIn } from '../../lib/archive/zip-in.ts'
import { ZipOut } from '../../lib/archive/zip-out.ts'
import { decompress } from '../../lib/host/zstd.ts'

/** Something in it that may be changed at will. */
type Writable<T> = T extends object ? { -readonly [Field in keyof T]: Writable<T[Field]> } : T

export class Forgery {
  readonly manifest: Writable<ArchiveManifest>
  readonly chunks: Map<string, Buffer>
  /** Lines of the states' lists, and of how contents are made. */
  readonly states: string[][]
  contents: string[]
  /** Lines of the read-only part. */
  base: string[] | null
  signature: Buffer

  private constructor(entries: ReadonlyMap<string, Buffer>) {
    this.manifest = JSON.parse(entries.get('manifest.json')!.toString())
    this.signature = entries.get('signature')!
    const ids = Object.keys(this.manifest.chunks)
    this.chunks = new Map(ids.map((id) => [id, entries.get(`chunks/${id}`)!]))
    this.states = this.manifest.states.map(({ entries: list }) => this.#lines(list as ArchiveList))
    this.contents = this.#lines(this.manifest.contents as ArchiveList)
    const { tree } = this.manifest.base
    this.base = tree === null ? null : this.#lines(tree as ArchiveList)
  }

  /** One of a sound archive. */
  static async of(path: string): Promise<Forgery> {
    const zip = await ZipIn.open(path)
    const entries = new Map<string, Buffer>()
    for (const name of zip.names) entries.set(name, (await zip.read(name))!)
    await zip.close()
    return new Forgery(entries)
  }

  /** What `write` made of the manifest. */
  text = Buffer.alloc(0)

  /** Another one like it. */
  copy(): Forgery {
    const other: Forgery = Object.create(Forgery.prototype)
    const { signature } = this
    return Object.assign(other, {
      manifest: structuredClone(this.manifest),
      chunks: new Map(this.chunks),
      states: this.states.map((lines) => [...lines]),
      contents: [...this.contents],
      base: this.base === null ? null : [...this.base],
      signature,
    })
  }

  #lines({ pieces }: ArchiveList): string[] {
    const all = pieces.flatMap(({ chunks, bytes }) => {
      const frame = Buffer.concat(chunks.map((id) => this.chunks.get(id)!))
      for (const id of chunks) this.chunks.delete(id)
      return decompress(frame, bytes).toString().split('\n').slice(0, -1)
    })
    return all
  }

  /** Changes the entry of a path in the last state. */
  edit(path: string, change: (entry: Record<string, unknown>) => void): void {
    const lines = this.states.at(-1)!
    const at = lines.findIndex((line) => JSON.parse(line).path === path)
    const entry = JSON.parse(lines[at]!)
    change(entry)
    lines[at] = canonicalText(entry).replace(/\n */g, '').replace(/": /g, '":')
  }

  /** Writes it, with digests that fit. `keep`: lists and chunks of the manifest stay as they were set. */
  async write(path: string, keep = false): Promise<string> {
    const { manifest } = this
    if (!keep) {
      for (const [at, state] of manifest.states.entries())
        state.entries = (await listOf(this.chunks, this.states[at]!)) as typeof state.entries
      manifest.contents = (await listOf(this.chunks, this.contents)) as typeof manifest.contents
      if (this.base !== null)
        manifest.base.tree = (await listOf(this.chunks, this.base)) as typeof manifest.base.tree
      manifest.chunks = Object.fromEntries([...this.chunks].map(([id, { length }]) => [id, length]))
    }
    const zip = new ZipOut(path)
    this.text = Buffer.from(canonicalText(manifest))
    await zip.add('manifest.json', this.text)
    await zip.add('signature', this.signature)
    for (const id of [...this.chunks.keys()].sort())
      await zip.add(`chunks/${id}`, this.chunks.get(id)!)
    await zip.end(true)
    return path
  }

  /** Puts a chunk in, under its own digest. */
  put(bytes: Buffer): string {
    const id = createHash('sha256').update(bytes).digest('hex')
    this.chunks.set(id, bytes)
    return id
  }
}

/** A list of these lines, whose chunks are put to the others. */
async function listOf(chunks: Map<string, Buffer>, lines: readonly string[]): Promise<ArchiveList> {
  const depot = {
    chunk: async (id: string) => chunks.get(id) ?? null,
    content: async () => null,
    putChunk: async (id: string, bytes: Buffer) => void chunks.set(id, bytes),
    putContent: async () => {},
  }
  return writeList(depot, cutLines(lines))
}
