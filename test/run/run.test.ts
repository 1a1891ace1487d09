// Programs in a view: exit statuses, what they see, what they may. The view here is the plain system.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { programEnvironment } from '../../lib/run/environment.ts'
import { type RunRequest, runInView } from '../../lib/run/run.ts'

/** Runs the words as a shell script; what it prints is caught in a file outside. */
async function shell(
  t: Test,
  script: string,
  request: Partial<RunRequest> = {},
): Promise<{ status: number; printed: string }> {
  const folder = folderOf(t)
  const { binds = [], ...rest } = request
  const status = await runInView({
    view: '/',
    home: '/',
    command: ['sh', '-c', `exec >${folder}/out 2>&1; ${script}`],
    binds: [{ outside: folder, inside: folder }, ...binds],
    cwd: '/',
    ...rest,
  })
  return {
    status,
    printed: existsSync(`${folder}/out`) ? readFileSync(`${folder}/out`, 'utf8').trim() : '',
  }
}

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'svsfs-run-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('the exit status is that of the program', async (t) => {
  for (const status of [0, 1, 7, 126, 255]) {
    t.equal((await shell(t, `exit ${status}`)).status, status)
  }
})

t.test('a signal that ends the program is 128 and its number', async (t) => {
  t.equal((await shell(t, 'kill -KILL $$')).status, 137)
  t.equal((await shell(t, 'kill -TERM $$')).status, 143)
})

t.test('the program runs as the caller', async (t) => {
  const { printed } = await shell(t, 'id -u; id -g')
  t.same(printed.split('\n'), [String(userInfo().uid), String(userInfo().gid)])
})

t.test('the program sees its own processes, devices and an empty /tmp', async (t) => {
  const { printed } = await shell(
    t,
    "ls /tmp | grep -v '^sv'; stat -c %a /tmp /dev/shm; echo x >/dev/null && head -c1 /dev/zero | wc -c; touch /tmp/new /dev/shm/new; readlink /proc/self >/dev/null && ls -d /proc/[0-9]* | wc -l; ls /sys | wc -l",
  )
  const [tmp, shm, zero, processes, sys] = printed.split('\n')
  t.same([tmp, shm, zero], ['1777', '1777', '1'])
  t.ok(Number(processes) < 10, `${processes} processes`)
  t.ok(Number(sys) > 0)
  t.notOk(existsSync('/tmp/new'))
})

t.test('directories of the host are let in where they are asked for', async (t) => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'file'), 'given')
  const { printed, status } = await shell(
    t,
    'cat /tmp/inside/file; echo x > /tmp/inside/new; echo $?; echo y > /tmp/closed/new',
    {
      binds: [
        { outside: folder, inside: '/tmp/inside' },
        { outside: folder, inside: '/tmp/closed', readOnly: true },
      ],
    },
  )
  t.match(printed, /^given0\n.*Read-only file system/)
  t.not(status, 0)
  t.equal(readFileSync(join(folder, 'new'), 'utf8'), 'x\n')
})

t.test(
  'the working directory is kept where the program has it, and is HOME elsewhere',
  async (t) => {
    t.equal((await shell(t, 'pwd', { cwd: '/usr/bin' })).printed, '/usr/bin')
    t.equal((await shell(t, 'pwd', { cwd: '/usr/absent' })).printed, '/')
    t.equal((await shell(t, 'pwd', { cwd: tmpdir(), home: '/usr' })).printed, '/usr')
    const folder = folderOf(t)
    t.equal(
      (await shell(t, 'pwd', { cwd: folder, binds: [{ outside: folder, inside: folder }] }))
        .printed,
      folder,
    )
  },
)

t.test('a home is made in the view, for the caller', async (t) => {
  const view = folderOf(t)
  mkdirSync(join(view, 'usr'))
  // On a system with merged /usr these are links; elsewhere their folders are bound like /usr.
  const tops = ['bin', 'lib', 'lib64'].filter((name) => existsSync(`/${name}`))
  const bound = tops.filter((name) => !lstatSync(`/${name}`).isSymbolicLink())
  for (const name of tops) {
    if (bound.includes(name)) mkdirSync(join(view, name))
    else symlinkSync(readlinkSync(`/${name}`), join(view, name))
  }
  const request = { view, home: '/home/app', env: { GREETING: 'hello' } }
  const { printed } = await shell(t, 'echo $HOME $GREETING; touch ~/made; /bin/pwd', {
    ...request,
    cwd: '/nowhere',
    binds: ['usr', ...bound].map((name) => ({ outside: `/${name}`, inside: `/${name}` })),
  })
  t.equal(printed, '/home/app hello\n/home/app')
  t.ok(existsSync(join(view, 'home/app/made')), 'it lies in the view')
})

t.test('a program that is not there is named, and nothing runs', async (t) => {
  for (const program of [
    'no-such-program',
    '/usr/bin/no-such-program',
    './absent',
    '/usr/bin',
    '/etc/passwd',
  ]) {
    const running = runInView({ view: '/', home: '/', command: [program], cwd: '/' })
    await t.rejects(running, { code: 'SVS_PROGRAM_NOT_FOUND', exit: 3 }, program)
  }
})

t.test('input and output are the caller’s own', async (t) => {
  const child = runner(['cat'], ['pipe', 'pipe', 'inherit'])
  child.stdin!.end('through')
  let printed = ''
  child.stdout!.on('data', (bytes: Buffer) => (printed += bytes))
  const [status] = await once(child, 'close')
  t.equal(status, 0)
  t.equal(printed, 'through')
})

t.test('a signal to the command reaches the program, whose answer counts', async (t) => {
  const child = runner(
    ['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'],
    ['ignore', 'pipe', 'inherit'],
  )
  await once(child.stdout!, 'data')
  child.kill('SIGTERM')
  const [status] = await once(child, 'close')
  t.equal(status, 9)
})

t.test('Ctrl-C is the program’s to answer', async (t) => {
  const child = runner(
    ['sh', '-c', 'trap "exit 5" INT; echo ready; while :; do sleep 0.05; done'],
    ['ignore', 'pipe', 'inherit'],
    true,
  )
  await once(child.stdout!, 'data')
  // As a terminal does it: to the whole group at once.
  process.kill(-child.pid!, 'SIGINT')
  const [status] = await once(child, 'close')
  t.equal(status, 5)
})

t.test('nothing of the program is left when the command is killed', async (t) => {
  const folder = folderOf(t)
  const child = runner(
    ['sh', '-c', 'sleep 600 & echo ready; wait'],
    ['ignore', 'pipe', 'inherit'],
    false,
    folder,
  )
  await once(child.stdout!, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (let tries = 0; tries < 50 && marked(folder) > 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(marked(folder), 0)
})

t.test('a program in the background ends with the one in the foreground', async (t) => {
  const { status } = await shell(t, 'sleep 600 & exit 4')
  t.equal(status, 4)
})

t.test('variables of the caller’s own home and session stay outside', async (t) => {
  const env = programEnvironment({
    home: '/home/app',
    given: { LANG: 'C.UTF-8' },
    caller: {
      HOME: '/root',
      PATH: 'bin:/opt/bin',
      XDG_CACHE_HOME: '/root/.cache',
      TMPDIR: '/var/tmp/x',
      LANG: 'de_DE',
      TERM: 'xterm',
    },
  })
  t.same(env, {
    HOME: '/home/app',
    LANG: 'C.UTF-8',
    TERM: 'xterm',
    PATH: '/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  })
})

/** A process that runs the words by runInView, and ends with the program's status. */
function runner(
  words: readonly string[],
  stdio: ('pipe' | 'ignore' | 'inherit')[],
  detached = false,
  mark = '',
) {
  const run = join(dirname(fileURLToPath(import.meta.url)), '../../lib/run/run.js')
  const script = `import { runInView } from ${JSON.stringify(run)}
    process.exitCode = await runInView({ view: '/', home: '/', cwd: '/', command: ${JSON.stringify(words)} })`
  return spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio,
    detached,
    env: { ...process.env, SVT_RUN: mark },
  })
}

/** How many processes carry the mark in their environment. */
function marked(mark: string): number {
  const command = `grep -lsz "^SVT_RUN=${mark}$" /proc/[0-9]*/environ | wc -l`
  return Number(execFileSync('sh', ['-c', command], { encoding: 'utf8' }))
}
