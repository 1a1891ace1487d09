// What a test file left behind: mounts and directories below its own temporary directory,
// and processes that still carry its mark in their environment.
//
//   TMPDIR=/tmp/svt-XXXXXX/7  SVSFS_TEST=svt-XXXXXX.7   set for file number 7
//
// Rule: first everything is named, then everything is removed: mounts before directories,
// and never across a mount, since a view may show the whole machine.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { mounts, mountsBelow } from './mounts.ts'

export const MARK = 'SVSFS_TEST'

/** How long a daemon may take to end after its last mount is gone. */
const GRACE_MS = 20_000

/** Names what the file left, once it had time to end, and ends it. */
export async function leftovers(mark: string, dir: string): Promise<string[]> {
  const running = await endAll(mark, dir)
  return [...running, ...readdirSync(dir).map((name) => `in its temporary directory: ${name}`)]
}

/** Ends marked processes that do not end by themselves, and mounts below a directory. Names them. */
export async function endAll(mark: string, dir: string): Promise<string[]> {
  const until = Date.now() + GRACE_MS
  let pids = marked(mark)
  while (pids.length > 0 && Date.now() < until) {
    await sleep(100)
    pids = marked(mark)
  }
  const below = mountsBelow(dir)
  const found = [
    ...below.map((mount) => `mount ${mount}`),
    ...pids.map((pid) => `process ${pid}: ${commandOf(pid)}`),
  ]
  // The innermost first: a mount with another inside cannot be taken away.
  for (const mount of below.toReversed()) unmount(mount)
  for (const pid of pids) end(pid)
  return found
}

function unmount(mount: string): void {
  if (process.getuid?.() === 0) spawnSync('umount', ['-l', mount])
  else spawnSync('fusermount3', ['-uz', mount])
}

/** Removes a directory, but nothing that is mounted in it. */
export function removeTree(dir: string): void {
  if (mountsBelow(dir).length > 0) return
  // A read-only sublayer may hold directories that their owner cannot write.
  if (process.getuid?.() !== 0) spawnSync('chmod', ['-R', 'u+rwX', '--', dir])
  spawnSync('rm', ['-rf', '--one-file-system', '--', dir])
}

/** Mounts of svsfs, and directories of tests outside their own temporary directory: in memory, say. */
export function strays(): string[] {
  const places = ['/dev/shm', '/tmp', '/var/tmp'].filter((place) => existsSync(place))
  const directories = places.flatMap((place) =>
    readdirSync(place)
      .filter((name) => name.startsWith('svsfs-'))
      .map((name) => `directory ${place}/${name}`),
  )
  const served = mounts().filter(({ type }) => type === 'fuse.svsfs')
  return [...directories, ...served.map(({ point }) => `mount ${point}`)]
}

/** Processes whose environment carries the mark. */
export function marked(mark: string): number[] {
  const entry = `\0${MARK}=${mark}\0`
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    if (`\0${procText(name, 'environ')}\0`.includes(entry)) found.push(Number(name))
  }
  return found
}

const commandOf = (pid: number): string =>
  procText(String(pid), 'cmdline').replaceAll('\0', ' ').trim() || '(ended)'

/** A file of /proc, or nothing where the process is gone or another user's. */
function procText(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code ?? ''
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return ''
    throw err
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
  }
}
