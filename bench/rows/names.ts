// Rows of names that are looked at: single calls on names of the lowest layer.

import { type LoadOptions, load, make, namesOf, type Row, type Shape, type Task } from './row.ts'

const MIB_AND_MORE = { dirs: 1, files: 10_000, batches: 1 } as const

/** A call on names that nobody looked at before on this mount; `again`: once more, when it is known. */
function look(operation: string, what: string, again: boolean, of: Partial<Row> = {}): Row {
  const run = (task: Task) => load(task, operation, task.root, namesOf(task.amounts))
  return {
    group: 'names',
    what,
    unit: 'µs',
    depth: true,
    warm: true,
    prepare: (dir, amounts) => make('create', dir, namesOf(amounts)),
    ...(again ? { before: run } : {}),
    run,
    ...of,
  }
}

/** A listing of directories: many of 10 entries, or one of 10,000. */
function list(
  operation: string,
  what: string,
  shapeOf: (task: Pick<Task, 'amounts'>) => Shape,
  again: boolean,
): Row {
  const run = (task: Task) => load(task, operation, task.root, shapeOf(task))
  return look(operation, what, again, {
    prepare: (dir, amounts) => make('create', dir, shapeOf({ amounts }), { size: 0 }),
    ...(again ? { before: run } : {}),
    run,
  })
}

const small = ({ amounts: { names, batches } }: Pick<Task, 'amounts'>): Shape => ({
  dirs: names / 10,
  files: 10,
  batches,
})
const large = () => MIB_AND_MORE

const inThreads = (operation: string, what: string, threads: number): Row =>
  threaded(operation, `${what}, by ${threads} threads at once`, { threads }, (task) => task.root)

function threaded(
  operation: string,
  what: string,
  options: LoadOptions,
  at: (task: Task) => string,
): Row {
  return {
    group: 'threads',
    what,
    unit: 'µs',
    where: ({ cores }) => cores !== 'one',
    ...(operation === 'create'
      ? {}
      : { prepare: (dir, amounts) => make('create', dir, namesOf(amounts)) }),
    run: (task) => load(task, operation, at(task), namesOf(task.amounts), options),
  }
}

const inThreadsNew = (threads: number): Row =>
  threaded(
    'create',
    `create, write 4 KiB, close, by ${threads} threads at once`,
    { threads },
    (task) => task.out,
  )

export const NAMES: Readonly<Record<string, Row>> = {
  lookup: look('lookup', 'stat of a name never looked at before', false, { quick: true }),
  stat: look('lookup', 'stat of a name looked at before', true, { quick: true }),
  absent: look('absent', 'stat of a name that does not exist, never asked for before', false, {
    quick: true,
  }),
  'absent again': look('absent', 'stat of an absent name asked for before', true, { quick: true }),
  'open first': look('open', 'open, read 4 KiB and close of a file never looked at before', false, {
    quick: true,
  }),
  'open again': look('open', 'open, read 4 KiB and close of a file read before', true, {
    quick: true,
  }),
  'readdir small': list(
    'readdir',
    'listing of directories of 10, never listed before, per entry',
    small,
    false,
  ),
  'readdir small again': list('readdir', 'the same, listed before', small, true),
  'readdir large': list('readdir', 'listing of a directory of 10,000, per entry', large, false),
  'readdir large again': list('readdir', 'the same, listed before', large, true),
  'readdir+stat small': list(
    'readdir-stat',
    'listing of directories of 10 with a stat of each entry, per entry',
    small,
    false,
  ),
  'readdir+stat large': list(
    'readdir-stat',
    'listing of a directory of 10,000 with a stat of each entry, per entry',
    large,
    false,
  ),
  'readdir+stat large again': list('readdir-stat', 'the same, done before', large, true),
  'lookup 2 threads': inThreads('lookup', 'stat of a name never looked at before', 2),
  'lookup 8 threads': inThreads('lookup', 'stat of a name never looked at before', 8),
  'open 2 threads': inThreads('open', 'open, read 4 KiB and close of a file never looked at', 2),
  'open 8 threads': inThreads('open', 'open, read 4 KiB and close of a file never looked at', 8),
  'create 2 threads': inThreadsNew(2),
  'create 8 threads': inThreadsNew(8),
}
for (const name of ['readdir small', 'readdir+stat small'])
  Object.assign(NAMES[name]!, { quick: true })
