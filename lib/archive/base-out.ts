// The read-only part of a layer as an archive brings it: its names as lines, and how to make its files.

import type { Content, Kind } from '../snapshot/records.ts'
import type { Lines } from './lists.ts'

export interface BaseOut {
  readonly lines: Lines
  readonly contents: ReadonlyMap<string, Content>
  readonly chunks: ReadonlySet<string>
  readonly kinds: readonly Kind[]
  chunk(id: string): Promise<Buffer | null>
}
