// Mounts of svsfs that nobody answers any more: their daemon was killed.
//
// Rule: a mount is asked by a program of its own that may be ended, never by this process: one whose
// daemon hangs would hold whoever asks.

import { spawnSync } from 'node:child_process'
import { shown } from '../base/path.ts'
import { mountTable } from '../host/mount-table.ts'
import { type Finding, failing, warning, well } from './doctor.ts'

const TYPE = 'fuse.svsfs'
const PATIENCE_MS = 3000

export function examineMounts(): Finding[] {
  const mounts = mountTable().filter(({ type }) => type === TYPE)
  const findings = mounts.flatMap(({ mountPoint }) => lookAt(shown(mountPoint)))
  if (findings.length > 0) return findings
  const count = mounts.length === 1 ? 'one mount answers' : `${mounts.length} mounts answer`
  return [well('mounts', mounts.length === 0 ? 'there are none' : count)]
}

function lookAt(mountPoint: string): Finding[] {
  const ran = spawnSync('stat', ['-f', '--', mountPoint], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  if (/not connected|connection abort/i.test(ran.stderr))
    return [failing('mounts', `${mountPoint} is dead: its daemon is gone`, detach(mountPoint))]
  if (ran.signal !== null)
    return [
      warning(
        'mounts',
        `${mountPoint} does not answer within ${PATIENCE_MS / 1000} s`,
        detach(mountPoint),
      ),
    ]
  return []
}

const detach = (mountPoint: string): string => {
  const word = `'${mountPoint.replaceAll("'", "'\\''")}'`
  return process.geteuid?.() === 0 ? `umount -l ${word}` : `fusermount3 -u -z ${word}`
}
