// Memory that is used again and again while contents are made, stored and compared.
//
// Rule: scratch memory is good until it is asked for again, so nothing may wait while it is used; what
// does wait borrows.

import { Damage } from './depot.ts'
import { LARGEST_PART } from './sources.ts'

const kept = {
  part: Buffer.alloc(0),
  prefix: Buffer.alloc(0),
  // What is being stored keeps its own, because what it refers to is made meanwhile.
  unit: Buffer.alloc(0),
  frame: Buffer.alloc(0),
  window: Buffer.alloc(0),
}

/** Memory that is used again: fresh memory is slow to touch. Good until asked for again. */
export function scratch(use: keyof typeof kept, size: number): Buffer {
  if (kept[use].length < size) kept[use] = Buffer.allocUnsafeSlow(size)
  return kept[use].subarray(0, size)
}

const spare: Buffer[] = []

/** Memory for parts that are made while others are: given back, and used again. */
export async function lent<T>(size: number, use: (bytes: Buffer) => Promise<T>): Promise<T> {
  if (size > LARGEST_PART) throw new Damage('a part of no such size')
  const memory = spare.pop()
  const whole = memory !== undefined && memory.length >= size ? memory : fresh(size)
  try {
    return await use(whole.subarray(0, size))
  } finally {
    if (spare.length < MOST_SPARE) spare.push(whole)
  }
}

const fresh = (size: number): Buffer => Buffer.allocUnsafeSlow(size)
const MOST_SPARE = 2
