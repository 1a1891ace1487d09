// svsfs enable and disable: units that systemd takes as they are meant, and the daemon as a service.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import t from 'tap'
import { commandWord, escapedPath } from '../../lib/cli/unit-name.ts'
import { daemonUnit, mountUnit } from '../../lib/cli/units.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, PROGRAM, svsfs } from './run-cli.ts'

const PATHS = [
  '/',
  '/mnt',
  '/mnt/',
  '/a//b',
  '/.hidden/.x',
  '/my app',
  '/a-b/c',
  '/ü/€',
  '/x\\y"$%:_',
]

const without = (tool: string): { skip: string | false } => {
  const { error } = spawnSync(tool, ['--version'], { stdio: 'ignore' })
  return { skip: error === undefined ? false : 'systemd is not installed' }
}

t.test('units are named as systemd-escape names them', without('systemd-escape'), async (t) => {
  const ran = spawnSync('systemd-escape', ['--path', ...PATHS], { encoding: 'utf8' })
  t.same(PATHS.map(escapedPath), ran.stdout.trim().split(' '))
})

t.test('systemd finds nothing wrong with the units', without('systemd-analyze'), async (t) => {
  const directory = throwAway(t)
  const odd = 'a b\'"\\$HOME %f\tü'
  for (const manager of ['system', 'user'] as const) {
    const place = join(directory, manager)
    mkdirSync(place)
    const program = [process.execPath, PROGRAM]
    const wish = { manager, mountPoint: `/mnt/${odd}`, store: `/srv/${odd}`, base: '/', program }
    const units = [mountUnit({ ...wish, options: ['--layer', odd] }), daemonUnit(wish)]
    for (const { name, text } of units) writeFileSync(join(place, name), text)
    const verify = ['verify', '--man=no', `--${manager}`, join(place, units[0]!.name)]
    const ran = spawnSync('systemd-analyze', verify, {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning', XDG_RUNTIME_DIR: directory },
    })
    const said = ran.stderr.split('\n').filter((line) => line.includes('svsfs'))
    t.same(said, [], `${manager}: ${ran.stderr}`)
    t.equal(ran.status, 0, ran.stderr)
  }
  t.equal(commandWord('/usr/bin/a-b'), '/usr/bin/a-b')
  t.equal(commandWord('a $b "%c"'), '"a $$b \\"%%c\\""')
})

t.test(
  'enable writes the units of a system that does not run, disable takes them away',
  without('systemctl'),
  async (t) => {
    const root = throwAway(t)
    const store = join(root, 'store')
    const units = join(root, 'etc/systemd/system')
    const done = ask(store, 'enable', '/mnt/app', '--base', '/', '--layer', 'a', '--root', root)
    t.match(done, { ok: true, data: { unit: 'svsfs-mnt-app.service', written: true, told: false } })
    t.match(
      readFileSync(join(units, 'svsfs-mnt-app.service'), 'utf8'),
      / mount \/mnt\/app --store .* --base \/ --layer a\n/,
    )
    t.ok(readdirSync(join(units, 'multi-user.target.wants')).includes('svsfs-mnt-app.service'))

    t.equal(svsfs(store, 'enable', '/mnt/b', '--root', root).status, 0)
    t.equal(svsfs(store, 'disable', '/mnt/app', '--root', root).status, 0)
    t.same(
      readdirSync(units)
        .filter((name) => name.endsWith('.service'))
        .sort(),
      ['svsfs-daemon@.service', 'svsfs-mnt-b.service'],
    )
    t.match(ask(store, 'disable', '/mnt/app', '--root', root), {
      error: { code: 'SVS_NOT_ENABLED', exit: 3 },
    })

    writeFileSync(join(units, 'svsfs-mnt-own.service'), '[Service]\nExecStart=/bin/true\n')
    const foreign = ask(store, 'enable', '/mnt/own', '--root', root)
    t.match(foreign, { error: { code: 'SVS_PATH_EXISTS' } })
    t.match(readFileSync(join(units, 'svsfs-mnt-own.service'), 'utf8'), /^\[Service\]/)
    t.notOk(existsSync(store), 'no store is made for it')
  },
)

t.test(
  'the daemon as a service says when it is ready, stays without a mount, and ends when told',
  async (t) => {
    const directory = throwAway(t)
    const [store, view] = [join(directory, 'store'), join(directory, 'view')]
    mkdirSync(view)
    const heard = listen(join(directory, 'notify'))
    const daemon = spawn(process.execPath, [PROGRAM, 'daemon', '-q'], {
      env: { ...process.env, SVSFS_STORE: store, NOTIFY_SOCKET: join(directory, 'notify') },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    t.teardown(() => ended(daemon, 'SIGKILL'))
    t.match(await heard.next(), /^READY=1\n/)
    t.equal(svsfs(store, 'mount', view).status, 0)
    // A daemon that ends with its last mount is waited for here.
    t.match(ask(store, 'umount', view), { data: { left: 0, ends: false } })
    t.match(ask(store, 'status'), { data: { daemon: { pid: daemon.pid } } })
    t.match(ask(store, 'umount', '--all'), { ok: true })
    t.equal(await ended(daemon, 'SIGTERM'), 0)
    t.equal(await heard.next(), 'STOPPING=1')
    heard.close()
  },
)

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  child.kill(signal)
  await once(child, 'exit')
  return child.exitCode
}

/** A service manager's socket: Node has no datagrams of this family. */
function listen(path: string): { next(): Promise<string>; close(): void } {
  const c = koffi.load('libc.so.6')
  const fd = c.func('int socket(int, int, int)')(1, 2, 0) as number
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path), Buffer.alloc(1)])
  c.func('int bind(int, const void *, uint32_t)')(fd, address, address.length)
  const receive = c.func('int64_t recv(int, void *, size_t, int)')
  return {
    async next() {
      const bytes = Buffer.alloc(4096)
      for (let waited = 0; waited < 20_000; waited += 20) {
        const got = Number(receive(fd, bytes, bytes.length, 0x40))
        if (got > 0) return bytes.toString('utf8', 0, got)
        await sleep(20)
      }
      return 'nothing'
    },
    close: () => void c.func('int close(int)')(fd),
  }
}
