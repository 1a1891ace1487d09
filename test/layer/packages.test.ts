// Debian packages from a repository of the test's own: apt works for anybody, without a network.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchPackages } from '../../lib/layer/packages.ts'
import { folderOf } from './ground.ts'

/** A repository with `app` (needs `lib`, which needs `core`), read by apt through its own settings. */
function repositoryOf(t: Test): { folder: string; repository: string } {
  const folder = folderOf(t)
  chmodSync(folder, 0o755)
  const repository = join(folder, 'repository')
  mkdirSync(repository)
  const entries = [
    packageIn(repository, 'svt-app', 'svt-lib (>= 1)'),
    packageIn(repository, 'svt-lib', 'svt-core'),
    packageIn(repository, 'svt-core', null),
  ]
  writeFileSync(join(repository, 'Packages'), entries.join('\n'))
  const sources = join(folder, 'sources.list')
  writeFileSync(sources, `deb [trusted=yes] copy:${repository} ./\n`)
  const settings = join(folder, 'apt.conf')
  writeFileSync(settings, `Dir::Etc::sourcelist "${sources}";\nDir::Etc::sourceparts "/nowhere";\n`)
  const before = process.env.APT_CONFIG
  process.env.APT_CONFIG = settings
  t.teardown(() => {
    if (before === undefined) delete process.env.APT_CONFIG
    else process.env.APT_CONFIG = before
  })
  return { folder, repository }
}

function packageIn(repository: string, name: string, needs: string | null): string {
  const at = join(repository, name)
  mkdirSync(join(at, 'DEBIAN'), { recursive: true })
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\n${needs === null ? '' : `Depends: ${needs}\n`}Description: test\n`
  writeFileSync(join(at, 'DEBIAN/control'), control)
  writeFileSync(join(at, `${name}.txt`), name)
  chmodSync(join(at, 'DEBIAN'), 0o755)
  const file = join(repository, `${name}_1_all.deb`)
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', at, file], { stdio: 'ignore' })
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex')
  return `${control}Filename: ./${name}_1_all.deb\nSize: ${lstatSync(file).size}\nSHA256: ${sum}\n`
}

const names = (paths: readonly string[]): string[] => paths.map((path) => basename(path))

t.test('a package comes alone, or with all it needs, dependencies first', async (t) => {
  const { folder } = repositoryOf(t)
  const options = { base: null, folder: join(folder, 'apt') }
  t.same(names(await fetchPackages(['svt-app'], { ...options, withDepends: false })), [
    'svt-app_1_all.deb',
  ])
  t.same(names(await fetchPackages(['svt-app'], { ...options, withDepends: true })), [
    'svt-core_1_all.deb',
    'svt-lib_1_all.deb',
    'svt-app_1_all.deb',
  ])
})

t.test('what the base has already does not come along', async (t) => {
  const { folder } = repositoryOf(t)
  const base = join(folder, 'base')
  mkdirSync(join(base, 'var/lib/dpkg'), { recursive: true })
  writeFileSync(
    join(base, 'var/lib/dpkg/status'),
    'Package: svt-core\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n\nPackage: svt-app\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDepends: svt-core\nDescription: test\n',
  )
  const said: string[] = []
  const found = await fetchPackages(['svt-app'], {
    base,
    folder: join(folder, 'apt'),
    withDepends: true,
    onProgress: (text) => said.push(text),
  })
  t.same(
    names(found),
    ['svt-lib_1_all.deb', 'svt-app_1_all.deb'],
    'the package that was asked for comes in any case',
  )
  t.match(said.join('\n'), /fetching .*svt-app/)
})

t.test('a .deb file brings what it needs', async (t) => {
  const { folder, repository } = repositoryOf(t)
  const file = join(repository, 'svt-app_1_all.deb')
  const found = await fetchPackages([file], {
    base: null,
    folder: join(folder, 'apt'),
    withDepends: true,
  })
  t.same(found.at(-1), file)
  t.same(names(found), ['svt-core_1_all.deb', 'svt-lib_1_all.deb', 'svt-app_1_all.deb'])
})

t.test('a package that nobody has is named', async (t) => {
  const { folder } = repositoryOf(t)
  const options = { base: null, folder: join(folder, 'apt'), withDepends: true }
  await t.rejects(fetchPackages(['svt-nowhere'], options), {
    code: 'SVS_PACKAGE_NOT_FOUND',
    exit: 3,
    message: /svt-nowhere/,
  })
})

t.test('a repository that cannot be reached is the reason given', async (t) => {
  const { folder } = repositoryOf(t)
  writeFileSync(join(folder, 'sources.list'), `deb [trusted=yes] copy:${folder}/absent ./\n`)
  const options = { base: null, folder: join(folder, 'apt'), withDepends: true }
  await t.rejects(fetchPackages(['svt-app'], options), {
    code: 'SVS_PACKAGES_UNREACHABLE',
    message: /absent/,
  })
})

t.test('a package that is not what the repository promised is refused', async (t) => {
  const { folder, repository } = repositoryOf(t)
  const file = join(repository, 'svt-app_1_all.deb')
  const bytes = readFileSync(file)
  bytes[bytes.length - 5]! ^= 1
  writeFileSync(file, bytes)
  const options = { base: null, folder: join(folder, 'apt'), withDepends: true }
  await t.rejects(fetchPackages(['svt-app'], options), {
    code: 'SVS_PACKAGES_UNREACHABLE',
    message: /Hash Sum mismatch|Failed to fetch/,
  })
})

t.test(
  'what was downloaded before is not downloaded again, nor taken for more than it is',
  async (t) => {
    const { folder, repository } = repositoryOf(t)
    const options = { base: null, folder: join(folder, 'apt'), withDepends: true }
    const first = await fetchPackages(['svt-app'], options)
    const before = lstatSync(first[0]!).ino
    execFileSync('find', [repository, '-name', '*.deb', '-delete'])
    t.same(await fetchPackages(['svt-app'], options), first)
    t.equal(lstatSync(first[0]!).ino, before)
    t.same(names(await fetchPackages(['svt-core'], options)), ['svt-core_1_all.deb'])
  },
)
