// Which processes hold files of a mount open, as the kernel tells it: /proc/PID/fd and maps.
//
//   in our mount namespace      the link's path lies below the mount point
//   in another (`svsfs run`)    the descriptor's mount is one of the same filesystem
//
// Rule: links are read, never followed, so nothing of a mount is asked; what this user may not see
// of others' processes, and what ended meanwhile, is passed over.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { bytesOf, textOf } from '../base/path.ts'
import { type MountEntry, mountAt, mountTable } from '../host/mount-table.ts'

export interface Holder {
  readonly pid: number
  /** The program's name. */
  readonly name: string
  /** Absolute paths as the process knows them, sorted. */
  readonly files: readonly string[]
}

/** Processes that hold something below one of the mount points, for which `counts`. */
export function holdersBelow(
  mountPoints: readonly string[],
  counts: (inside: string) => boolean,
): Holder[] {
  const devices = new Set(mountPoints.map((point) => mountAt(bytesOf(point))?.device ?? ''))
  const own = namespaceOf('self')
  const isInside = (file: string): boolean =>
    mountPoints.some((point) => {
      const inside = below(file, point)
      return inside !== null && counts(inside)
    })
  const holders: Holder[] = []
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const found =
      namespaceOf(pid) === own
        ? [...openFiles(pid), ...mappedFiles(pid)].filter(isInside)
        : filesElsewhere(pid, devices, counts)
    const files = [...new Set(found)].sort()
    if (files.length > 0) holders.push({ pid: Number(pid), name: nameOf(pid), files })
  }
  return holders
}

/** The path below `point`, with the slash that it begins with; null where it is not below. */
function below(file: string, point: string): string | null {
  const dir = point === '/' ? '' : point
  return file.startsWith(`${dir}/`) ? file.slice(dir.length) : null
}

const namespaceOf = (pid: string): string =>
  tried(() => readlinkSync(`/proc/${pid}/ns/mnt`), 'unknown')

/** What a process of another mount namespace has open of these filesystems. */
function filesElsewhere(
  pid: string,
  devices: ReadonlySet<string>,
  counts: (inside: string) => boolean,
): string[] {
  const views = tried(() => mountTable(pid), []).filter(({ device }) => devices.has(device))
  if (views.length === 0) return []
  const isInside = (file: string, { mountPoint, root }: MountEntry): boolean => {
    const inside = below(file, textOf(mountPoint))
    return inside !== null && counts(`${root === '/' ? '' : textOf(root)}${inside}`)
  }
  const open = fileDescriptors(pid).flatMap((fd) => {
    const id = tried(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'), '')
    const view = views.find((each) => each.id === /^mnt_id:\s*(\d+)$/m.exec(id)?.[1])
    return view === undefined ? [] : linkOf(pid, fd).filter((file) => isInside(file, view))
  })
  const mapped = mappings(pid).filter(({ file, device }) =>
    views.some((view) => view.device === device && isInside(file, view)),
  )
  return [...open, ...mapped.map(({ file }) => file)]
}

const fileDescriptors = (pid: string): string[] => tried(() => readdirSync(`/proc/${pid}/fd`), [])

const linkOf = (pid: string, fd: string): string[] =>
  tried(() => [readlinkSync(`/proc/${pid}/fd/${fd}`)], [])

const openFiles = (pid: string): string[] => fileDescriptors(pid).flatMap((fd) => linkOf(pid, fd))

const mappedFiles = (pid: string): string[] => mappings(pid).map(({ file }) => file)

// The fourth field is the device, in hexadecimal; the sixth, where it is a path, is the file:
// spaces in it are its own, a line feed is written as \\012.
function mappings(pid: string): { file: string; device: string }[] {
  const maps = tried(() => readFileSync(`/proc/${pid}/maps`, 'utf8'), '')
  return maps.split('\n').flatMap((line) => {
    const [, major, minor, file] =
      /^\S+ \S+ \S+ ([\da-f]+):([\da-f]+) \S+ +(\/.*)$/.exec(line) ?? []
    if (major === undefined || minor === undefined || file === undefined) return []
    const device = `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`
    return [{ file: file.replaceAll('\\012', '\n'), device }]
  })
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
