// The command line as a whole: help, exit statuses, one shape of JSON, questions without a terminal.

import { spawnSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Failure } from '../../lib/base/failure.ts'
import { PROGRESS } from '../../lib/cli/answers/all.ts'
import { stateAt } from '../../lib/cli/at-time.ts'
import { groupOf, OTHERS } from '../../lib/cli/help-groups.ts'
import { makeProgram } from '../../lib/cli/program.ts'
import { Speed, speedWords } from '../../lib/cli/speed.ts'
import { causesOf, verbosity } from '../../lib/cli/verbose.ts'
import { errorWords } from '../../lib/daemon/errors.ts'
import { directory, throwAway } from '../daemon/place.ts'
import { PROGRAM, ready, readyAsk } from './run-cli.ts'

t.setTimeout(240_000)

// For those that name no store; who finds another one is told wrongly.
process.env.SVSFS_STORE = '/nowhere'

/** A command line with the store before it. */
const svsfs = (store: string, ...words: string[]) => ready('--store', store, ...words)
const ask = (store: string, ...words: string[]) => readyAsk('--store', store, ...words)

t.test(
  'help and version go to stdout and succeed; no command is a question of usage',
  async (t) => {
    const store = join(throwAway(t), 'store')
    for (const words of [['--help'], ['help', 'layer'], ['help', 'overlay'], ['mount', '-h']]) {
      const { status, out, err } = await svsfs(store, ...words)
      t.match({ status, err }, { status: 0, err: '' }, words.join(' '))
      t.match(out, /Usage: svsfs/)
    }
    t.match((await svsfs(store, '--version')).out, /^\d+\.\d+\.\d+\n$/)
    const bare = await svsfs(store)
    t.equal(bare.status, 2)
    t.match(bare.err, /\nLayers:\n/)
  },
)

t.test('wrong words end with status 2 and say what to do', async (t) => {
  const store = join(throwAway(t), 'store')
  for (const words of [
    ['nonsense'],
    ['layer', 'nonsense'],
    ['layer', 'create'],
    ['layer', 'create', 'a'],
    ['layer', 'create', 'a', '--empty', '--recipe', 'git'],
    ['mount'],
    ['mount', '/mnt', '--nonsense'],
    ['mount', '/mnt', '--transport', 'pigeon'],
    ['mount', '/mnt', '--base-timeout', 'soon'],
    ['umount'],
    ['umount', '/mnt', '--all'],
    ['restore'],
    ['priority', 'a', 'high'],
    ['help', 'nonsense'],
    [
      'mount',
      '/mnt',
      '--frozen',
      '3fa2c1',
      '--base',
      '/',
      '--settle-rate',
      '1',
      '--no-allow-other',
    ],
    ['mount', '/mnt', '--state', 'a@-1', '--writable', '--foreground'],
  ]) {
    const { status, out, err } = await svsfs(store, ...words)
    t.equal(status, 2, words.join(' '))
    t.equal(out, '')
    t.match(err, /^svsfs: .*\[SVS_[A-Z_]+\]\n$/s, words.join(' '))
    if (words.includes('--state')) t.match(err, /without --writable, --foreground \(/)
    if (words.includes('--frozen')) t.match(err, /without --base, --settle-rate \(/)
  }
})

t.test('--json has one shape, for answers and for failures', async (t) => {
  const store = join(throwAway(t), 'store')
  t.match(await ask(store, 'layer', 'list'), {
    ok: false,
    error: { code: 'SVS_STORE_NOT_FOUND', exit: 6 },
  })
  t.match(await ask(store, 'nonsense'), { ok: false, error: { code: 'SVS_USAGE', exit: 2 } })
  t.match(await ask(store, 'layer', 'create', 'a', '--empty'), { ok: true, data: { name: 'a' } })
  t.match(await ask(store, 'layer', 'list'), { ok: true, data: [{ name: 'a' }] })
  t.match(await ask(store, 'status'), { ok: true, data: { daemon: null, mounts: [] } })
  t.match(await ask(store, 'help', 'errors'), { ok: true, data: [{ code: /^SVS_/ }] })
  t.match(await ask(store, 'layer', 'show', 'b'), {
    ok: false,
    error: { code: 'SVS_LAYER_NOT_FOUND' },
  })
  const { status, out } = await svsfs(store, 'layer', 'show', 'b', '--json')
  t.equal(status, 3)
  t.equal(out.trim().split('\n').length, 1)
})

t.test('what was probably meant is said, of commands, options, layers and labels', async (t) => {
  const store = join(throwAway(t), 'store')
  for (const [words, meant] of [
    [['snaphot'], 'snapshot'],
    [['umount', '--al'], '--all'],
    [['help', 'restor'], 'restore'],
  ] as const)
    t.match(await ask(store, ...words), {
      error: { code: 'SVS_USAGE', hint: `did you mean ${meant}?`, exit: 2 },
    })
  await svsfs(store, 'layer', 'create', 'firefox', '--empty')
  t.match(
    (await svsfs(store, 'snapshot', 'Firefx')).err,
    /did you mean firefox\? \[SVS_LAYER_NOT_FOUND\]/,
  )
  await svsfs(store, 'snapshot', 'firefox', '--label', 'clean')
  t.match(await ask(store, 'restore', 'firefox@claen'), { error: { hint: 'did you mean clean?' } })
  t.match(await ask(store, 'restore', 'firefox', '--at', 'now', '--dry-run'), {
    ok: true,
    data: { did: 'planned' },
  })
  t.match(await ask(store, 'diff', 'firefox', '--at', 'now'), {
    ok: true,
    data: { differences: [] },
  })
  const old = ['mount', '/no/such', '--state', 'firefox', '--at', 'yesterday']
  t.match((await svsfs(store, ...old, '-q')).err, /cannot mount at|SVS_STATE_NOT_FOUND/)
  t.match(await ask(store, 'restore', 'firefox', '--at', 'yesterday'), {
    error: { code: 'SVS_STATE_NOT_FOUND' },
  })
})

t.test('a time is the whole text, and lies in the past', async (t) => {
  const now = new Date(2026, 10, 22, 12)
  const at = async (text: string) => {
    const name = await stateAt(text, now)
    return (now.getTime() - Number(name.slice('at:'.length))) / 60_000
  }
  t.equal(await at('10 min ago'), 10)
  t.equal(await at('yesterday'), 24 * 60)
  t.equal(await at('2026-11-22T11:15'), 45)
  t.equal(await at('20 Nov 12:00'), 48 * 60)
  for (const text of ['', 'soon', 'the one of 10 min ago', 'tomorrow', 'monday to tuesday'])
    await t.rejects(stateAt(text, now), { code: 'SVS_USAGE' }, text)
})

t.test(
  'help stands in groups, -h is short, and --help has examples and exit statuses',
  async (t) => {
    const whole = (await ready('--help')).out
    const short = (await ready('-h')).out
    for (const heading of ['Layers:', 'States, and the way back:', 'Upkeep:'])
      t.match(short, `\n${heading}\n`)
    t.ok(short.length < whole.length / 1.2, 'short is shorter')
    const { commands } = await makeProgram(() => false)
    const lost = commands.filter((command) => groupOf(command.name()) === OTHERS)
    t.same(
      lost.map((command) => command.name()),
      ['completion', 'help'],
    )
    const all = (await ready('undo', '--help')).out
    t.match(all, /Examples:\n {2}svsfs undo.*Exit status:\n {2}0 done, 1 failed/s)
    t.match(all, '--quiet')
    t.notMatch((await ready('undo', '-h')).out, /Examples|--quiet/)
  },
)

t.test(
  'the next command is said, not with -q; -v tells causes and -vv places, of failures',
  async (t) => {
    const store = join(throwAway(t), 'store')
    t.match(await svsfs(store, '-q', 'layer', 'create', 'a', '--empty'), {
      err: '',
      out: /created/,
    })
    for (const [words, next] of [
      [['snapshot', 'a', '-m', 'first', '--allow-empty'], /svsfs restore a@\w+ goes back/],
      [['restore', 'a', 'latest', '--dry-run'], /svsfs undo/],
      [['activate', 'a'], /svsfs mount DIR/],
      [['deactivate', 'a'], /svsfs activate a/],
      [['forget', 'a', '--keep-tag', 'none'], /svsfs gc/],
      [['layer', 'delete', 'a', '--yes'], /svsfs undo a/],
    ] as const)
      t.match(await svsfs(store, ...words), { status: 0, err: next }, words.join(' '))
    t.match(await svsfs(store, '-q', 'undo', 'a'), { status: 0, err: /^$/ })
    const more = (await svsfs(store, 'restore', 'a@none', '-vv')).err
    t.match(more, /\[SVS_STATE_NOT_FOUND\]\n {2}at .*:\d+/)
    const failure = new Failure('SVS_FORBIDDEN', 'it', { cause: new Error('EPERM: it') })
    t.same(causesOf(failure, verbosity(['status', '-v', '--', '-v'])), ['because: EPERM: it'])
    t.same(causesOf(failure, verbosity(['run', 'a', '--', 'ls', '-v'])), [])
  },
)

t.test('without a terminal nothing is asked, and the command says what to pass', async (t) => {
  const store = join(throwAway(t), 'store')
  await svsfs(store, 'layer', 'create', 'a', '--empty')
  const deletion = await svsfs(store, 'layer', 'delete', 'a')
  t.equal(deletion.status, 2)
  t.match(deletion.err, /pass --yes instead \[SVS_NO_TERMINAL\]/)
  await svsfs(store, 'snapshot', 'a', '--label', 'one')
  for (const words of [
    ['restore', 'a', '--pick'],
    ['restore', '--pick'],
    ['reset', 'a', '--no-snapshot'],
    ['state', 'delete', 'a@one'],
    ['layer', 'delete', 'a', '--with-states'],
  ])
    t.match(await svsfs(store, ...words), { status: 2, err: /SVS_NO_TERMINAL/ }, words.join(' '))
  t.equal((await svsfs(store, 'layer', 'delete', 'a', '--with-states', '--yes')).status, 0)
})

t.test('a restore without a state lists the last few', async (t) => {
  const store = join(throwAway(t), 'store')
  await svsfs(store, 'layer', 'create', 'a', '--empty')
  t.match(await svsfs(store, 'restore', 'a'), { status: 3, err: /SVS_STATE_NONE/ })
  const { data } = await ask(store, 'snapshot', 'a', '-m', 'the first one')
  const { id } = data as { id: string }
  const refused = await svsfs(store, 'restore', 'a')
  t.equal(refused.status, 2)
  t.match(refused.err, new RegExp(`${id}  just now  the first one`))
  t.equal((await svsfs(store, 'restore', 'a', id.slice(0, 4))).status, 0)
  t.equal((await svsfs(store, 'restore', 'a', 'latest')).status, 0)
  t.equal((await svsfs(store, 'restore', 'a@latest')).status, 0)
  t.match(await svsfs(store, 'restore', 'a@latest', 'latest'), { status: 2, err: /SVS_USAGE/ })
  t.match((await svsfs(store, 'restore', 'a', '-99')).err, /SVS_STATE_NOT_FOUND/)
})

t.test('names are shown as they are, and nothing in them steers the terminal', async (t) => {
  const store = join(throwAway(t), 'store')
  t.equal((await svsfs(store, 'layer', 'create', 'grün 日本', '--empty')).status, 0)
  t.match((await svsfs(store, 'layer', 'list')).out, /grün 日本/)
  t.match(await svsfs(store, 'layer', 'create', 'a\x1b[31m', '--empty'), {
    status: 10,
    err: /SVS_NAME_INVALID/,
  })
  const { err } = await svsfs(store, 'layer', 'create', 'a\x1b[31m', '--empty')
  t.notMatch(err, /\x1b/)
})

t.test('a reader that goes away in the middle is no failure', async (t) => {
  const store = join(throwAway(t), 'store')
  const line = `'${process.execPath}' '${PROGRAM}' help errors --store '${store}' | head -1`
  const ran = spawnSync('sh', ['-c', line], { encoding: 'utf8' })
  t.equal(ran.stderr, '')
})

t.test('called as mount.fuse.svsfs, it is the drop-in mount', async (t) => {
  const dir = throwAway(t)
  const helper = join(dir, 'mount.fuse.svsfs')
  symlinkSync(PROGRAM, helper)
  const ran = (...words: string[]) =>
    spawnSync(process.execPath, [helper, ...words], { encoding: 'utf8' })
  t.match(ran('--help').stdout, /^Usage: svsfs overlay/)
  const mountPoint = directory(dir, 'm')
  t.match(ran('src', mountPoint, '-o', 'lowerdir=/no/such'), { status: 3, stderr: /no\/such/ })
  t.match(ran('src', mountPoint, '-o', 'rw,surprise'), { status: 2, stderr: /surprise/ })
  t.match(ran('src', mountPoint), { status: 2, stderr: /lowerdir/ })
  writeFileSync(join(dir, 'file'), '')
  t.match(ran(join(dir, 'file'), '-o', `lowerdir=${dir}`), { status: 3 })
})

t.test(
  'the store and --json may stand before the command, before its second word, or behind',
  async (t) => {
    const dir = throwAway(t)
    const store = join(dir, 'store')
    const other = join(dir, 'other')
    t.equal((await ready('--store', store, 'layer', 'create', 'a', '--empty')).status, 0)
    t.match((await ready('layer', '--store', store, 'list')).out, /\na /)
    t.match((await ready('layer', 'show', '--store', store, 'a')).out, /name: +a\n/)
    t.match((await ready('layer', 'list', '--store', store)).out, /\na /)
    t.match((await ready(`--store=${store}`, '--json', 'layer', 'list')).out, /^\{"ok":true/)
    t.match((await ready('--store', store, 'status', '--store', other)).err, /other/)
    t.match((await ready('--store', store, 'overlay', '--help')).out, /^Usage: svsfs overlay/)
    t.match((await ready('--json', 'help', 'errors')).out, /^\{"ok":true/)
  },
)

t.test('the directory of a mount may follow the names of layers', async (t) => {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  await svsfs(store, 'layer', 'create', 'a', '--empty')
  for (const words of [
    ['--layer', 'none', '/no/such', '--layer', 'a'],
    ['--layer', 'none', 'a', '/no/such'],
  ])
    t.match(await svsfs(store, 'mount', ...words), { status: 3, err: /cannot mount at \/no\/such/ })
  t.match(await svsfs(store, 'mount', '--layer', 'a'), { status: 2, err: /needs a directory/ })
})

t.test('a wrong number is told in plain words', async (t) => {
  const store = join(throwAway(t), 'store')
  const create = ['layer', 'create', 'a b', '--empty']
  t.match(
    (await svsfs(store, ...create, '--priority', '1.5')).err,
    /--priority must be a whole number/,
  )
  t.match((await svsfs(store, 'mount', '/mnt', '--base-timeout', '-3')).err, /must be 0 or more/)
  t.match((await svsfs(store, ...create)).err, /svsfs activate 'a b' shows it/)
  t.match(await svsfs(store, 'layer', 'create', '', '--empty'), {
    status: 10,
    err: /SVS_NAME_INVALID/,
  })
})

t.test('a mount cannot cover its own store, or lie in it', async (t) => {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  await svsfs(store, 'layer', 'create', 'a', '--empty')
  for (const at of [dir, join(store, 'run')])
    t.match(await svsfs(store, 'mount', at), { status: 3, err: /SVS_MOUNT_POINT_INVALID/ }, at)
})

t.test('a state is made by whoever runs nicer than its threads would', async (t) => {
  const store = join(throwAway(t), 'store')
  t.equal((await svsfs(store, 'layer', 'create', 'a', '--empty')).status, 0)
  const words = ['-n', '12', process.execPath, PROGRAM, 'snapshot', 'a', '-q']
  const env = { ...process.env, SVSFS_STORE: store }
  const { status, stderr } = spawnSync('nice', words, { env, encoding: 'utf8' })
  t.match({ status, stderr }, { status: 0, stderr: '' })
})

t.test('what the kernel refuses is told with the file, and what to do', async (t) => {
  const dir = throwAway(t)
  const failed = (code: string, call: string) => {
    const words = {
      EACCES: 'permission denied',
      ENOSPC: 'no space left on device',
      ENOENT: 'no such file or directory',
    }
    const path = join(dir, 'x')
    const message = `${code}: ${words[code as keyof typeof words]}, ${call} '${path}'`
    return errorWords(Object.assign(new Error(message), { code, syscall: call, path }))
  }
  const told = (['EACCES', 'ENOSPC', 'ENOENT'] as const).map((code) => failed(code, 'open'))
  t.match(told, [
    { code: 'SVS_FORBIDDEN', exit: 9, hint: /run the command as/ },
    { code: 'SVS_DISK_FULL', exit: 1, hint: /free some space/ },
    { code: 'SVS_PATH_NOT_FOUND', exit: 3 },
  ])
  for (const { message } of told) t.match(message, join(dir, 'x'))
  t.match(told[0]!.message, /x: permission denied \(open, EACCES\)/)
  // The same, as a command meets it.
  writeFileSync(join(dir, 'file'), '')
  t.match(await svsfs(join(dir, 'file', 'store'), 'layer', 'create', 'a', '--empty'), {
    status: /[1-9]/,
    err: /^svsfs: .*file.*\[SVS_[A-Z_]+\]\n$/,
  })
  t.match(await svsfs(join(dir, 'store'), 'import', join(dir, 'none.vpa')), {
    status: 3,
    err: /none\.vpa/,
  })
})

t.test('colours come where they are asked for, and never by themselves into a pipe', async (t) => {
  const store = join(throwAway(t), 'store')
  t.notMatch((await svsfs(store, 'layer', 'create', 'a', '--empty')).out, '\x1b')
  t.notMatch((await svsfs(store, 'layer', 'list')).out, '\x1b')
  t.match((await svsfs(store, 'layer', 'list', '--color', 'always')).out, '\x1b[1mLAYER')
  t.match(await svsfs(store, 'nonsense', '--color', 'always'), { status: 2 })
  t.match(await svsfs(store, 'layer', 'list', '--color', 'sometimes'), { status: 2, err: /auto/ })
})

t.test('progress says how fast it goes, and how long it takes where that is known', async (t) => {
  const speed = new Speed()
  t.equal(speedWords(speed.of('looked at 10 of 100 states', 0)), 'looked at 10 of 100 states')
  t.equal(
    speedWords(speed.of('looked at 30 of 100 states', 2000)),
    'looked at 30 of 100 states, 10/s, 7 s left',
  )
  t.equal(speedWords(speed.of('read 1 MiB', 3000)), 'read 1 MiB')
  t.equal(speedWords(speed.of('read 5 MiB', 5000)), 'read 5 MiB, 2.0 MiB/s')
  t.same(speed.of('reading packages').rate, null)
  const store = join(throwAway(t), 'store')
  await svsfs(store, 'layer', 'create', 'a', '--empty')
  const lines = (await svsfs(store, 'du', '--json', '--progress')).out.trim().split('\n')
  t.ok(lines.length > 1)
  for (const line of lines.slice(0, -1)) t.ok(PROGRESS.safeParse(JSON.parse(line)).success, line)
  t.match(lines.at(-1), /^\{"ok":true/)
})

t.test(
  'help that is longer than the terminal goes through the pager, which may be none',
  async (t) => {
    const pager = { ...process.env, SVSFS_PAGER: 'sed s/^/paged:/', TERM: 'xterm' }
    const shown = (line: string, env: NodeJS.ProcessEnv) =>
      spawnSync(
        'script',
        ['-qec', `stty rows 20; '${process.execPath}' '${PROGRAM}' ${line}`, '/dev/null'],
        {
          env,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      ).stdout
    t.match(shown('--help', pager), /^paged:Usage: svsfs/)
    t.notMatch(shown('--help --no-pager', pager), 'paged:')
    t.notMatch(shown('--version', pager), 'paged:')
    t.match(shown('--help', { ...pager, SVSFS_PAGER: 'no-such-pager' }), /^Usage: svsfs/)
  },
)
