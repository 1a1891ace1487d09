// Units on the disk, and the manager that is told of them.
//
//   write ─▶ svsfs-….service ─▶ systemctl [--user | --root=DIR] enable ─▶ [start]
//
// Rule: a file that is not ours is neither written over nor removed. Without a manager that runs, systemctl
// makes the links alone, and the next boot finds them.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { findTool } from '../host/tool.ts'
import { DAEMON_UNIT, MADE, type Manager, type Unit } from './units.ts'

/** Where units go, and whose they are. */
export interface UnitPlace {
  readonly manager: Manager
  /** A system that does not run: the root of its tree. */
  readonly root: string | null
}

/** The directory of an administrator's, or a user's own, units. */
export function unitDirectory({ manager, root }: UnitPlace, env = process.env): string {
  const below = (path: string) => (root === null ? path : join(root, path))
  if (manager === 'system') return below('/etc/systemd/system')
  if (root !== null) return below('/etc/systemd/user')
  const config = env.XDG_CONFIG_HOME
  return join(
    config?.startsWith('/') === true ? config : join(homedir(), '.config'),
    'systemd/user',
  )
}

/** Writes what is not the same already. */
export function writeUnits(place: UnitPlace, units: readonly Unit[]): string[] {
  const directory = unitDirectory(place)
  const paths = units.map(({ name }) => join(directory, name))
  for (const path of paths) refuseForeign(path)
  mkdirSync(directory, { recursive: true })
  for (const [at, { text }] of units.entries()) writeFileSync(paths[at]!, text, { mode: 0o644 })
  return paths
}

/** Removes a mount's unit, and the daemon's with the last of them. */
export function removeUnit(place: UnitPlace, name: string): string[] {
  const directory = unitDirectory(place)
  const ours = readdirSync(directory).filter(
    (each) => /^svsfs-.*\.service$/.test(each) && isOurs(join(directory, each)),
  )
  const left = ours.filter((each) => each !== name && each !== DAEMON_UNIT)
  const gone = left.length === 0 ? ours : [name]
  for (const each of gone) rmSync(join(directory, each))
  return gone.map((each) => join(directory, each))
}

/** Throws SVS_NOT_ENABLED. */
export function needUnit(place: UnitPlace, name: string, mountPoint: string): void {
  const path = join(unitDirectory(place), name)
  if (!existsSync(path)) throw new Failure('SVS_NOT_ENABLED', mountPoint, path)
  refuseForeign(path)
}

function refuseForeign(path: string): void {
  if (existsSync(path) && !isOurs(path)) throw new Failure('SVS_PATH_EXISTS', path)
}

const isOurs = (path: string): boolean => readFileSync(path, 'utf8').startsWith(MADE)

/** True where the manager itself runs, and so learns of new units. */
export function managerRuns({ manager, root }: UnitPlace, env = process.env): boolean {
  if (root !== null) return false
  const place = manager === 'system' ? '/run' : env.XDG_RUNTIME_DIR
  return (
    place !== undefined &&
    existsSync(join(place, 'systemd', manager === 'system' ? 'system' : 'private'))
  )
}

/** Throws SVS_SYSTEMD_FAILED with what systemctl said. */
export function systemctl({ manager, root }: UnitPlace, ...words: string[]): void {
  const [verb = ''] = words
  const whose = [
    ...(root === null ? [] : [`--root=${root}`]),
    ...(manager === 'system' ? [] : [root === null ? '--user' : '--global']),
  ]
  const ran = spawnSync(findTool('systemctl'), [...whose, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 6 * 60_000,
  })
  if (ran.status === 0) return
  const said = ran.stderr?.trim().split('\n').join('; ')
  throw new Failure(
    'SVS_SYSTEMD_FAILED',
    verb,
    words.at(-1) ?? '',
    said || (ran.signal ?? `status ${ran.status}`),
  )
}
