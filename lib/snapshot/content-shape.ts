// What a content's record tells of it without a byte being made: its holes, and where a slice lies.
//
// Rule: only what the record says; whether it is true shows when the content is made.

import type { Content } from './records.ts'

/** Offset and length of each hole of what a content makes, in order. */
export function holesOfParts({ parts }: Content): number[] {
  const holes: number[] = []
  let at = 0
  for (const part of parts) {
    if (part.codec === 'hole') addHole(holes, at, part.length)
    const inside = part.holes ?? []
    for (let index = 0; index + 1 < inside.length; index += 2)
      addHole(holes, at + inside[index]!, inside[index + 1]!)
    at += part.length
  }
  return holes
}

// Two that meet are one hole of the file.
function addHole(holes: number[], offset: number, length: number): void {
  const last = holes.length - 2
  if (last >= 0 && holes[last]! + holes[last + 1]! === offset) holes[last + 1]! += length
  else holes.push(offset, length)
}

/** Where a content lies that is one slice of another; null for any other. */
export function sliceIn({ parts }: Content): { content: string; offset: number } | null {
  const [part] = parts
  const reference = part?.references?.[0]
  if (parts.length !== 1 || part?.codec !== 'slice' || reference?.content === undefined) return null
  return { content: reference.content, offset: reference.offset }
}
