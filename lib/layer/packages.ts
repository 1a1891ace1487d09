// Debian packages without being root, and without touching the host: apt works in a folder of its
// own, with the host's sources and keys, and only downloads.
//
//   folder/state    lists of packages        folder/cache/archives   what was downloaded
//   folder/status   what the base has: a copy of its var/lib/dpkg/status, or nothing
//
// Rule: apt verifies what it fetches; nothing is installed, and no script of a package is run.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Failure } from '../base/failure.ts'
import { findTool } from '../host/tool.ts'

export interface FetchOptions {
  /** Take along what the packages need and the base lacks. */
  readonly withDepends: boolean
  /** The tree that has the rest, or null for none: its record of installed packages decides. */
  readonly base: string | null
  /** A folder for apt; what is in it already is used again. */
  readonly folder: string
  readonly onProgress?: (text: string) => void
}

/**
 * Downloads packages by name, or takes .deb files by path (with a slash) and downloads what they
 * need. Returns the paths of all .deb files, dependencies first, the same order every time. Throws SVS_PACKAGE_NOT_FOUND,
 * SVS_PACKAGES_UNREACHABLE.
 */
export async function fetchPackages(
  packages: readonly string[],
  options: FetchOptions,
): Promise<string[]> {
  const apt = prepare(options)
  const wanted = options.withDepends
    ? ['install', '--reinstall', '--download-only', '--no-install-recommends', ...packages]
    : ['download', ...packages]
  // The host's lists of packages spare a download; they may be absent, or too old.
  const first = existsSync(HOST_LISTS) ? await run(apt, wanted, HOST_LISTS) : null
  // apt counts "installed, and nowhere to be had" as success.
  if (first === null || first.status !== 0 || missing(apt, packages) !== undefined) {
    options.onProgress?.('fetching lists of packages')
    const lists = join(options.folder, 'state/lists')
    const updated = await run(apt, ['update'], lists)
    const second = await run(apt, wanted, lists)
    if (second.status !== 0) throw failureOf(second.said, updated.said)
    const absent = missing(apt, packages)
    // A name that several packages provide comes under the name of one of them.
    if (absent !== undefined && archived(apt).length === 0) {
      throw failureOf(`E: Unable to locate package ${absent}`, updated.said)
    }
  }
  return downloaded(apt, packages)
}

const HOST_LISTS = '/var/lib/apt/lists'

interface Apt {
  readonly options: FetchOptions
  readonly archives: string
  readonly status: string
}

function prepare(options: FetchOptions): Apt {
  const archives = join(options.folder, 'cache/archives')
  const status = join(options.folder, 'status')
  for (const path of ['state/lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(options.folder, path), { recursive: true })
  }
  const known = options.base === null ? null : join(options.base, 'var/lib/dpkg/status')
  if (known !== null && existsSync(known)) copyFileSync(known, status)
  else writeFileSync(status, '')
  // What an earlier call downloaded for other packages is no part of this one.
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb')) rmSync(join(archives, name))
  }
  return { options, archives, status }
}

interface Ended {
  readonly status: number
  readonly said: string
}

async function run(apt: Apt, words: readonly string[], lists: string): Promise<Ended> {
  const { folder, onProgress } = apt.options
  const settings = {
    'Dir::State': join(folder, 'state'),
    'Dir::State::lists': lists,
    'Dir::State::status': apt.status,
    'Dir::Cache': join(folder, 'cache'),
    'Dir::Cache::archives': apt.archives,
    // No lock of the host's is needed to read its lists, and nobody else uses this folder.
    'Debug::NoLocking': '1',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'APT::Get::Assume-Yes': 'true',
    'APT::Sandbox::User': '',
  }
  const child = spawn(
    findTool('apt-get'),
    [...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]), ...words],
    {
      cwd: apt.archives,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    },
  )
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => {
    if (said.length < 16_384) said += bytes.toString('latin1')
  })
  createInterface(child.stdout).on('line', (line) => {
    const fetched = /^Get:\d+ \S+ \S+ (.*)$/.exec(line)
    if (fetched !== null) onProgress?.(`fetching ${fetched[1]}`)
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status: status ?? 1, said }
}

function failureOf(said: string, whileUpdating: string): Failure {
  const unknown =
    /Unable to locate package (\S+)/.exec(said) ??
    /Package '?(\S+?)'? has no installation/.exec(said)
  // Without lists every package is unknown: then the network is the reason.
  const unreachable = /^[EW]: (Failed to fetch .*|Some index files.*|Unable to connect.*)$/m
  const why = unreachable.exec(whileUpdating) ?? unreachable.exec(said)
  if (unknown !== null && why === null) return new Failure('SVS_PACKAGE_NOT_FOUND', unknown[1]!)
  const first = said.split('\n').find((line) => line.startsWith('E: '))
  return new Failure('SVS_PACKAGES_UNREACHABLE', why?.[1] ?? first?.slice(3) ?? 'apt-get failed')
}

const archived = ({ archives }: Apt): string[] =>
  readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .sort()

const isOf = (file: string, name: string): boolean => file.startsWith(`${name}_`)

/** A package that was asked for by name and is not in the archives. */
function missing(apt: Apt, packages: readonly string[]): string | undefined {
  const files = archived(apt)
  return packages.find((name) => !name.includes('/') && !files.some((file) => isOf(file, name)))
}

// A package that was asked for wins over what came along with it, so it goes last; and a file
// that the user gave is taken as it is, also where apt has fetched the same package.
function downloaded(apt: Apt, packages: readonly string[]): string[] {
  const given = packages.filter((name) => name.includes('/'))
  const names = packages.filter((name) => !name.includes('/'))
  const replaced = given.map(packageIn)
  const files = archived(apt).filter((file) => !replaced.some((name) => isOf(file, name)))
  const asked = (file: string) => names.some((name) => isOf(file, name))
  return [
    ...[...files.filter((file) => !asked(file)), ...files.filter(asked)].map((file) =>
      join(apt.archives, file),
    ),
    ...given,
  ]
}

function packageIn(file: string): string {
  return execFileSync(findTool('dpkg-deb'), ['--field', file, 'Package'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}
