// What is compared: ways to show several directories as one.
//
//   union    lower directories, and one that takes the changes    kernel overlayfs … svsfs
//   branches the same, but a lower file cannot be changed         mergerfs
//   mirror   one directory, changed in place                      plain, passthrough_hp
//
// Rule: each peer is mounted as its manual recommends; a subject that cannot take part says why.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { daemonsOf, ended, read, run } from './processes.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Where set-up puts what it compiles. */
export const BUILT = join(project, '.build', 'bench')

const SVSFS = join(project, 'dist', 'bin', 'svsfs.js')

/** Directories of one mount, the top one of `lowers` first; `upper` and `work` are new and empty. */
export interface Place {
  readonly lowers: readonly string[]
  readonly upper: string
  readonly work: string
  readonly mount: string
}

export interface Subject {
  readonly name: string
  readonly kind: 'union' | 'branches' | 'mirror'
  /** Mounted anew for each row, because it cannot hold the files of many. */
  readonly afresh?: true
  /** In no more rounds than this: who is far behind need not be known exactly. */
  readonly most?: number
  /** Its version; throws an Error that says what is missing. */
  version(): Promise<string>
  /** The command that mounts; null where the lower directory itself is worked on. */
  command(place: Place): readonly string[] | null
}

const layers = ({ lowers, upper, work }: Place) =>
  `lowerdir=${lowers.join(':')},upperdir=${upper},workdir=${work}`

const branches = ({ lowers, upper }: Place) =>
  [`${upper}=RW`, ...lowers.map((lower) => `${lower}=RO`)].join(':')

/** For daemons that keep a descriptor for each file: as many as they may have. */
const MANY_FILES = ['sh', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$@"', 'sh']

/** The version that a program prints. */
async function versionOf(command: string[], pattern: RegExp): Promise<string> {
  return pattern.exec(await run(command))?.[1] ?? ''
}

export const PLAIN: Subject = {
  name: 'plain',
  kind: 'mirror',
  version: async () => '',
  command: () => null,
}

export const KERNEL: Subject = {
  name: 'kernel overlayfs',
  kind: 'union',
  async version() {
    if (process.getuid!() !== 0) throw new Error('only root can mount it')
    return (await run(['uname', '-r'])).trim()
  },
  command: (place) => ['mount', '-t', 'overlay', 'overlay', '-o', layers(place), place.mount],
}

export const FUSE_OVERLAYFS: Subject = {
  name: 'fuse-overlayfs',
  kind: 'union',
  version: () => versionOf(['fuse-overlayfs', '--version'], /fuse-overlayfs: version (\S+)/),
  command: (place) => ['fuse-overlayfs', '-o', layers(place), place.mount],
}

const UNIONFS: Subject = {
  name: 'unionfs-fuse',
  kind: 'union',
  most: 2,
  version: () => versionOf(['unionfs', '--version'], /unionfs-fuse version: (\S+)/),
  command: (place) => [
    ...MANY_FILES,
    'unionfs',
    '-o',
    'cow,use_ino,allow_other',
    branches(place),
    place.mount,
  ],
}

const MERGERFS: Subject = {
  name: 'mergerfs',
  kind: 'branches',
  most: 2,
  version: () => versionOf(['mergerfs', '--version'], /mergerfs version: (\S+)/),
  command: (place) => [
    'mergerfs',
    '-o',
    'allow_other,use_ino,cache.files=partial,category.create=ff',
    branches(place),
    place.mount,
  ],
}

const PASSTHROUGH: Subject = {
  name: 'passthrough_hp',
  kind: 'mirror',
  afresh: true,
  async version() {
    if (!existsSync(`${BUILT}/passthrough_hp`))
      throw new Error('not compiled: it needs root for set-up, g++, libfuse3-dev and a network')
    return `libfuse ${await versionOf(['fusermount3', '--version'], /version:? (\S+)/)}`
  },
  command: (place) => [...MANY_FILES, `${BUILT}/passthrough_hp`, place.lowers[0]!, place.mount],
}

export const SVSFS_DIRECT: Subject = svsfs('svsfs', 'direct', 'cached')

/** All subjects; svsfs with one of its data paths. */
export const subjectsOf = (dataPath: string): readonly Subject[] => [
  PLAIN,
  KERNEL,
  FUSE_OVERLAYFS,
  UNIONFS,
  MERGERFS,
  PASSTHROUGH,
  svsfs('svsfs', 'direct', dataPath),
  { ...svsfs('svsfs fuse-native', 'fuse-native', 'cached'), most: 2 },
]

/** The command `svsfs` of this build. */
export const svsfsCommand = (...words: string[]): string[] => [process.execPath, SVSFS, ...words]

function svsfs(name: string, transport: string, dataPath: string): Subject {
  const path = dataPath === 'cached' ? '' : `,data_path=${dataPath}`
  return {
    name,
    kind: 'union',
    async version() {
      if (!existsSync(SVSFS)) throw new Error('not built')
      return (await run(svsfsCommand('--version'))).trim()
    },
    command: (place) =>
      svsfsCommand(
        'overlay',
        'bench',
        place.mount,
        '-o',
        `${layers(place)}${path}`,
        '--transport',
        transport,
      ),
  }
}

/** Mounts, and answers the root to work below. `before` goes in front of the command. */
export async function mount(
  subject: Subject,
  place: Place,
  before: readonly string[] = [],
): Promise<string> {
  const command = subject.command(place)
  if (command === null) return place.lowers[0]!
  await run([...before, ...command], { place: place.mount })
  return place.mount
}

/** Unmounts, and waits until the daemon has ended. */
export async function unmount(place: Pick<Place, 'mount'>): Promise<void> {
  if (!read('/proc/self/mounts').includes(` ${place.mount} `)) return
  const daemons = daemonsOf(place.mount)
  try {
    await run(['umount', place.mount])
  } catch {
    await run(['umount', '-l', place.mount]) // a program that failed still has it open
  }
  await ended(daemons)
}
