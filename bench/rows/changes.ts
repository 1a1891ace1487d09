// Rows of changes: names and files made, renamed and removed, and the first change of a lower file.

import { run } from '../processes.ts'
import { inTwoPlaces, load, make, namesOf, type Row, type Shape, type Task } from './row.ts'

const shapeIn = (task: Task): Shape => namesOf(task.amounts)

/** A call on files that were made, through the mount, just before. */
function change(operation: string, what: string, before: readonly string[]): Row {
  return {
    group: 'changes',
    what,
    unit: 'µs',
    warm: true,
    quick: true,
    async before(task) {
      for (const earlier of before) await load(task, earlier, task.out, shapeIn(task))
    },
    run: (task) => load(task, operation, task.out, shapeIn(task)),
  }
}

/** The first change of lower files of one size. */
function first(operation: string, what: string, shape: Shape | null, size: number): Row {
  const shapeOf = (amounts: Task['amounts']) => shape ?? namesOf(amounts)
  const small = size < 1 << 20
  return {
    group: 'first change',
    what,
    unit: shape === null ? 'µs' : 'ms',
    changesLower: true,
    ...(small ? { warm: true, quick: true } : {}),
    ...(size < 1 << 30 ? {} : { most: 3, where: inTwoPlaces }),
    prepare: (dir, amounts) => make('create', dir, shapeOf(amounts), { size }),
    run: (task) => load(task, operation, task.root, shapeOf(task.amounts)),
    // The copies of all subjects at once would fill the disk.
    ...(small ? {} : { after: (task: Task) => run(['rm', '-rf', `${task.root}/d0`]) }),
  }
}

const SOME = { dirs: 1, files: 16, batches: 4 }
const ONE = { dirs: 1, files: 1, batches: 1 }
const SIZES = [
  ['4 KiB', null, 4096],
  ['1 MiB', SOME, 1 << 20],
  ['1 GiB', ONE, 1 << 30],
] as const

export const CHANGES: Readonly<Record<string, Row>> = {
  create: change('create', 'create, write 4 KiB and close', []),
  mkdir: change('mkdir', 'mkdir', []),
  symlink: change('symlink', 'symlink', []),
  rename: change('rename', 'rename of a new file within its directory', ['create']),
  unlink: change('unlink', 'unlink of a new file', ['create']),
  chmod: change('chmod', 'chmod of a new file', ['create']),
  setxattr: change('setxattr', 'setxattr on a new file', ['create']),
  getxattr: change('getxattr', 'getxattr of a new file', ['create', 'setxattr']),
  'unlink lower': first('unlink', 'unlink of a lower file', null, 4096),
  'rename lower': first('rename', 'rename of a lower file of 4 KiB', null, 4096),
  ...Object.fromEntries(
    SIZES.flatMap(([name, shape, size]) => [
      [
        `write ${name}`,
        first('overwrite', `first 4 KiB write to a lower file of ${name}`, shape, size),
      ],
      [
        `append ${name}`,
        first('append', `first append of a byte to a lower file of ${name}`, shape, size),
      ],
      [`chmod ${name}`, first('chmod', `first chmod of a lower file of ${name}`, shape, size)],
    ]),
  ),
}
