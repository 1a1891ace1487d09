// One act on a stack, once for each call by which it changes the disk: what the view shows when
// that call is the last of a dying process, or fails.
//
//   new ─▶ before ─▶ run 1, 2, 3 …   each a copy of the writable parts: act with a fault at
//                                    call k, mount again, and compare with what was, and with
//                                    what should be
//
// Rule: a mount that ended is what it was or what it should be; a request that failed has
// changed nothing, in the living view and in the next one.

import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { silent } from '../../lib/base/log.ts'
import { publishIndex } from '../../lib/layer/index-file.ts'
import { settleWork } from '../../lib/union/intent.ts'
import type { LayerSpec, StackSpec } from '../../lib/union/spec.ts'
import { whole } from '../behaviour/act.ts'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { InProcessPlace } from '../behaviour/in-process-place.ts'
import { serve } from '../behaviour/subject-union.ts'
import { compareTrees, type Seen, seeTree } from '../behaviour/walk.ts'
import { type Act, EXCLUDES, TREES } from './acts.ts'
import { Died, type Fault, FaultyDisk } from './disk-faults.ts'
import { draw } from './view-of.ts'

export type Shape = 'layers' | 'drop-in'
type Tree = ReadonlyMap<string, Seen>

/** A crash may leave the time of a directory that a copy went to; numbers follow the disk's. */
const NOT_COMPARED = ['ino', 'mtime'] as const

export class EveryCall {
  readonly #root = makeGround()
  readonly #shape: Shape
  readonly #disk = new FaultyDisk()
  readonly #run = `${this.#root}/run`

  constructor(shape: Shape) {
    this.#shape = shape
  }

  async draw(): Promise<void> {
    for (const [name, drawing] of TREES) {
      for (const part of ['rw', 'work', 'scratch'])
        mkdirSync(`${this.#root}/new/${name}/${part}`, { recursive: true })
      const at = `${this.#root}/ro/${name}`
      const isLink = ([, text]: [string, string | null]) => text?.startsWith('=') ?? false
      const all = Object.entries(drawing)
      draw(at, Object.fromEntries(all.filter((one) => !isLink(one))))
      for (const [path, text] of all.filter(isLink)) {
        mkdirSync(dirname(`${at}/${path}`), { recursive: true })
        linkSync(`${at}/${text!.slice(1)}`, `${at}/${path}`)
      }
      await publishIndex(at, `${at}.index`)
    }
  }

  close(): void {
    this.#disk.remove()
    removeGround(this.#root)
  }

  /**
   * One line for each call at which the act does not keep the rule. `share`: of how many calls one
   * is tried, with one of the faults; 0 tries every call with every fault.
   */
  try(act: Act, share: number): string[] {
    this.#copy('new', 'run')
    if (act.before !== undefined) this.#mounted(act, act.before)
    const before = this.#shown()
    rmSync(`${this.#root}/before`, { recursive: true, force: true })
    renameSync(this.#run, `${this.#root}/before`)
    this.#copy('before', 'run')
    const count = this.#mounted(act, act.act)
    const after = this.#shown()
    const lines = count === 0 ? [`${act.title}: changes nothing`] : []
    for (let at = 1; at <= count; at++) {
      for (const fault of faultsAt(at, share)) {
        this.#copy('before', 'run')
        const found = this.#faulty(act, fault, at, before, after)
        const where = `${act.title}: ${this.#disk.failed} ${fault}, call ${at} of ${count}`
        if (found.length > 0) lines.push([where, ...found.slice(0, 6)].join('\n    '))
      }
    }
    return lines
  }

  #faulty(act: Act, fault: Fault, at: number, before: Tree, after: Tree): string[] {
    const served = this.#serve(act)
    const place = new InProcessPlace(served.kernel, '')
    const files = (act.open ?? []).map((path) => place.open(path))
    const contents = files.map(whole)
    const known = seeTree(place)
    let failed: unknown = null
    this.#disk.arm(fault, at)
    try {
      act.act(place)
    } catch (err) {
      failed = err
    }
    if (fault === 'die') {
      quietly(() => place.close())
      quietly(() => served.view.destroy())
      this.#disk.disarm()
      return either(this.#shown(), before, after)
    }
    this.#disk.disarm()
    const lines: string[] = []
    const expected = failed === null ? after : before
    lines.push(...differs(known, before, 'at first'))
    lines.push(...differs(seeTree(place), expected, `living, ${failed ?? 'answered ok'}`))
    if (files.some((file, i) => whole(file) !== contents[i])) lines.push('an open file is another')
    place.close()
    if (this.#disk.failed !== 'unlinkat') lines.push(...this.#debris())
    try {
      served.end()
    } catch (err) {
      lines.push(String(err).replaceAll('\n', ' '))
    }
    lines.push(...differs(this.#shown(), expected, `mounted again, ${failed ?? 'answered ok'}`))
    return lines
  }

  #debris(): string[] {
    return TREES.flatMap(([name]) =>
      readdirSync(`${this.#run}/${name}/work`).map((left) => `left in work of ${name}: ${left}`),
    )
  }

  /** Answers by how many calls the disk was changed. */
  #mounted(act: Act, what: (place: InProcessPlace) => void): number {
    const served = this.#serve(act)
    const place = new InProcessPlace(served.kernel, '')
    const files = (act.open ?? []).map((path) => place.open(path))
    this.#disk.arm(null)
    what(place)
    const count = this.#disk.calls.length
    for (const file of files) file.close()
    place.close()
    served.end()
    return count
  }

  // What a dead process says is nobody's.
  #serve({ privateTo }: Act) {
    return serve(this.#spec, false, { privateTo: privateTo ?? null, log: silent })
  }

  /** What the next mount shows, after what it finds in work/ was settled. */
  #shown(): Tree {
    const { layers } = this.#spec
    settleWork(layers)
    for (const line of this.#debris()) throw new Error(line)
    const served = serve(this.#spec, false)
    const tree = seeTree(new InProcessPlace(served.kernel, ''))
    served.end()
    return tree
  }

  #copy(from: string, to: string): void {
    rmSync(`${this.#root}/${to}`, { recursive: true, force: true })
    execFileSync('cp', ['-a', `${this.#root}/${from}`, `${this.#root}/${to}`])
    // They name inodes of the tree that was copied.
    for (const [name] of TREES) {
      for (const log of ['rw.numbers', 'scratch.numbers'])
        rmSync(`${this.#root}/${to}/${name}/${log}`, { force: true })
    }
  }

  get #spec(): StackSpec {
    const names = TREES.map(([name]) => name)
    if (this.#shape === 'drop-in') {
      const ro = names.map((name) => ({
        path: `${this.#root}/ro/${name}`,
        index: null,
        version: 1,
      }))
      return {
        layers: [{ ...this.#layer('c', 0), id: '', scratch: null, excludes: [], ro }],
        base: null,
      }
    }
    const layers = names.slice(0, -1).map((name, i) => this.#layer(name, 3 - i))
    return {
      layers,
      base: { path: `${this.#root}/ro/${names.at(-1)}`, writable: false, timeout: 1 },
    }
  }

  #layer(name: string, tag: number): LayerSpec {
    const at = `${this.#run}/${name}`
    const ro = `${this.#root}/ro/${name}`
    const excludes = (EXCLUDES as Record<string, readonly string[]>)[name] ?? []
    return {
      id: name,
      name,
      tag,
      rw: `${at}/rw`,
      numbers: `${at}/rw.numbers`,
      work: `${at}/work`,
      ro: [{ path: ro, index: `${ro}.index`, version: 1 }],
      scratch: excludes.length > 0 ? `${at}/scratch` : null,
      excludes,
    }
  }
}

const FAULTS: readonly Fault[] = ['die', 'EIO', 'die', 'ENOSPC']

function faultsAt(at: number, share: number): readonly Fault[] {
  if (share === 0) return [...new Set(FAULTS)]
  return at % share === 0 ? [FAULTS[Math.floor(at / share) % FAULTS.length]!] : []
}

function either(tree: Tree, before: Tree, after: Tree): string[] {
  const was = compareTrees(before, tree, NOT_COMPARED)
  if (was.length === 0) return []
  const is = compareTrees(after, tree, NOT_COMPARED)
  if (is.length === 0) return []
  return [
    ...was.slice(0, 3).map((line) => `before: ${line}`),
    ...is.slice(0, 3).map((line) => `after: ${line}`),
  ]
}

const differs = (tree: Tree, expected: Tree, when: string): string[] =>
  compareTrees(expected, tree, NOT_COMPARED).map((line) => `${when}: ${line}`)

function quietly(act: () => void): void {
  try {
    act()
  } catch (err) {
    if (!(err instanceof Died) && !(err instanceof Error)) throw err
  }
}
