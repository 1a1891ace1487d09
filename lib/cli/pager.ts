// Long text on a terminal: through a pager, as git does.
//
//   $SVSFS_PAGER ─▶ $PAGER ─▶ less -FRX        "cat" or nothing: none
//
// Rule: only where stdout is a terminal; without a pager that starts, the text is printed as it is.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** The command line of the pager; null where there is to be none. */
export function pagerCommand(env = process.env): string | null {
  const wanted = (env.SVSFS_PAGER ?? env.PAGER ?? 'less').trim()
  return wanted === '' || wanted === 'cat' ? null : wanted
}

/** Shows it, and waits until the person has seen enough. */
export async function page(text: string): Promise<void> {
  const command = process.stdout.isTTY === true ? pagerCommand() : null
  if (text === '') return
  if (command === null || !(await shown(command, text))) process.stdout.write(text)
}

/** A shell's statuses for what it cannot start. */
const NOT_STARTED = [126, 127]

async function shown(command: string, text: string): Promise<boolean> {
  // Ctrl-C is the pager's.
  const unmoved = () => {}
  process.on('SIGINT', unmoved)
  try {
    const child = spawn('sh', ['-c', command], {
      stdio: ['pipe', 'inherit', 'ignore'],
      // One screen is shown at once; colours pass; what was seen stays.
      env: { LESS: 'FRX', ...process.env },
    })
    child.stdin.on('error', () => {})
    child.stdin.end(text)
    const [status] = await once(child, 'close')
    return !NOT_STARTED.includes(Number(status))
  } catch {
    return false
  } finally {
    process.off('SIGINT', unmoved)
  }
}
