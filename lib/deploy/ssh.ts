// The system's ssh: how it is called, and what it says when it fails.
//
// Rule: keys, configuration and known hosts are the system's; nothing of theirs is weakened here.
// Nobody is asked anything where there is no terminal.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Failure } from '../base/failure.ts'
import { addressOf, type Reachable } from './host.ts'

const CONNECT_SECONDS = 15
/** A link that is dead is known to be after three times this. */
const ALIVE_SECONDS = 15
const MOST_SAID = 16 * 1024

/** A word as the shell there takes it. */
const quoted = (word: string): string =>
  /^[\w./+,%@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/** The command line for the shell on the host. */
export function remoteCommand({ program, store }: Reachable): string {
  return `${program} receive${store === null ? '' : ` --store ${quoted(store)}`}`
}

/** The words of ssh. */
export function sshWords(host: Reachable, mayAsk: boolean): string[] {
  const { user, machine, port } = addressOf(host.url)
  const own = Object.entries(host.options)
  // The first that is said of an option counts.
  const options = [
    ...own,
    ['BatchMode', mayAsk ? 'no' : 'yes'],
    ['ConnectTimeout', String(CONNECT_SECONDS)],
    ['ServerAliveInterval', String(ALIVE_SECONDS)],
    ['ControlMaster', 'no'],
    ['RequestTTY', 'no'],
  ].map(([key, value]) => `${key}=${value}`)
  return [
    ...options.flatMap((option) => ['-o', option]),
    ...(port === null ? [] : ['-p', String(port)]),
    ...(user === null ? [] : ['-l', user]),
    '--',
    machine,
    remoteCommand(host),
  ]
}

export interface Started {
  readonly child: ChildProcessWithoutNullStreams
  /** What it said on stderr, the end of it. */
  said(): string
}

/** `program`: ssh, or what stands for it ($SVSFS_SSH). */
export function startSsh(host: Reachable, mayAsk: boolean): Started {
  const program = process.env.SVSFS_SSH ?? 'ssh'
  const child = spawn(program, sshWords(host, mayAsk), {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Of its own, so that Ctrl-C lets the host finish; it may still ask at the terminal.
    env: { ...process.env, LC_ALL: 'C' },
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MOST_SAID)
  })
  return { child, said: () => said }
}

interface Ended {
  readonly code: number | null
  readonly said: string
  /** The host had greeted: it is svsfs, and was cut off. */
  readonly greeted: boolean
}

const lastLine = (said: string): string =>
  said
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^@+$/.test(line))
    .at(-1)
    ?.slice(0, 300) ?? ''

/** Why there is no link to a host, in the words of the table. */
export function linkFailure(host: Reachable, { code, said, greeted }: Ended): Failure {
  const { name } = host
  const { machine } = addressOf(host.url)
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(said))
    return new Failure('SVS_HOST_KEY_CHANGED', name, machine)
  if (/Host key verification failed|No .* host key is known/.test(said))
    return new Failure('SVS_HOST_KEY_UNKNOWN', name, `ssh ${host.url}`)
  if (/Permission denied|Too many authentication failures|Could not open .*identity/i.test(said))
    return new Failure('SVS_HOST_REFUSED', name, lastLine(said))
  const last = lastLine(said)
  if (greeted) return new Failure('SVS_HOST_LOST', name, last === '' ? 'it ended' : last)
  if (code === 127 || code === 126)
    return new Failure('SVS_HOST_WITHOUT', name, host.program, last || `exit status ${code}`)
  if (code === 255) return new Failure('SVS_HOST_UNREACHABLE', name, last || 'ssh failed')
  return new Failure('SVS_HOST_WITHOUT', name, host.program, last || `exit status ${code}`)
}
