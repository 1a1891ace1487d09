// What contents need: the others that they refer to, and chunks.
//
//   contents of entries ─▶ Closure ─▶ contents, by id, and chunks
//
// Rule: what is left out is not gone into: whoever reads the archive has it.

import { Damage, type DepotReader } from '../snapshot/depot.ts'
import { Pace } from '../snapshot/pace.ts'
import {
  type Content,
  content as contentSchema,
  part as partSchema,
  reference as referenceSchema,
} from '../snapshot/records.ts'
import { canonical } from './canonical.ts'

export class Closure {
  readonly contents = new Map<string, Content>()
  readonly chunks = new Set<string>()
  readonly #depot: DepotReader
  readonly #scope: string
  readonly #without = new Set<string>()
  readonly #pace = new Pace()

  constructor(depot: DepotReader, scope: string) {
    this.#depot = depot
    this.#scope = scope
  }

  /** What another needs is there already. Its chunks may be stored otherwise there: those are not. */
  leaveOut({ contents }: Closure): void {
    for (const id of contents.keys()) this.#without.add(id)
  }

  /** Adds a content and all that it needs. Throws Damage where one is missing. */
  async add(first: string): Promise<void> {
    const left = [first]
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      if (this.contents.has(id) || this.#without.has(id)) continue
      const content = await this.#depot.content(this.#scope, id)
      if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
      this.contents.set(id, content)
      for (const { chunks = [], references = [] } of content.parts) {
        for (const chunk of chunks) this.chunks.add(chunk)
        for (const { content: other } of references) if (other !== undefined) left.push(other)
      }
      await this.#pace.breathe()
    }
  }
}

/** Whose contents they are: of states, or of the read-only part itself. */
export type Scope = 'state' | 'base'

/** The lines that say how contents are made, in one order. */
export function contentLines(contents: ReadonlyMap<string, Content>, scope: Scope): string[] {
  const lines = [...contents].map(([id, content]) => canonical([scope, id, content]))
  return lines.sort()
}

const CONTENT = new Set(Object.keys(contentSchema.shape))
const PART = new Set(Object.keys(partSchema.shape))
const REFERENCE = new Set(Object.keys(referenceSchema.shape))
const DIGEST = /^[0-9a-f]{64}$/

/** A line of such a list. Throws Damage. */
export function readContentLine(line: string): { scope: Scope; id: string; content: Content } {
  const raw = parsed(line)
  if (!Array.isArray(raw) || raw.length !== 3) throw new Damage('a content that is none')
  const [scope, id, value] = raw as unknown[]
  if (scope !== 'state' && scope !== 'base') throw new Damage('a content of nobody')
  if (typeof id !== 'string' || !DIGEST.test(id)) throw new Damage('a content without a name')
  const read = contentSchema.safeParse(value)
  if (!read.success) throw new Damage(`content ${id.slice(0, 16)} is not what it must be`)
  mustKnow(read.data, CONTENT)
  for (const part of read.data.parts) {
    mustKnow(part, PART)
    for (const reference of part.references ?? []) mustKnow(reference, REFERENCE)
  }
  if (line !== canonical(raw)) throw new Damage('a line that is not in its one form')
  return { scope, id, content: read.data }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new Damage('a line that is not JSON', { cause })
  }
}

function mustKnow(record: object, fields: ReadonlySet<string>): void {
  const unknown = Object.keys(record).find((field) => !fields.has(field))
  if (unknown !== undefined) throw new Damage('a content with a field that nobody knows')
}

/** Throws Damage where contents refer to each other in a circle, or to one that is nowhere. */
export async function refuseCircles(
  contents: ReadonlyMap<string, Content>,
  isElsewhere: (id: string) => Promise<boolean>,
): Promise<void> {
  const done = new Set<string>()
  const open = new Set<string>()
  // Not by recursion: the depth is the archive's to choose.
  const stack: { id: string; left: string[] }[] = []
  const enter = async (id: string) => {
    if (done.has(id)) return
    if (open.has(id)) throw new Damage(`content ${id.slice(0, 16)} refers to itself`)
    const content = contents.get(id)
    if (content === undefined) {
      if (!(await isElsewhere(id))) throw new Damage(`content ${id.slice(0, 16)} is missing`)
      done.add(id)
      return
    }
    open.add(id)
    stack.push({ id, left: content.parts.flatMap(({ references = [] }) => othersOf(references)) })
  }
  for (const first of contents.keys()) {
    await enter(first)
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.left.pop()
      if (next !== undefined) await enter(next)
      else {
        open.delete(top.id)
        done.add(top.id)
        stack.pop()
      }
    }
  }
}

const othersOf = (references: readonly { content?: string | undefined }[]): string[] =>
  references.flatMap(({ content }) => (content === undefined ? [] : [content]))
