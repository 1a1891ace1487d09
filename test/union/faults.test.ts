// Every change of a view, on a disk that refuses at each of its steps in turn: the caller gets
// the disk's errno, the view shows what it showed before, nothing is left in `work/`, and when
// the disk takes it again the same change is made as on a plain directory.
//
// Rule: each step that an operation takes is refused once, alone and with all that follow.

import { readdirSync } from 'node:fs'
import t from 'tap'
import type { ErrnoName } from '../../lib/base/errno.ts'
import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import { using, whole } from '../behaviour/act.ts'
import type { Tree } from '../behaviour/draw.ts'
import { drawAt, makeGround, removeGround } from '../behaviour/ground.ts'
import { InProcessPlace } from '../behaviour/in-process-place.ts'
import { lowersOf } from '../behaviour/layered.ts'
import { errnoOfCall, type Place } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { drawOneLayer, drawThreeLayers } from '../behaviour/stacks.ts'
import { START } from '../behaviour/start.ts'
import { serve } from '../behaviour/subject-union.ts'
import { compareTrees, type Seen, seeTree } from '../behaviour/walk.ts'
import { refuse, type Span } from './failing-calls.ts'

const S = 'start'
const CREATE = O.RDWR | O.CREAT | O.EXCL
/** More steps than any operation here takes. */
const MOST_STEPS = 400

const CHANGES: Record<string, (place: Place) => void> = {
  'writing into a small file': (p) => using(p.open('dir/b', O.RDWR), (f) => f.pwrite('new', 1)),
  'writing into a large file': (p) => using(p.open('big', O.RDWR), (f) => f.pwrite('new', 9)),
  'emptying a file': (p) => using(p.open('dir/c', O.WRONLY | O.TRUNC), () => {}),
  'cutting a file': (p) => p.truncate('big', 1000),
  'growing a file': (p) => p.truncate('dir/a', 100_000),
  'allocating room': (p) => using(p.open('readme', O.RDWR), (f) => f.allocate(0, 0, 50_000)),
  'writing into a linked file': (p) => using(p.open('two', O.RDWR), (f) => f.pwrite('new', 0)),
  'the mode of a file': (p) => p.chmod('dir/a', 0o600),
  'the mode of a linked file': (p) => p.chmod('links/three', 0o600),
  'the mode of a directory': (p) => p.chmod('dir/deep', 0o700),
  'the times of a file': (p) => p.utimens('other/p', 5n, 7n),
  'an attribute of a file': (p) => p.setxattr('other/q', 'user.new', 'value'),
  'an attribute of a directory': (p) => p.setxattr('dir/deep/er', 'user.new', 'value'),
  'a new file': (p) => p.open('dir/deep/er/new', CREATE).close(),
  'a new file over a deleted one': (p) => p.open('dir/deep/gone', CREATE).close(),
  'a new file without a name': (p) => p.tmpfile('dir/deep').close(),
  'a new directory': (p) => p.mkdir('other/new'),
  'a new directory over a deleted one': (p) => p.mkdir('gone-dir'),
  'a new symbolic link': (p) => p.symlink('readme', 'dir/new'),
  'a new symbolic link over a deleted one': (p) => p.symlink('readme', 'gone-link'),
  'a new fifo': (p) => p.mknod('dir/new', 0o010600),
  'a further name': (p) => p.link('dir/a', 'other/new'),
  'a further name over a deleted one': (p) => p.link('dir/b', 'dir/gone'),
  'removing a file': (p) => p.unlink('dir/b'),
  'removing each of many': (p) => p.unlink('many/007'),
  'removing one name of several': (p) => p.unlink('links/three'),
  'removing an empty directory': (p) => p.rmdir('empty-dir'),
  'renaming a file': (p) => p.rename('dir/c', 'other/new'),
  'renaming a file over another': (p) => p.rename('dir/c', 'other/q'),
  'renaming a file over a deleted one': (p) => p.rename('big', 'dir/deep/gone'),
  'renaming a linked file': (p) => p.rename('two', 'dir/new'),
  'renaming a file over a linked one': (p) => p.rename('dir/a', 'links/three'),
  'renaming a directory': (p) => p.rename('dir/deep', 'other/new'),
  'renaming a directory of several layers': (p) => p.rename('dir', 'other/new'),
  'renaming a directory of many files': (p) => p.rename('many', 'renamed'),
  'renaming a directory over an empty one': (p) => p.rename('dir/deep', 'empty-dir'),
  'renaming a directory over a deleted one': (p) => p.rename('solid', 'gone-dir'),
  'exchanging two files': (p) => p.rename('dir/a', 'other/p', RENAME_EXCHANGE),
  'exchanging a file and a directory': (p) => p.rename('readme', 'dir/deep', RENAME_EXCHANGE),
  'exchanging two directories': (p) => p.rename('dir/deep', 'other', RENAME_EXCHANGE),
}

/** START without most of its many names: each step compares everything. */
const TREE: Tree = Object.fromEntries(
  Object.entries(START).filter(([path]) => !/^(odd\/|many\/0[12])/.test(path)),
)

const STACKS = { 'one layer': drawOneLayer, 'three layers': drawThreeLayers }

type Draw = (typeof STACKS)[keyof typeof STACKS]

class Ground {
  readonly root = makeGround()
  #served: ReturnType<typeof serve> | null = null
  #spec: Parameters<typeof serve>[0] | null = null
  #lowers: RealPlace[] = []
  place!: InProcessPlace

  async draw(draw: Draw): Promise<void> {
    const { branches, spec } = await draw(this.root, [S], TREE)
    this.#spec = spec
    this.#lowers = lowersOf(this.root, branches)
    this.mount()
  }

  mount(): void {
    this.#served?.end()
    this.#served = serve(this.#spec!, false)
    this.place = new InProcessPlace(this.#served.kernel, S)
  }

  /** What is left in a `work/` of the stack. */
  get leftovers(): string[] {
    return this.#spec!.layers.flatMap((layer) => readdirSync(layer.work!))
  }

  lowers(): Map<string, Seen>[] {
    return this.#lowers.map((lower) => seeTree(lower))
  }

  close(): void {
    for (const lower of this.#lowers) lower.close()
    this.#served?.view.destroy()
    removeGround(this.root)
  }
}

interface Trial {
  readonly change: (place: Place) => void
  readonly code: ErrnoName
  readonly span: Span
  readonly wrong: string[]
}

/**
 * Refuses each step of a change in turn, from `step` on, until the change is done: because no
 * step was refused, or because it can do without that one. Answers the step after that; 0: no more.
 */
function refuseFrom(ground: Ground, step: number, { change, code, span, wrong }: Trial): number {
  const before = seeTree(ground.place)
  // Somebody reads it all the while.
  using(ground.place.open('dir/a'), (reader) => {
    for (; step < MOST_STEPS; step++) {
      const refused = refuse(code, step, span)
      let got: string | null
      try {
        got = errnoOfCall(() => change(ground.place))
      } finally {
        refused.end()
      }
      const say = (text: string) => {
        wrong.push(`${text} | ${code} ${span}: ${refused.calls.slice(0, step).join(' ')}`)
      }
      for (const name of ground.leftovers) say(`left ${name} in work/`)
      if (got === null) {
        step = refused.hit ? step + 1 : 0
        return
      }
      if (got !== code || !refused.hit) say(`ends with ${got}`)
      if (whole(reader) !== 'a\n') say(`an open file reads ${whole(reader)}`)
      for (const line of compareTrees(before, seeTree(ground.place))) say(line)
    }
    throw new Error('it takes too many steps')
  })
  return step
}

/** The change was made: as on a plain directory, also after a remount, and in no lower tree. */
function compareWithPlain(ground: Ground, change: (place: Place) => void): string[] {
  drawAt(ground.root, 'plain', TREE)
  const plain = new RealPlace(`${ground.root}/plain`)
  try {
    change(plain)
    const should = seeTree(plain)
    const before = seeTree(ground.place)
    ground.mount()
    const after = seeTree(ground.place)
    return [
      ...compareTrees(should, before, ['ino', 'mtime']),
      ...compareTrees(should, after, ['ino', 'mtime']),
    ]
  } finally {
    plain.close()
  }
}

async function refuseEach(draw: Draw, trial: Trial): Promise<void> {
  for (let step = 1; step !== 0; ) {
    const ground = new Ground()
    try {
      await ground.draw(draw)
      const lowers = ground.lowers()
      step = refuseFrom(ground, step, trial)
      trial.wrong.push(...compareWithPlain(ground, trial.change))
      ground.lowers().forEach((lower, i) => {
        trial.wrong.push(...compareTrees(lowers[i]!, lower))
      })
    } finally {
      ground.close()
    }
  }
}

for (const [stack, draw] of Object.entries(STACKS)) {
  for (const [title, change] of Object.entries(CHANGES)) {
    if (!title.includes(process.env.BEHAVIOUR ?? '')) continue
    t.test(`${stack}: ${title} on a disk that refuses is done whole or not at all`, async (t) => {
      const wrong: string[] = []
      for (const span of ['from then on', 'once'] as const)
        await refuseEach(draw, { change, code: 'ENOSPC', span, wrong })
      t.same(wrong.slice(0, 12), [], `${wrong.length} differences`)
    })
  }
}
