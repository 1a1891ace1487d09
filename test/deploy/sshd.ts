// A real sshd on a loopback port, for tests that deploy to a host: its own host key, its own list of
// keys, in the directory of the test. The machine's /etc/ssh and ~/.ssh are neither read nor written.
//
//   const sshd = await startSshd(dir)          null where the machine has none (test/setup.sh)
//   sshd.url, sshd.options                     what svsfs host add is given
//
// Root's sshd wants a user and a directory of its own, and an ordinary one of Debian's a shell: both are
// put there in a mount namespace of the sshd, so that the machine gets neither. What is mounted later on
// the machine is not seen by what ssh starts.
//
// Rule: `stop` ends all of it.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { LET_GO } from '../runner/mounts.ts'

const fetched = join(dirname(fileURLToPath(import.meta.url)), '../../../.build/sshd')
const isRoot = process.geteuid?.() === 0

function program(): { readonly path: string; readonly libraries: string | null } | null {
  if (existsSync('/usr/sbin/sshd')) return { path: '/usr/sbin/sshd', libraries: null }
  const path = join(fetched, 'usr/sbin/sshd')
  if (!existsSync(path)) return null
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  const libraries = ['lib', 'usr/lib'].map((folder) => join(fetched, folder, triplet)).join(':')
  return { path, libraries }
}

/** Where its sftp-server lies. */
export const sftpServer = (): string =>
  [join(fetched, 'usr/lib/openssh/sftp-server'), '/usr/lib/openssh/sftp-server'].find(existsSync) ??
  ''

/** True where an sshd can be started. */
export function hasSshd(): boolean {
  if (program() === null) return false
  try {
    execFileSync('ssh', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export interface Sshd {
  readonly port: number
  readonly url: string
  /** `KEY=VALUE` of ssh: this key, and that this is the host it says it is. */
  readonly options: readonly string[]
  /** The file of known hosts. */
  readonly known: string
  /** A key that the host does not know. */
  readonly stranger: string
  stop(): Promise<void>
}

/** Starts one; null where there is none. */
export async function startSshd(dir: string): Promise<Sshd | null> {
  const found = program()
  if (found === null || !hasSshd()) return null
  const at = join(dir, 'sshd')
  mkdirSync(at)
  for (const name of ['host', 'key', 'stranger']) makeKey(join(at, name))
  writeFileSync(join(at, 'authorized_keys'), readFileSync(join(at, 'key.pub')))
  const port = await freePort()
  const known = join(at, 'known_hosts')
  const key = readFileSync(join(at, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
  writeFileSync(known, `[127.0.0.1]:${port} ${key}\n`)
  writeFileSync(join(at, 'config'), configuration(at, port))
  const child = start(found, at)
  await untilListening(port, child, join(at, 'log'))
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  return {
    port,
    url: `ssh://${userInfo().username}@127.0.0.1:${port}`,
    options: [
      `IdentityFile=${join(at, 'key')}`,
      'IdentitiesOnly=yes',
      `UserKnownHostsFile=${known}`,
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=yes',
    ],
    known,
    stranger: join(at, 'stranger'),
    stop,
  }
}

function makeKey(path: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path])
}

const configuration = (at: string, port: number): string => `Port ${port}
ListenAddress 127.0.0.1
HostKey ${join(at, 'host')}
AuthorizedKeysFile ${join(at, 'authorized_keys')}
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
UseDNS no
AcceptEnv *
Subsystem sftp ${sftpServer()}
`

function start(found: NonNullable<ReturnType<typeof program>>, at: string): ChildProcess {
  const passwd = join(at, 'passwd')
  const lines = readFileSync('/etc/passwd', 'utf8').trimEnd().split('\n')
  const me = `${userInfo().username}:`
  const shelled = lines.map((line) =>
    line.startsWith(me) ? line.replace(/:[^:]*(nologin|false)$/, ':/bin/sh') : line,
  )
  const has = lines.some((line) => line.startsWith('sshd:'))
  writeFileSync(passwd, `${shelled.join('\n')}\n`)
  if (!has) appendFileSync(passwd, 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n')
  const run = `exec ${isRoot ? '' : 'setpriv --inh-caps=-all --ambient-caps=-all '}"$0" "$@"`
  const bind = `mount --bind ${passwd} /etc/passwd`
  const script = isRoot
    ? `${LET_GO}; ${bind} && mount -t tmpfs svsfs-test /run && mkdir -m 755 /run/sshd && ${run}`
    : `${bind} && ${run}`
  const words = [found.path, '-D', '-e', '-f', join(at, 'config'), '-E', join(at, 'log')]
  const own = isRoot ? [] : ['--map-current-user', '--keep-caps']
  const env = found.libraries === null ? {} : { LD_LIBRARY_PATH: found.libraries }
  return spawn('unshare', [...own, '--mount', 'sh', '-c', script, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function untilListening(port: number, child: ChildProcess, log: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null)
      throw new Error(`sshd ended: ${existsSync(log) ? readFileSync(log, 'utf8') : ''}`)
    const socket = connect(port, '127.0.0.1')
    const answered = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (answered) return
    await sleep(25)
  }
  throw new Error('sshd does not listen')
}
