// What a layer is. The words of the whole project, each with one meaning:
//
//   layer     one application, or one set of data: a name, a manifest, two sublayers
//   ro        its read-only sublayer: the immutable base state. A new import makes a new version
//   rw        its writable sublayer: everything that changed since. Deleting it resets the layer
//   base      the ordinary directory tree under all layers (optional)
//   stack     the order of a mount, top first: B.rw B.ro A.rw A.ro … base. It never changes:
//             activation makes a new one
//   view      the merged tree that a stack shows; a mount is a view served at a mount point
//   whiteout  the mark that a name below is deleted; opaque: that a directory below is hidden
//   copy-up   bringing a file from below into a writable sublayer, at its first change
//   freeze    a static image of a writable sublayer at one instant, while programs go on writing
//   snapshot  the stored difference of rw against ro at one instant; a state is one, or "now"
//   store     the directory that holds all layers, their states and their keys
//
// Rule: a layer is known by its id, which never changes; its name is for people.

import { Failure } from '../base/failure.ts'
import { bytesOf, type RelPath, shown } from '../base/path.ts'

/**
 * What an ordinary user's disk could not hold of a file of the read-only sublayer. `mode` has the
 * type bits: a device is kept as an empty file with the mode and the number it would have.
 */
export interface Override {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  /** In the 32-bit form of the FUSE protocol, as Stat.rdev. */
  readonly rdev?: number
}

/** Overrides by path; all names of a hard-linked file have the same. */
export type Overrides = ReadonlyMap<RelPath, Override>

/** Longest name of a layer, in bytes of UTF-8. */
const LAYER_NAME_MAX = 64

/** The name, where a layer may have it. Throws SVS_NAME_INVALID with the reason. */
export function layerName(text: string): string {
  const reason = whyNoName(text)
  if (reason !== null) throw new Failure('SVS_NAME_INVALID', shown(bytesOf(text)), reason)
  return text
}

export const isLayerName = (text: string): boolean => whyNoName(text) === null

function whyNoName(text: string): string | null {
  if (text === '') return 'it is empty'
  if (Buffer.byteLength(text) > LAYER_NAME_MAX) return `it is over ${LAYER_NAME_MAX} bytes long`
  if (text.startsWith('-') || text.startsWith('.')) return 'it starts with "-" or "."'
  if (/[@:/]/.test(text)) return 'it holds one of "@", ":", "/"'
  if (text.includes('..')) return 'it holds ".."'
  if (/[\0-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) return 'it holds control characters'
  // Lone surrogates: text that no UTF-8 says, so that it would come back changed.
  // U+FFFD: what Node makes of an argument's bytes that are no UTF-8, so that names would collide.
  if (shown(bytesOf(text)) !== text || text.includes('\ufffd')) return 'it is not valid text'
  return null
}

/** Where the hard links of the base are remembered for a writable sublayer: beside it. */
export const linkIndexOf = (sublayer: string): string => `${sublayer}.links`

/** Where the files that are yet to be settled are listed, beside the log of inode numbers. */
export const unsettledBeside = (numbers: string): string => numbers.replace(/\.numbers$/, '.blocks')

/** Where times that the disk cannot hold are kept, beside the log of inode numbers. */
export const ctimesBeside = (numbers: string): string => numbers.replace(/\.numbers$/, '.ctimes')
