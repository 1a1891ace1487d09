// Host paths for Node's calls: text of a person's, perhaps with bytes that are no UTF-8 in it.
//
// Rule: Node would turn such a byte into U+FFFD and miss the file; here it goes through as bytes.

import { realpath } from 'node:fs/promises'
import { bytesOf, textOf } from '../base/path.ts'

/** The path as bytes. */
export const hostPath = (path: string): Buffer => Buffer.from(bytesOf(path), 'latin1')

/** The path without links. */
export async function realPath(path: string): Promise<string> {
  const real = await realpath(hostPath(path), { encoding: 'buffer' })
  return textOf(real.toString('latin1'))
}
