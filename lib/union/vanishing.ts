// Names that are gone, with much below them. Whoever's lookup of such a name is answered first has
// to take down all that the kernel knew below it, which takes milliseconds for each thousand names.
//
//   detach ─▶ add ─▶ kernel told ─▶ the kernel-call thread has a thread ask   answered at once
//                               └─▶ a program asks                            a moment after that
//
// Rule: a program waits for moments only, also where nobody asks before it.

import { existsSync } from 'node:fs'
import { type Caller, Parked } from '../fuse/filesystem.ts'
import type { UnionNode } from './node.ts'
import type { View } from './view.ts'

/** Milliseconds that a program lets the one who asks for us begin. */
const HEAD_START = 2
/** Longer than this nobody waits. */
const LONGEST = 100

interface Gone {
  readonly since: number
  /** When the one who asks for us was answered; 0: not yet. */
  answered: number
}

export class Vanishing {
  readonly #names = new Map<string, Gone>()

  get some(): boolean {
    return this.#names.size > 0
  }

  /** A node is about to lose its name, of which the kernel is told. */
  add(view: View, node: UnionNode): void {
    if (!isLarge(node)) return
    view.announce({ kind: 'gone', path: node.path })
    // Over fuse-native nobody asks for us.
    if (view.device === -1) return
    this.#names.set(keyOf(node.parent!, node.name), { since: performance.now(), answered: 0 })
  }

  /** Before a lookup is answered. Throws Parked where another one has to be before it. */
  meet(view: View, caller: Caller, dir: UnionNode, name: string): void {
    const key = keyOf(dir, name)
    const gone = this.#names.get(key)
    if (gone === undefined) return
    const now = performance.now()
    if (isOurs(caller)) {
      gone.answered = now
      return
    }
    const begun = gone.answered !== 0 && now - gone.answered >= HEAD_START
    if (begun || now - gone.since > LONGEST) this.#names.delete(key)
    else throw new Parked(view.newJob({ kind: 'pause', milliseconds: HEAD_START }))
  }
}

const keyOf = (dir: UnionNode, name: string): string => `${dir.id}/${name}`

const isOurs = ({ pid }: Caller): boolean => existsSync(`/proc/self/task/${pid}`)

/** More names than these below a directory: the kernel needs milliseconds to take them down. */
const MANY = 256

function isLarge(node: UnionNode): boolean {
  let left = MANY
  const directories = [node]
  for (let dir = directories.pop(); dir !== undefined; dir = directories.pop()) {
    for (const child of dir.children?.values() ?? []) {
      left -= 1
      if (left === 0) return true
      if (child.isDirectory) directories.push(child)
    }
  }
  return false
}
