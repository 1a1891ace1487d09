// What people are told of a field that is not as it must be.
// Runs once: no user matters to it.

import t from 'tap'
import { z } from 'zod'
import { wantedBy } from '../../lib/snapshot/wanted.ts'

const shape = z.strictObject({
  name: z.string().min(1).max(4),
  priority: z.number().int().min(0).max(9),
  on: z.boolean(),
  list: z.array(z.string()).max(1),
  how: z.enum(['a', 'b']),
  path: z.string().regex(/^\//, 'must be an absolute path'),
})
const good = { name: 'x', priority: 1, on: true, list: [], how: 'a', path: '/' }

function said(change: object): string {
  const read = shape.safeParse({ ...good, ...change })
  return read.success ? 'good' : wantedBy(read.error)
}

t.test('the field and what is wanted of it are named in plain words', async (t) => {
  t.equal(said({}), 'good')
  t.equal(said({ name: '' }), 'name must not be empty')
  t.equal(said({ name: 'xxxxx' }), 'name must be at most 4 characters long')
  t.equal(said({ name: 1 }), 'name must be text')
  t.equal(said({ priority: 1.5 }), 'priority must be a whole number')
  t.equal(said({ priority: -1 }), 'priority must be at least 0')
  t.equal(said({ priority: 'x' }), 'priority must be a number')
  t.equal(said({ on: undefined }), 'on must be true or false')
  t.equal(said({ list: ['', ''] }), 'list must be at most 1 long')
  t.equal(said({ list: [1] }), 'list.0 must be text')
  t.equal(said({ how: 'c' }), 'how must be one of a, b')
  t.equal(said({ path: 'x' }), 'path must be an absolute path')
  t.equal(said({ more: 1 }), 'it must not hold more')
})
