// Shapes that several rows of the API share.

import { z } from 'zod'

/** A layer's name as asked for. Whether it exists, and whether a new one is allowed, is found out later. */
export const nameShape = z.string().max(4096)

/** Absolute host path. Commands make theirs absolute before they ask. */
export const pathShape = z
  .string()
  .max(4095)
  .regex(/^\/[^\0]*$/, 'must be an absolute path')

/** A state as a person names it: an id or the beginning of one, a label, `latest`, `-1`; where several may be meant, `A..B`. */
export const stateShape = z.string().min(1).max(160)
