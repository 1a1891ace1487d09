// The command line of bubblewrap, which says what the program sees.

import { existsSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'

/** A directory or file of the host that shows inside the view. */
export interface Bind {
  readonly outside: string
  readonly inside: string
  readonly readOnly?: boolean
}

/** Places that are empty and in memory, whatever the view has there. */
const IN_MEMORY = ['/tmp', '/run', '/dev/shm']

/** True where a path of the host is not what the program sees under that name. */
export function isInMemory(path: string): boolean {
  return [...IN_MEMORY, '/proc', '/dev', '/sys'].some(
    (place) => path === place || path.startsWith(`${place}/`),
  )
}

export function sandboxArguments(what: {
  view: string
  binds: readonly Bind[]
  place: string
  /** Descriptor on which bubblewrap tells of its child. */
  status: number
  command: readonly string[]
}): string[] {
  return [
    '--json-status-fd',
    String(what.status),
    '--bind',
    what.view,
    '/',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    ...devices(),
    '--perms',
    '1777',
    '--tmpfs',
    '/dev/shm',
    '--perms',
    '1777',
    '--tmpfs',
    '/tmp',
    '--perms',
    '0755',
    '--tmpfs',
    '/run',
    '--ro-bind-try',
    '/sys',
    '/sys',
    ...names(),
    ...desktop(),
    ...what.binds.flatMap(({ outside, inside, readOnly }) => [
      readOnly === true ? '--ro-bind' : '--bind',
      outside,
      inside,
    ]),
    ...privileges(),
    '--unshare-pid',
    '--die-with-parent',
    '--chdir',
    what.place,
    '--',
    ...what.command,
  ]
}

// Graphics, sound and cameras, for those who may use them on the host.
function devices(): string[] {
  const all = ['/dev/dri', '/dev/snd', '/dev/nvidia0', '/dev/nvidiactl', '/dev/video0']
  return all.flatMap((path) => ['--dev-bind-try', path, path])
}

// How names of machines are found: /etc/resolv.conf is often a link into /run.
function names(): string[] {
  try {
    const real = realpathSync('/etc/resolv.conf')
    const folder = dirname(real)
    return real.startsWith('/run/') && folder !== '/run' ? ['--ro-bind-try', folder, folder] : []
  } catch {
    // No such file: then there is no name service to let through.
    return []
  }
}

// Sockets of the session: display, sound, messages.
function desktop(): string[] {
  const session = process.env.XDG_RUNTIME_DIR
  const places = ['/tmp/.X11-unix', '/run/dbus']
  if (session?.startsWith('/run/') === true) places.push(session)
  return places.filter((path) => existsSync(path)).flatMap((path) => ['--bind-try', path, path])
}

// Root's bubblewrap makes no namespace of users: the program stays root, as under sudo.
function privileges(): string[] {
  return process.geteuid?.() === 0 ? ['--cap-add', 'ALL'] : []
}
