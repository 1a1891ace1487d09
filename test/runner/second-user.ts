// The ordinary user that tests started by root run as, and a copy of the project that this
// user can read.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** fusermount3 refuses a number without a name, and every Debian has this one. */
const SECOND_USER = 'games'

export interface User {
  readonly uid: number
  readonly gid: number
}

/** Throws where the system has no such user. */
export function secondUser(): User {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${SECOND_USER}:`))
  const [, , uid, gid] = (line ?? '').split(':')
  if (uid === undefined || gid === undefined)
    throw new Error(`no user ${SECOND_USER} in /etc/passwd`)
  return { uid: Number(uid), gid: Number(gid) }
}

/**
 * The project at a path that every user can read: where it is, or a copy in `scratch`, because
 * a project below /root or under a strict umask is closed to everybody else.
 */
export function readableByAll(project: string, scratch: string): string {
  // By its whole path: a relative one would pass through the caller's open directory.
  const probe = `require('fs').readFileSync(${JSON.stringify(join(project, 'package.json'))})`
  const as = { cwd: '/', ...secondUser() }
  if (spawnSync(process.execPath, ['-e', probe], as).status === 0) return project
  const copy = join(scratch, 'project')
  mkdirSync(copy)
  const names = ['package.json', 'package-lock.json', 'tsconfig.json', 'README.md', 'CHANGELOG.md']
  const trees = ['dist', 'layers', 'lib', 'bin', 'test', 'bench', 'node_modules']
  for (const name of [...names, ...trees]) {
    spawnSync('cp', ['-r', join(project, name), copy], { stdio: 'inherit' })
  }
  // What the tests of hosts start.
  mkdirSync(join(copy, '.build'))
  spawnSync('cp', ['-r', join(project, '.build/sshd'), join(copy, '.build')], { stdio: 'ignore' })
  spawnSync('chmod', ['-R', 'a+rX', copy])
  return copy
}
