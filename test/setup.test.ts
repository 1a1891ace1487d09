// The set-up script before anything is there: what it asks of an ordinary user.
// For users: as root it installs what is missing.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A project with nothing in it but the script, on a machine where only `programs` are installed. */
function bareProject(t: Tap, programs: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'setup-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  mkdirSync(join(dir, 'bin'))
  mkdirSync(join(dir, 'test'))
  copyFileSync(join(project, 'test', 'setup.sh'), join(dir, 'test', 'setup.sh'))
  const usual = ['sh', 'cat', 'dirname', 'grep', 'id', 'ls', 'sed']
  for (const name of usual) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim()
    symlinkSync(found, join(dir, 'bin', name))
  }
  symlinkSync(process.execPath, join(dir, 'bin', 'node'))
  // What would download or install says that it was called.
  for (const name of ['npm', 'apt-get', 'sudo', ...programs]) {
    writeFileSync(join(dir, 'bin', name), '#!/bin/sh\necho "called: $0 $*"\nexit 1\n')
    chmodSync(join(dir, 'bin', name), 0o755)
  }
  return dir
}

type Tap = { teardown(fn: () => void): void }

const setUp = (dir: string, what: string) =>
  spawnSync('/bin/sh', [join(dir, 'test', 'setup.sh'), what], {
    encoding: 'utf8',
    env: { PATH: join(dir, 'bin') },
  })

t.test('a user without bubblewrap gets one line to run, and nothing is downloaded', async (t) => {
  const dir = bareProject(t, ['fusermount3'])
  const done = setUp(dir, 'test')
  t.equal(done.status, 8)
  const lines = done.stderr.trim().split('\n')
  t.equal(lines.length, 1)
  t.match(lines[0], /apt-get install -y --no-install-recommends bubblewrap/)
  t.notMatch(lines[0], /fuse3|sudo/)
  t.notMatch(done.stdout, /called/)
  t.notOk(existsSync(join(dir, 'node_modules')))
})

t.test('a user without fuse3 and bubblewrap gets both in that one line', async (t) => {
  const done = setUp(bareProject(t, []), 'demo')
  t.equal(done.status, 8)
  t.match(done.stderr, /--no-install-recommends fuse3 bubblewrap\b/)
  t.notMatch(done.stdout, /called/)
})

t.test('packages that only tests want do not stop a user', async (t) => {
  const done = setUp(bareProject(t, ['fusermount3', 'bwrap']), 'test')
  t.match(done.stdout, /what needs it is left out: git/)
  t.match(done.stdout, /called: .*npm ci/, 'the next thing is npm ci')
  t.equal(done.status, 8)
})

t.test('the script is one that any POSIX shell reads', async (t) => {
  t.equal(spawnSync('sh', ['-n', join(project, 'test', 'setup.sh')]).status, 0)
})
