// What a thread that asks is allowed, as the kernel shows it in /proc.
//
// Rule: a thread that cannot be seen is allowed nothing.

import { readFileSync } from 'node:fs'

const CAP_FSETID = 4n

/** True where a thread's change may leave setgid on a file of this group. */
export function mayKeepSetgid(tid: number, gid: number): boolean {
  let status: string
  try {
    status = readFileSync(`/proc/${tid}/status`, 'latin1')
  } catch {
    return false
  }
  const line = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? ''
  if ((BigInt(`0x${line('CapEff') || 0}`) >> CAP_FSETID) & 1n) return true
  // Of the four it is the filesystem's group that counts.
  const groups = [line('Gid').split('\t')[3], ...line('Groups').trim().split(' ')]
  return groups.includes(String(gid))
}
