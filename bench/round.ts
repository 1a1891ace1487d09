// One round in one place: all subjects mounted at once, then row by row, subject by subject.
//
//   mount all ─▶ row 1: plain, kernel overlayfs, fuse-overlayfs … svsfs ─▶ row 2 … ─▶ unmount all
//
// Rule: what is compared is measured within a moment of each other, and who comes first changes
// from row to row. A task that fails is named, and the round goes on.

import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { directoryOf, type Lower } from './lower.ts'
import { daemonsOf, processorTimeOf, run } from './processes.ts'
import type { Presence, Table } from './results.ts'
import type { Amounts, Row, Setting, Task } from './rows/row.ts'
import { mount, type Subject, unmount } from './subjects.ts'

export interface RoundPlan {
  readonly number: number
  readonly setting: Setting
  readonly layers: number
  readonly rows: Readonly<Record<string, Row>>
  readonly subjects: readonly Subject[]
  readonly presences: readonly Presence[]
  readonly lower: Lower
  readonly pinned: readonly string[]
  readonly say: (text: string) => void
}

interface Mounted {
  readonly subject: Subject
  readonly mount: string
  /** Takes it away and mounts it again. */
  again(): Promise<void>
  /** Where rows are worked on: the mount point, or the directory itself. */
  readonly root: string
  /** The lowest layer on the disk. */
  readonly disk: string
}

/** Measures, and adds one round to the table. */
export async function measureRound(plan: RoundPlan, table: Table): Promise<void> {
  const all: Mounted[] = []
  try {
    for (const subject of plan.subjects) {
      const mounted = await mountFor(subject, plan)
      if (mounted !== null) all.push(mounted)
    }
    let turn = plan.number
    for (const [name, row] of Object.entries(plan.rows)) {
      plan.say(name)
      const start = turn++ % Math.max(all.length, 1)
      for (const one of [...all.slice(start), ...all.slice(0, start)])
        if (row.changesLower === undefined || one.subject.kind === 'union')
          await measure(plan, name, row, one, table)
    }
  } finally {
    for (const { mount } of all) await unmount({ mount })
    await run(['rm', '-rf', '--one-file-system', ...all.map(({ mount }) => join(mount, '..'))])
  }
}

async function mountFor(subject: Subject, plan: RoundPlan): Promise<Mounted | null> {
  const presence = plan.presences.find(({ name }) => name === subject.name)!
  if (presence.missing !== null || plan.number >= (subject.most ?? Number.POSITIVE_INFINITY))
    return null
  const dir = mkdtempSync(join(plan.lower.home, 'mount-'))
  chmodSync(dir, 0o755)
  const mountPoint = join(dir, 'mount')
  const place = { upper: join(dir, 'upper'), work: join(dir, 'work'), mount: mountPoint }
  for (const made of Object.values(place)) mkdirSync(made)
  const lowers = plan.lower.of(subject, plan.layers)
  try {
    const root = await mount(subject, { ...place, lowers }, plan.pinned)
    const again = async () => {
      await unmount(place)
      await mount(subject, { ...place, lowers }, plan.pinned)
    }
    return { subject, mount: mountPoint, again, root, disk: lowers.at(-1)! }
  } catch (err) {
    presence.missing = (err as Error).message
    plan.say(`${subject.name}: ${presence.missing}`)
    return null
  }
}

async function measure(
  plan: RoundPlan,
  name: string,
  row: Row,
  mounted: Mounted,
  table: Table,
): Promise<void> {
  const cell = ((table[name] ??= {})[mounted.subject.name] ??= { rounds: [], cpu: [] })
  if (cell.missing !== undefined) return
  while (cell.rounds.length < plan.number) cell.rounds.push([])
  try {
    if (mounted.subject.afresh || row.newDaemon) await mounted.again()
    const { warm, timed } = plan.lower.amounts
    if (row.warm) await runTask(plan, name, row, mounted, 'warm', warm)
    const { costs, cpu } = await runTask(plan, name, row, mounted, 'timed', timed)
    cell.rounds.push([...costs])
    if (cpu !== null) cell.cpu.push(cpu)
  } catch (err) {
    cell.missing = (err as Error).message
    plan.say(`${name}, ${mounted.subject.name}: ${cell.missing}`)
  }
}

async function runTask(
  plan: RoundPlan,
  name: string,
  row: Row,
  { subject, mount, root, disk }: Mounted,
  part: 'warm' | 'timed',
  amounts: Amounts,
): Promise<{ costs: readonly number[]; cpu: number | null }> {
  const prepared = `${directoryOf(name)}/${part}`
  const task: Task = {
    root: join(root, prepared),
    disk: join(disk, prepared),
    out: join(root, `out-${plan.number}-${directoryOf(name)}-${part}`),
    amounts,
    pinned: plan.pinned,
    place: `${mount}/task`,
  }
  mkdirSync(task.out)
  try {
    await row.before?.(task)
    const daemons = daemonsOf(mount)
    const used = () => daemons.reduce((sum, pid) => sum + processorTimeOf(pid), 0)
    const before = used()
    const { costs, amount } = await row.run(task)
    const cpu = daemons.length === 0 ? null : (used() - before) / amount
    await row.after?.(task)
    return { costs, cpu }
  } finally {
    // Large files of all subjects at once would fill the disk; a mirror's would stay.
    if (row.large || subject.kind === 'mirror') await run(['rm', '-rf', task.out])
  }
}
