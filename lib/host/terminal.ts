// A terminal emulator of this desktop, and how it is told what to run.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Failure } from '../base/failure.ts'

/** In the order in which they are looked for; behind each, what stands before the command. */
const TERMINALS: readonly (readonly [program: string, ...before: string[]])[] = [
  ['xdg-terminal-exec'],
  ['x-terminal-emulator', '-e'],
  ['gnome-terminal', '--wait', '--'],
  ['kgx', '--'],
  ['konsole', '-e'],
  ['xfce4-terminal', '--disable-server', '-x'],
  ['mate-terminal', '--disable-factory', '-x'],
  ['alacritty', '-e'],
  ['kitty'],
  ['foot'],
  ['xterm', '-e'],
]

/** Words to which a command is added. Throws SVS_TERMINAL_MISSING. */
export function findTerminal(env = process.env): readonly string[] {
  const chosen = env.TERMINAL ? [[env.TERMINAL, '-e']] : []
  const [first, ...rest] = TERMINALS
  for (const [program = '', ...before] of [first!, ...chosen, ...rest]) {
    const path = pathOf(program, env.PATH ?? '')
    if (path !== null) return [path, ...before]
  }
  throw new Failure('SVS_TERMINAL_MISSING')
}

function pathOf(program: string, path: string): string | null {
  const places = program.startsWith('/') ? [''] : path.split(delimiter).filter(Boolean)
  for (const place of places) {
    try {
      accessSync(join(place, program), constants.X_OK)
      return join(place, program)
    } catch {}
  }
  return null
}
