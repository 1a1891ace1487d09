// Rows of bytes: large files read and written, in order and at random (by fio), and mapped.

import { run } from '../processes.ts'
import { installed, inTwoPlaces, load, make, type Row, type Sample, type Task } from './row.ts'

const MIB = 1 << 20
const ONE = { dirs: 1, files: 1, batches: 1 }
const FILE = 'd0/f0'

const perMib = ({ costs }: Sample, mib: number): Sample => ({
  costs: costs.map((cost) => cost / mib),
  amount: mib,
})

function sequential(
  what: string,
  before: ((task: Task) => Promise<Sample>) | null,
  work: (task: Task) => Promise<Sample>,
): Row {
  return {
    group: 'bytes',
    what,
    unit: 'MiB/s',
    large: true,
    where: inTwoPlaces,
    quick: true,
    ...(before === null
      ? {}
      : { before, prepare: (dir, { large }) => make('create', dir, ONE, { size: large * MIB }) }),
    run: async (task) => perMib(await work(task), task.amounts.large),
  }
}

/** What fio says of its one job, as far as it is used. */
interface FioReport {
  readonly jobs: readonly [
    Record<'read' | 'write' | 'sync', { total_ios: number; lat_ns: { mean: number } }>,
  ]
}

/** 4 KiB at random places. fio's own time between two calls is not counted. */
function random(
  what: string,
  job: 'read' | 'write',
  extra: readonly string[],
  of: Partial<Row> = {},
): Row {
  return {
    group: 'bytes',
    what,
    unit: 'µs',
    large: true,
    where: inTwoPlaces,
    needs: () => installed('fio'),
    prepare: (dir, { large }) => make('create', dir, ONE, { size: large * MIB }),
    ...(job === 'write'
      ? {
          before: (task: Task) =>
            load(task, 'create', task.out, ONE, { size: task.amounts.large * MIB }),
        }
      : {}),
    async run(task) {
      const file = job === 'read' ? `${task.root}/${FILE}` : `${task.out}/${FILE}`
      const { large, random } = task.amounts
      const words = [
        '--name=row',
        `--filename=${file}`,
        `--size=${large}m`,
        `--io_size=${random * 4}k`,
        `--rw=rand${job}`,
        '--bs=4k',
        '--randseed=1',
        '--allow_file_create=0',
        '--output-format=json',
        ...extra,
      ]
      const said = await run([...task.pinned, 'fio', ...words], { place: task.place })
      const [report] = (JSON.parse(said.slice(said.indexOf('{'))) as FioReport).jobs
      const cost = report[job].lat_ns.mean + (report.sync?.lat_ns?.mean ?? 0)
      return { costs: [cost / 1000], amount: report[job].total_ios }
    },
    ...of,
  }
}

const HOT = '--invalidate=0'

export const BYTES: Readonly<Record<string, Row>> = {
  'read cold': sequential(
    '1 MiB reads of a large file that nobody read before',
    (task) => load({ ...task, pinned: [] }, 'evict', task.disk, ONE),
    (task) => load(task, 'read', task.root, ONE),
  ),
  'read hot': sequential(
    '1 MiB reads of a large file read before',
    (task) => load(task, 'read', task.root, ONE),
    (task) => load(task, 'read', task.root, ONE),
  ),
  write: sequential('1 MiB writes of a new large file, until close returned', null, (task) =>
    load(task, 'create', task.out, ONE, { size: task.amounts.large * MIB }),
  ),
  'random read': random(
    '4 KiB reads at random places of a large lower file',
    'read',
    ['--ioengine=psync', HOT],
    { quick: true },
  ),
  'random read mapped': random(
    '4 KiB reads at random places of a large lower file through mmap',
    'read',
    ['--ioengine=mmap', HOT],
  ),
  'random write': random(
    '4 KiB writes at random places of a large new file',
    'write',
    ['--ioengine=psync', HOT],
    { quick: true },
  ),
  'random write fsync': random('the same, each followed by fsync', 'write', [
    '--ioengine=sync',
    HOT,
    '--fsync=1',
    '--io_size=2m',
  ]),
}
