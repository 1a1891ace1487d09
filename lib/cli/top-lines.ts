// What svsfs top shows: a line for each process, the busiest first.
//
//   12 requests/s, 3.1 MiB/s read, 0 B/s written, in the last 2.0 s
//       PID  PROCESS     REQ/S    READ/S  WRITTEN/S  WHAT
//      4711  firefox-esr  10.5  3.1 MiB        0 B   LOOKUP 12, READ 9
//         -  page cache    1.5      0 B    512 KiB   WRITE 3
//
// Rule: no line is wider than the terminal, and nothing that a process calls itself steers it.

import type { MountUse, TopAnswer } from '../daemon/top-methods.ts'
import type { Asked } from '../fuse/tally.ts'
import type { Paint } from './colors.ts'
import { printable } from './output.ts'
import { cut } from './pick-lines.ts'
import { size } from './words.ts'

/** What one process asked a mount for, between two looks. */
export interface Use {
  readonly mountPoint: string
  /** Null for the page cache, which writes back what programs wrote. */
  readonly pid: number | null
  readonly name: string
  /** By the kernel's names. */
  readonly operations: Readonly<Record<string, number>>
  /** Of all operations. */
  readonly requests: number
  readonly read: number
  readonly written: number
}

/** The busiest first. */
export interface Uses {
  /** Seconds between both looks. */
  readonly seconds: number
  readonly uses: readonly Use[]
  /** Mounts whose transport does not tell who asks. */
  readonly uncounted: readonly string[]
}

/** What was asked for between two looks. */
export function usesBetween(first: TopAnswer, last: TopAnswer): Uses {
  const uses = last.mounts.flatMap((mount) => {
    const before = first.mounts.find(({ id }) => id === mount.id)
    // Counted anew since.
    const known = before?.since === mount.since ? (before?.processes ?? []) : []
    return mount.processes.flatMap((now) => useOf(mount, now, known) ?? [])
  })
  uses.sort((a, b) => b.requests - a.requests || b.read + b.written - a.read - a.written)
  const uncounted = last.mounts.filter(({ since }) => since === null)
  return {
    seconds: Math.max(1, last.at - first.at) / 1000,
    uses,
    uncounted: uncounted.map(({ mountPoint }) => mountPoint),
  }
}

function useOf({ mountPoint }: MountUse, now: Asked, known: readonly Asked[]): Use | null {
  const before = known.find(({ pid }) => pid === now.pid)
  const operations = Object.fromEntries(
    Object.entries(now.operations)
      .map(([name, count]) => [name, count - (before?.operations[name] ?? 0)] as const)
      .filter(([, count]) => count > 0)
      .sort(([, a], [, b]) => b - a),
  )
  const requests = Object.values(operations).reduce((sum, count) => sum + count, 0)
  if (requests === 0) return null
  return {
    mountPoint,
    pid: now.pid > 0 ? now.pid : null,
    name: now.pid === 0 ? 'page cache, kernel' : now.pid < 0 ? 'others' : now.name || '(ended)',
    operations,
    requests,
    read: now.read - (before?.read ?? 0),
    written: now.written - (before?.written ?? 0),
  }
}

/** As many lines as there is room for, none wider than `columns`. */
export function topLines(
  { seconds, uses, uncounted }: Uses,
  { columns, rows, paint }: { columns: number; rows: number; paint: Paint },
): string[] {
  const rate = (count: number) => (count / seconds).toFixed(count / seconds < 10 ? 1 : 0)
  const bytes = (count: number) => size(Math.round(count / seconds))
  const sum = (of: 'requests' | 'read' | 'written') => uses.reduce((all, one) => all + one[of], 0)
  const several = new Set(uses.map(({ mountPoint }) => mountPoint)).size > 1
  const cells = [
    ['PID', 'PROCESS', 'REQ/S', 'READ/S', 'WRITTEN/S', ...(several ? ['MOUNT'] : []), 'WHAT'],
    ...uses.map(({ pid, name, requests, read, written, mountPoint, operations }) => [
      pid === null ? '-' : String(pid),
      printable(name),
      rate(requests),
      bytes(read),
      bytes(written),
      ...(several ? [printable(mountPoint)] : []),
      Object.entries(operations)
        .map(([operation, count]) => `${operation} ${count}`)
        .join(', '),
    ]),
  ]
  const head = `${rate(sum('requests'))} requests/s, ${bytes(sum('read'))}/s read, ${bytes(sum('written'))}/s written, in the last ${seconds.toFixed(1)} s`
  const notes = uncounted.map((place) => `of ${printable(place)} nothing is known: fuse-native`)
  const [first = '', ...lines] = aligned(cells, new Set([0, 2, 3, 4]))
  const table =
    uses.length === 0
      ? ['nobody asks for anything']
      : [paint('bold', cut(first, columns)), ...lines]
  const all = [cut(head, columns), ...notes.map((note) => cut(note, columns)), ...table]
  return all
    .slice(0, Math.max(2, rows))
    .map((line) => (line === table[0] ? line : cut(line, columns)))
}

function aligned(cells: readonly (readonly string[])[], right: ReadonlySet<number>): string[] {
  const widths = cells[0]!.map((_, at) => Math.max(...cells.map((row) => [...row[at]!].length)))
  return cells.map((row) =>
    row
      .map((cell, at) => {
        const pad = ' '.repeat(widths[at]! - [...cell].length)
        return right.has(at) ? pad + cell : at === row.length - 1 ? cell : cell + pad
      })
      .join('  ')
      .trimEnd(),
  )
}
