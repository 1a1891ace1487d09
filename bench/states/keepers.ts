// What keeps states: svsfs, and the programs that people use for it otherwise.
//
//   begin(place)  an empty repository, and the directory that the application works in
//   keep(n)       state n of that directory is kept
//   restore(n)    the directory as state n was: svsfs puts it back in place, the others write it to `to`
//
// Rule: each is used as its manual recommends for local backups, with compression by zstd where it
// can. Nothing is encrypted but by restic, which always does.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ended, peakMemoryOf, processesIn, read, run } from '../processes.ts'
import { svsfsCommand } from '../subjects.ts'

export interface Keeper {
  readonly name: string
  /** Throws an Error that says what is missing. */
  version(): Promise<string>
  begin(home: string, peak: Peak): Promise<Kept>
}

/** A repository in use. Commands are run through `step`, which measures them. */
export interface Kept {
  /** Where the application works. */
  readonly dir: string
  /** What counts as the size of the repository. */
  readonly repository: string
  keep(n: number): Promise<unknown>
  /** Answers the directory that has state n then. */
  restore(n: number, to: string): Promise<string>
  restoreFile(n: number, file: string, to: string): Promise<unknown>
  /** Largest resident memory of a process that outlives its command, in MiB; 0 without one. */
  memory?(): number
  end?(): Promise<unknown>
}

/** Largest resident memory of any command of a keeper so far, in MiB. */
export class Peak {
  mib = 0
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  /** Runs a command of the keeper. */
  async run(words: readonly string[], options: Parameters<typeof run>[1] = {}): Promise<string> {
    const timed = ['/usr/bin/time', '-o', this.#file, '-f', '%M']
    try {
      return await run([...timed, ...words], { longest: 900_000, ...options })
    } finally {
      this.mib = Math.max(this.mib, Number(read(this.#file).trim().split('\n').at(-1)) / 1024)
    }
  }
}

async function versionOf(command: string[], pattern: RegExp): Promise<string> {
  return pattern.exec(await run(command))?.[1] ?? ''
}

/** The directory that an application works in, and the one of the repository. */
function places(home: string): { dir: string; repository: string } {
  const found = { dir: join(home, 'work'), repository: join(home, 'repository') }
  mkdirSync(found.dir)
  return found
}

export const SVSFS: Keeper = {
  name: 'svsfs',
  version: async () => (await run(svsfsCommand('--version'))).trim(),
  async begin(home, peak) {
    const { dir } = places(home)
    const store = join(home, 'store')
    const ask = (...words: string[]) =>
      peak.run(svsfsCommand(...words, '--store', store), { place: store })
    await ask('layer', 'create', 'work', '--empty', '--activate')
    await ask('mount', dir, '--write-to', 'work')
    const daemons = processesIn(store)
    return {
      dir,
      repository: join(store, 'catalogue'),
      keep: (n) => ask('snapshot', 'work', '--label', `state-${n}`),
      async restore(n) {
        await ask('restore', 'work', `state-${n}`)
        return dir
      },
      restoreFile: (n, file, to) =>
        ask('restore', 'work', `state-${n}`, '--path', file, '--to', to),
      memory: () => Math.max(0, ...daemons.map(peakMemoryOf)),
      async end() {
        await ask('umount', '--all')
        await ended(daemons)
      },
    }
  },
}

export const RESTIC: Keeper = {
  name: 'restic',
  version: () => versionOf(['restic', 'version'], /restic (\S+)/),
  async begin(home, peak) {
    const { dir, repository } = places(home)
    const ids = new Map<number, string>()
    const env = { RESTIC_PASSWORD: 'bench', RESTIC_REPOSITORY: repository }
    const restic = (...words: string[]) =>
      peak.run(['restic', '-q', '--cache-dir', join(home, 'cache'), ...words], { env, cwd: dir })
    await restic('init', '--repository-version', '2')
    return {
      dir,
      repository,
      async keep(n) {
        const said = await restic('backup', '--json', '.')
        ids.set(n, /"snapshot_id":"(\w+)"/.exec(said)![1]!)
      },
      async restore(n, to) {
        await restic('restore', ids.get(n)!, '--target', to)
        return to
      },
      restoreFile: (n, file, to) =>
        restic('restore', ids.get(n)!, '--target', to, '--include', `/${file}`),
    }
  },
}

export const BORG: Keeper = {
  name: 'borg',
  version: () => versionOf(['borg', '--version'], /borg (\S+)/),
  async begin(home, peak) {
    const { dir, repository } = places(home)
    const env = { BORG_BASE_DIR: home, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' }
    const borg = (cwd: string, ...words: string[]) => peak.run(['borg', ...words], { env, cwd })
    await borg(dir, 'init', '-e', 'none', repository)
    const extract = (n: number, to: string, ...paths: string[]) => {
      mkdirSync(to)
      return borg(to, 'extract', `${repository}::${n}`, ...paths)
    }
    return {
      dir,
      repository,
      keep: (n) => borg(dir, 'create', '-C', 'zstd,3', `${repository}::${n}`, '.'),
      async restore(n, to) {
        await extract(n, to)
        return to
      },
      restoreFile: (n, file, to) => extract(n, to, file),
    }
  },
}

export const OSTREE: Keeper = {
  name: 'ostree',
  version: () => versionOf(['ostree', '--version'], /Version: '(\S+)'/),
  async begin(home, peak) {
    const { dir, repository } = places(home)
    const commits = new Map<number, string>()
    const ostree = (...words: string[]) => peak.run(['ostree', `--repo=${repository}`, ...words])
    await ostree('init', '--mode=archive')
    const checkout = (n: number, to: string, ...words: string[]) =>
      ostree('checkout', ...words, commits.get(n)!, to)
    return {
      dir,
      repository,
      async keep(n) {
        const said = await ostree('commit', '-b', 'work', '-s', String(n), `--tree=dir=${dir}`)
        commits.set(n, said.trim())
      },
      async restore(n, to) {
        await checkout(n, to)
        return to
      },
      restoreFile: (n, file, to) => checkout(n, to, `--subpath=/${file}`),
    }
  },
}

/** A shell line with the directory, the repository and the number of the state as $1, $2, $3, and $4. */
const shell = (peak: Peak, line: string, ...words: (string | number)[]) =>
  peak.run(['sh', '-euc', line, 'sh', ...words.map(String)])

export const TAR: Keeper = {
  name: 'tar + zstd',
  version: () => versionOf(['zstd', '--version'], /v([\d.]+)/),
  async begin(home, peak) {
    const { dir, repository } = places(home)
    mkdirSync(repository)
    const extract = (n: number, to: string, ...paths: string[]) =>
      shell(
        peak,
        'file=$1 to=$2; shift 2; mkdir "$to"; zstd -dc "$file" | tar -xf - -C "$to" "$@"',
        join(repository, `${n}.tar.zst`),
        to,
        ...paths,
      )
    return {
      dir,
      repository,
      keep: (n) =>
        shell(peak, 'tar -cf - -C "$1" . | zstd -q -3 -o "$2/$3.tar.zst"', dir, repository, n),
      async restore(n, to) {
        await extract(n, to)
        return to
      },
      restoreFile: (n, file, to) => extract(n, to, `./${file}`),
    }
  },
}

export const PATCHES: Keeper = {
  name: 'zstd --patch-from',
  version: TAR.version,
  async begin(home, peak) {
    const { dir, repository } = places(home)
    mkdirSync(repository)
    const scratch = join(home, 'scratch')
    mkdirSync(scratch)
    const keep = `cd "$4"; tar -cf new -C "$1" .
      if [ "$3" = 1 ]; then zstd -q -3 --long=31 -o "$2/1" new
      else zstd -q -3 --long=31 --patch-from=old -o "$2/$3" new; fi
      mv new old`
    // The chain of patches up to the wanted state.
    const extract = (n: number, to: string, ...paths: string[]) =>
      shell(
        peak,
        `repository=$1 last=$2 to=$3; shift 3; mkdir "$to"; zstd -q -d --long=31 -o "$to.1" "$repository/1"; n=1
         while [ $n -lt "$last" ]; do
           next=$((n + 1)); zstd -q -d --long=31 --patch-from="$to.$n" -o "$to.$next" "$repository/$next"; rm "$to.$n"; n=$next
         done
         tar -xf "$to.$n" -C "$to" "$@"; rm "$to.$n"`,
        repository,
        n,
        to,
        ...paths,
      )
    return {
      dir,
      repository,
      keep: (n) => shell(peak, keep, dir, repository, n, scratch),
      async restore(n, to) {
        await extract(n, to)
        return to
      },
      restoreFile: (n, file, to) => extract(n, to, `./${file}`),
    }
  },
}

export const KEEPERS: readonly Keeper[] = [SVSFS, RESTIC, BORG, OSTREE, TAR, PATCHES]
