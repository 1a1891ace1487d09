// Which processes hold files of a mount open, as the kernel tells it: /proc/PID/fd and maps.
//
// Rule: links are read, never followed, so nothing of a mount is asked; what this user may not see
// of others' processes, and what ended meanwhile, is passed over.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Holder {
  readonly pid: number
  /** The program's name. */
  readonly name: string
  /** Absolute paths, sorted. */
  readonly files: readonly string[]
}

/** Processes that hold something below one of the mount points, for which `counts`. */
export function holdersBelow(
  mountPoints: readonly string[],
  counts: (inside: string) => boolean,
): Holder[] {
  const inside = (file: string): boolean =>
    mountPoints.some((point) => {
      const dir = point === '/' ? '' : point
      return file.startsWith(`${dir}/`) && counts(file.slice(dir.length))
    })
  const holders: Holder[] = []
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const files = new Set([...openFiles(pid), ...mappedFiles(pid)].filter(inside))
    if (files.size > 0)
      holders.push({ pid: Number(pid), name: nameOf(pid), files: [...files].sort() })
  }
  return holders
}

function openFiles(pid: string): string[] {
  return tried(() => readdirSync(`/proc/${pid}/fd`), []).flatMap((fd) =>
    tried(() => [readlinkSync(`/proc/${pid}/fd/${fd}`)], []),
  )
}

// The sixth field, where it is a path; spaces in it are its own, a line feed is written as \\012.
function mappedFiles(pid: string): string[] {
  const maps = tried(() => readFileSync(`/proc/${pid}/maps`, 'utf8'), '')
  return maps
    .split('\n')
    .map((line) => /^\S+ \S+ \S+ \S+ \S+ +(\/.*)$/.exec(line)?.[1]?.replaceAll('\\012', '\n') ?? '')
    .filter(Boolean)
}

const nameOf = (pid: string): string =>
  tried(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(), '?')

function tried<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}
