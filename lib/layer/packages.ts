// Debian packages without being root, and without touching the host: apt works in a folder of its
// own, with the host's sources and keys, and only downloads.
//
//   folder/state    lists of packages        folder/cache/archives   all that was ever downloaded
//   folder/status   what the base has: a copy of its var/lib/dpkg/status, or nothing
//   folder/none     stays empty: for apt to say which files a choice of packages means
//
// Rule: apt verifies what it fetches; nothing is installed, and no script of a package is run.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Failure } from '../base/failure.ts'
import { findTool } from '../host/tool.ts'
import { startChild } from './children.ts'

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
 * need. Returns the paths of all .deb files, the same order every time: what came along first,
 * since what was asked for wins over it. Throws SVS_PACKAGE_NOT_FOUND, SVS_PACKAGES_UNREACHABLE.
 */
export async function fetchPackages(
  packages: readonly string[],
  options: FetchOptions,
): Promise<string[]> {
  const apt = prepare(options)
  if (!options.withDepends && packages.every(isFile)) return [...packages]
  // The host's lists of packages spare a download; they may be absent, or too old.
  const early = existsSync(HOST_LISTS) ? await fetchBy(apt, packages, HOST_LISTS) : null
  if (early !== null && early.kind === 'fetched') return early.files
  options.onProgress?.('fetching lists of packages')
  const lists = join(options.folder, 'state/lists')
  const updated = await run(apt, ['update'], lists)
  const late = await fetchBy(apt, packages, lists)
  if (late.kind === 'fetched') return late.files
  throw failureOf(late.said, updated.said)
}

const HOST_LISTS = '/var/lib/apt/lists'

const isFile = (name: string): boolean => name.includes('/')

interface Apt {
  readonly options: FetchOptions
  readonly archives: string
  readonly status: string
}

function prepare(options: FetchOptions): Apt {
  const archives = join(options.folder, 'cache/archives')
  const status = join(options.folder, 'status')
  for (const path of ['state/lists/partial', 'cache/archives/partial', 'none/partial']) {
    mkdirSync(join(options.folder, path), { recursive: true })
  }
  const known = options.base === null ? null : join(options.base, 'var/lib/dpkg/status')
  if (known !== null && existsSync(known)) copyFileSync(known, status)
  else writeFileSync(status, '')
  return { options, archives, status }
}

type Fetched =
  | { readonly kind: 'fetched'; readonly files: string[] }
  /** With what apt said of it. */
  | { readonly kind: 'failed'; readonly said: string }

// Asks which files the packages mean, downloads those that are not there yet, and looks whether
// all are: apt counts "installed, and nowhere to be had" as success.
async function fetchBy(apt: Apt, packages: readonly string[], lists: string): Promise<Fetched> {
  const given = packages.filter(isFile)
  const names = packages.filter((name) => !isFile(name))
  const words = apt.options.withDepends
    ? ['install', '--reinstall', '--no-install-recommends', ...packages]
    : ['download', ...names]
  const plan = await run(apt, ['--print-uris', ...words], lists, join(apt.options.folder, 'none'))
  const wanted = filesIn(plan.printed, given.map(packageIn))
  const lost = names.find((name) => !wanted.some((file) => isOf(file, name)))
  if (plan.status !== 0) return { kind: 'failed', said: plan.said }
  // A name that several packages provide comes under the name of one of them.
  if (lost !== undefined && wanted.length === 0) {
    return { kind: 'failed', said: `E: Unable to locate package ${lost}` }
  }
  const absent = () => wanted.find((file) => !existsSync(join(apt.archives, file)))
  if (absent() !== undefined) {
    const flag = apt.options.withDepends ? ['--download-only'] : []
    const done = await run(apt, [...flag, ...words], lists)
    const still = absent()
    if (still !== undefined) {
      return { kind: 'failed', said: `${done.said}\nE: Failed to fetch ${still}` }
    }
  }
  const asked = (file: string) => names.some((name) => isOf(file, name))
  const sorted = [...wanted.filter((file) => !asked(file)), ...wanted.filter(asked)]
  return { kind: 'fetched', files: [...sorted.map((file) => join(apt.archives, file)), ...given] }
}

const isOf = (file: string, name: string): boolean => file.startsWith(`${name}_`)

// Lines of --print-uris: 'URI' name size digest. What the user gave as a file stays that file.
function filesIn(printed: string, given: readonly string[]): string[] {
  const files = printed.matchAll(/^'[^']*' ([^ /]+\.deb) \d+/gm)
  return [...new Set([...files].map((match) => match[1]!))]
    .filter((file) => !given.some((name) => isOf(file, name)))
    .sort()
}

interface Ended {
  readonly status: number
  readonly printed: string
  readonly said: string
}

async function run(
  apt: Apt,
  words: readonly string[],
  lists: string,
  archives = apt.archives,
): Promise<Ended> {
  const { folder, onProgress } = apt.options
  const settings = {
    'Dir::State': join(folder, 'state'),
    'Dir::State::lists': lists,
    'Dir::State::status': apt.status,
    'Dir::Cache': join(folder, 'cache'),
    'Dir::Cache::archives': archives,
    // No lock of the host's is needed to read its lists, and nobody else uses this folder.
    'Debug::NoLocking': '1',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'APT::Get::Assume-Yes': 'true',
    'APT::Sandbox::User': '',
  }
  const child = startChild(
    findTool('apt-get'),
    [...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]), ...words],
    {
      cwd: archives,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    },
  )
  let said = ''
  let printed = ''
  child.stderr!.on('data', (bytes: Buffer) => {
    if (said.length < 16_384) said += bytes.toString('latin1')
  })
  createInterface(child.stdout!).on('line', (line) => {
    if (line.startsWith("'")) printed += `${line}\n`
    const fetched = /^Get:\d+ \S+ \S+ (.*)$/.exec(line)
    if (fetched !== null) onProgress?.(`fetching ${fetched[1]}`)
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status: status ?? 1, printed, said }
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

function packageIn(file: string): string {
  return execFileSync(findTool('dpkg-deb'), ['--field', file, 'Package'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}
