// `npm run bench`: svsfs beside its peers, over the same directories, in one run.
//
//   npm run bench -- mount           all rows; the table, numbers and plots go to bench/results
//   npm run bench -- mount --quick   the core rows in two minutes, held against what is kept
//   npm run bench -- states          states beside restic, borg, ostree, tar and zstd
//   npm run bench -- states-many     a catalogue of ever more states and chunks
//   npm run bench -- deploy          a tree brought to a host, twice, beside rsync and restic
//   npm run bench -- start           how long a command takes to start, beside Node alone
//   npm run bench -- readme          the section about speed of docs/speed.md, from what is kept
//
// Rule: progress goes to stderr, the answer to stdout. Exit status 1: something became slower, or
// could not be measured; 2: an option is wrong.

import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { MEASURES } from './daemon-rows.ts'
import { benchDeploy, type DeployOptions } from './deploy.ts'
import { benchMount, type MountOptions, SETTINGS } from './mount.ts'
import { writeReadme } from './readme.ts'
import { ROWS } from './rows/rows.ts'
import { benchStart, type StartOptions } from './start.ts'
import { KEEPERS } from './states/keepers.ts'
import { SETS } from './states/sets.ts'
import { benchStates, type StatesOptions } from './states.ts'
import { benchMany, type ManyOptions } from './states-many.ts'
import { subjectsOf } from './subjects.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const groups = [...new Set(Object.values(ROWS).map(({ group }) => group)), 'daemon']
const rowNames = [...Object.keys(ROWS), ...Object.keys(MEASURES)]
const keeperNames = KEEPERS.map(({ name }) => name)
const names = subjectsOf('cached').map(({ name }) => name)

/** A list with commas, each one of `known`; `expand` makes several of one word. */
const listOf =
  (known: readonly string[], expand: (word: string) => string[] = (word) => [word]) =>
  (text: string): string[] =>
    text.split(',').flatMap((word) => {
      const found = expand(word.trim())
      const unknown = found.find((one) => !known.includes(one))
      if (unknown !== undefined)
        throw new InvalidArgumentError(`${unknown} is not known; --help lists them`)
      return found
    })

function count(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError('a whole number above 0')
  return number
}

function minutes(text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new InvalidArgumentError('a number above 0')
  return number
}

const rowsOf = (word: string) =>
  word === 'daemon'
    ? Object.keys(MEASURES)
    : groups.includes(word)
      ? Object.entries(ROWS).flatMap(([name, { group }]) => (group === word ? [name] : []))
      : [word]

const program = new Command('npm run bench --')
  .description('svsfs beside its peers, over the same directories, in one run')
  .exitOverride((err) => process.exit(err.exitCode === 0 ? 0 : 2))

program
  .command('mount', { isDefault: true })
  .description('measure rows of a mount; without --quick, --rows and --subjects the result is kept')
  .option('--quick', 'the core rows in two minutes, held against the kept result')
  .option('--full', 'ten times as much of what takes long: 50,000 files, 1 GiB')
  .option('--rows <list>', `rows or groups (${groups.join(', ')})`, listOf(rowNames, rowsOf))
  .option('--subjects <list>', names.join(', '), listOf(names))
  .option('--rounds <n>', 'rounds (default: as many as the minutes allow, 3 to 9)', count)
  .option('--minutes <n>', 'begin no round that would end later', minutes)
  .option(
    '--settings <list>',
    `${Object.keys(SETTINGS).join(', ')}: what lies below, and whether caller and daemon share one core, have all, or have all beside other work`,
    listOf(Object.keys(SETTINGS)),
  )
  .option(
    '--layers <list>',
    'numbers of layers (default 1,3,10; --quick: 1)',
    listOf(['1', '3', '10']),
  )
  .addOption(
    new Option('--data-path <name>', 'of svsfs')
      .choices(['cached', 'passthrough'])
      .default('cached'),
  )
  .option('--tmpfs <dir>', 'a directory in memory', '/dev/shm')
  .option('--disk <dir>', 'a directory on a disk', '/var/tmp')
  .option('--json', 'print the result as JSON')
  .option('--keep', 'keep the result in bench/results, whatever was measured')
  .addHelpText(
    'after',
    `\nRows: ${rowNames.join(', ')}\nThis machine has ${availableParallelism()} cores.`,
  )
  .action(async (options: MountOptions) => {
    process.exitCode = await benchMount(options, join(project, 'bench', 'results'))
  })

program
  .command('states-many')
  .description('list and open states of a catalogue that grows tenfold at each step')
  .option('--states <n>', 'the most states', count, 10_000)
  .option('--chunks <n>', 'for each state', count, 100)
  .option('--bytes <n>', 'of a chunk', count, 64)
  .option('--disk <dir>', 'a directory on a disk', '/var/tmp')
  .option('--json', 'print the result as JSON')
  .action(async (options: ManyOptions) => {
    process.exitCode = await benchMany(options)
  })

program
  .command('states')
  .description('keep ten states of an application, and bring an earlier one back')
  .option('--sets <list>', Object.keys(SETS).join(', '), listOf(Object.keys(SETS)))
  .option('--keepers <list>', keeperNames.join(', '), listOf(keeperNames))
  .option('--rounds <n>', 'how often', count, 3)
  .option('--disk <dir>', 'a directory on a disk', '/var/tmp')
  .option('--json', 'print the result as JSON')
  .option('--keep', 'keep the result in bench/results')
  .action(async (options: StatesOptions) => {
    process.exitCode = await benchStates(options, join(project, 'bench', 'results'))
  })

program
  .command('deploy')
  .description('a tree brought to a host over ssh, twice, beside rsync and restic')
  .option('--files <n>', 'small files', count, 2000)
  .option('--large <MiB>', 'size of the large one', count, 64)
  .option('--keep', 'write the table to bench/results/deploy.md')
  .action(async (options: DeployOptions) => {
    process.exitCode = await benchDeploy(options, join(project, 'bench/results'))
  })

program
  .command('start')
  .description('start commands, beside Node alone')
  .option('--rounds <n>', 'how often', count, 15)
  .option('--disk <dir>', 'a directory on a disk', '/var/tmp')
  .option('--json', 'print the result as JSON')
  .action(async (options: StartOptions) => {
    process.exitCode = await benchStart(options)
  })

program
  .command('readme')
  .description('write the section about speed of docs/speed.md anew, from bench/results')
  .option('--check', 'change nothing; exit status 1 where it would')
  .action(async ({ check }: { check?: true }) => {
    process.exitCode = writeReadme(project, check === true) ? 0 : 1
  })

try {
  await program.parseAsync()
} catch (err) {
  process.stderr.write(`bench: ${(err as Error).message}\n`)
  process.exitCode = 1
}
