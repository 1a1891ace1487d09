// Whether a process still runs, by what the kernel's table says of it.
//
// Rule: one that has ended counts as gone, also while nobody has asked for its status: the first
// process of a container may take seconds to do that. Until its last thread has ended it runs, and
// has its files open.

import { readFileSync } from 'node:fs'

export function isAlive(pid: number): boolean {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch (err) {
    const { code = '' } = err as NodeJS.ErrnoException
    if (['ENOENT', 'ESRCH'].includes(code)) return false
    throw err
  }
  // The name stands in brackets, and may hold anything.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, threads] = [words[STATE] ?? '', Number(words[THREADS])]
  return !'ZX'.includes(state) || threads > 1
}

/** Places behind the name (proc_pid_stat(5): fields 3 and 20). */
const STATE = 0
const THREADS = 17
