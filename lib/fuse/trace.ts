// What `--trace` prints: one line a request, one a reply.
//
//   > 12 LOOKUP node 1 "etc" uid 1000 pid 4711
//   < 12 LOOKUP ok 144 bytes 15 µs
//   < 14 GETXATTR ENODATA 9 µs
//   = 16 SETATTR parked for copy 3

import { errnoName } from '../base/errno.ts'
import { shown } from '../base/path.ts'
import type { Caller, Job, NodeId } from './filesystem.ts'

export function requestLine(
  unique: number,
  name: string,
  node: NodeId,
  request: unknown,
  caller: Caller,
): string {
  const fields = describe(request)
  const who = `uid ${caller.uid} pid ${caller.pid}`
  return `> ${unique} ${name} node ${node}${fields === '' ? '' : ` ${fields}`} ${who}`
}

export function replyLine(
  unique: number,
  name: string,
  error: number,
  length: number,
  microseconds: number,
): string {
  const outcome = error === 0 ? `ok ${length} bytes` : errnoName(error)
  return `< ${unique} ${name} ${outcome} ${Math.round(microseconds)} µs`
}

export function parkedLine(unique: number, name: string, job: Job | null): string {
  return job === null
    ? `= ${unique} ${name} waits its turn`
    : `= ${unique} ${name} parked for ${job.kind} ${job.id}`
}

/** A request's fields for people: names as they are shown, bytes by their number alone. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return `"${shown(value)}"`
  if (Buffer.isBuffer(value)) return `<${value.length} bytes>`
  if (typeof value !== 'object') return String(value)
  const parts: string[] = []
  for (const [key, field] of Object.entries(value)) {
    if (field === null || field === false) continue
    parts.push(field === true ? key : `${key} ${describe(field)}`)
  }
  return parts.join(' ')
}
