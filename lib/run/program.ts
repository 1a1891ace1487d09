// Looking into a view before a program starts in it, as the program itself would see it: links
// lead where they lead inside, never into the host.

import { errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { bytesOf, isWithin } from '../base/path.ts'
import { type Followed, follow } from '../layer/follow.ts'
import { type Bind, isInMemory } from './sandbox.ts'

/** True where the view has a directory at this path. */
export function findDirectory(root: number, path: string): boolean {
  return see(root, path)?.kind === 'directory'
}

/**
 * Makes sure that the program is there, so that its absence is a failure with a name and not an
 * exit status. What lies in a place that the view does not decide is left to the program's start.
 */
export function findProgram(
  root: number,
  program: string,
  around: { path: string; place: string; binds: readonly Bind[] },
): void {
  const places = program.includes('/')
    ? [program.startsWith('/') ? program : `${around.place}/${program}`]
    : around.path.split(':').map((folder) => `${folder}/${program}`)
  const unknown = (path: string) =>
    isInMemory(path) || around.binds.some(({ inside }) => isWithin(path, inside))
  if (places.some((path) => unknown(path) && program.includes('/'))) return
  if (around.binds.length > 0 && places.some(unknown)) return
  if (places.some((path) => isProgram(root, path))) return
  throw new Failure('SVS_PROGRAM_NOT_FOUND', program)
}

/** True where the view has a file at this path that somebody may execute. */
export function isProgram(root: number, path: string): boolean {
  const found = see(root, path)
  return found?.kind === 'other' && (found.mode & 0o111) !== 0
}

// What cannot be looked at (no right, a loop of links) is not there for the program either.
function see(root: number, path: string): Followed | null {
  try {
    return follow([root], bytesOf(path))
  } catch (err) {
    if (errnoOf(err) === null) throw err
    return null
  }
}
