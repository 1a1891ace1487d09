// What is mounted on this machine, as /proc/self/mounts tells it.

import { readFileSync } from 'node:fs'

export interface MountLine {
  readonly source: string
  readonly point: string
  readonly type: string
}

/** Every mount, in the order they were made. */
export function mounts(): MountLine[] {
  return readFileSync('/proc/self/mounts', 'latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [source = '', point = '', type = ''] = line.split(' ')
      return { source: unescaped(source), point: unescaped(point), type }
    })
}

/** Mount points at or below a directory, in the order they were made. */
export function mountsBelow(dir: string): string[] {
  return mounts()
    .map(({ point }) => point)
    .filter((point) => point === dir || point.startsWith(`${dir}/`))
}

/** The type of what is mounted at a path, the last one where several are; null for none. */
export function mountType(path: string): string | null {
  return mounts().findLast(({ point }) => point === path)?.type ?? null
}

/**
 * For `sh` in a mount namespace of its own: lets go of what others have mounted, which would go on as
 * long as the namespace does.
 */
export const LET_GO = `cat /proc/self/mounts | while read -r _ at type _; do
  case $type in fuse.*|overlay) umount -l "$(printf %b "$at")" ;; esac
done`

/** The kernel writes a blank in a path as `\040`; bytes travel as latin1. */
const unescaped = (text: string): string =>
  Buffer.from(
    text.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
    'latin1',
  ).toString()
