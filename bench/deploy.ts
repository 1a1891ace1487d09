// The command `deploy`: bytes on the wire and seconds, for the first and the second time that one tree is
// brought to a host, over a real ssh on loopback.
//
//   tree ─▶ first ─▶ a few files changed ─▶ second      svsfs deploy, rsync -a, rsync --inplace, restic copy
//
// Rule: every byte is counted where ssh sends it, both ways, its own among them; what is made before it can
// be sent (a state, a backup) is not timed. Whoever cannot be measured is named with the reason.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Sshd, startSshd } from '../test/deploy/sshd.ts'
import { PROGRAM } from '../test/story/svsfs.ts'
import { markdownTable } from './publish.ts'
import { machine } from './results.ts'

export interface DeployOptions {
  readonly files: number
  readonly large: number
  readonly keep?: true
}

const say = (text: string) => process.stderr.write(`${text}\n`)

/** One way to bring the tree there. */
interface Carrier {
  readonly name: string
  /** Not measured, like `prepare`: what has to be made of the tree, and of the changed one. */
  begin(): Promise<void>
  first(): Promise<void>
  prepare(): Promise<void>
  second(): Promise<void>
}

interface Ground {
  readonly dir: string
  readonly tree: string
  readonly ssh: readonly string[]
  readonly url: string
  readonly options: readonly string[]
}

/** Runs the benchmark; answers the exit status. */
export async function benchDeploy(options: DeployOptions, folder: string): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-bench-deploy-'))
  const sshd = await startSshd(dir)
  if (sshd === null) throw new Error('no sshd here: npm run bench brings it (test/setup.sh)')
  const wire = await counting(sshd)
  const rows: string[][] = []
  const failed: string[] = ['ostree pull: it has no way over ssh alone']
  try {
    for (const make of [
      svsfs,
      rsync('rsync -a'),
      rsync('rsync -a --inplace', '--inplace'),
      restic,
    ]) {
      const tree = makeTree(join(dir, `tree-${rows.length + failed.length}`), options)
      const carrier = make(groundOf(dir, tree, sshd, wire.port))
      say(carrier.name)
      try {
        await carrier.begin()
        const first = await wire.measured(() => carrier.first())
        changeTree(tree, options)
        await carrier.prepare()
        const second = await wire.measured(() => carrier.second())
        rows.push([
          carrier.name,
          ...[first, second].flatMap(({ bytes, ms }) => [kib(bytes), (ms / 1000).toFixed(2)]),
        ])
      } catch (err) {
        failed.push(`${carrier.name}: ${(err as Error).message.split('\n')[0]}`)
      }
    }
  } finally {
    wire.close()
    await sshd.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  const text = page(options, rows, failed)
  process.stdout.write(text)
  if (options.keep) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'deploy.md'), text)
  }
  return rows.length === 0 ? 1 : 0
}

const kib = (bytes: number): string => Math.ceil(bytes / 1024).toLocaleString('en')

function page({ files, large }: DeployOptions, rows: string[][], failed: string[]): string {
  const { version, machine: cores, kernel, node } = machine()
  const head = ['', 'first, KiB', 'first, s', 'second, KiB', 'second, s']
  return `# Deploying to a host\n\n\`npm run bench -- deploy\`: ${files} files and one of ${large} MiB; then ten files and 4 KiB of the large one changed. Over ssh on loopback, both ways, one round. svsfs ${version}; ${cores}, Linux ${kernel}, Node ${node}.\n\n${markdownTable([head, head.map(() => '---'), ...rows]).join('\n')}\n\nLeft out: ${failed.join('; ')}.\n`
}

function makeTree(tree: string, { files, large }: DeployOptions): string {
  for (let at = 0; at < files; at++) {
    const folder = join(tree, `d${at % 50}`)
    mkdirSync(folder, { recursive: true })
    const words = randomBytes(2000).toString('base64')
    writeFileSync(join(folder, `f${at}`), words.repeat(1 + (at % 4)))
  }
  writeFileSync(join(tree, 'large'), randomBytes(large * 1024 * 1024))
  return tree
}

function changeTree(tree: string, { large }: DeployOptions): void {
  for (let at = 0; at < 10; at++) writeFileSync(join(tree, `d${at}`, `f${at}`), `changed ${at}\n`)
  const fd = openSync(join(tree, 'large'), 'r+')
  writeSync(fd, randomBytes(4096), 0, 4096, (large * 1024 * 1024) / 2)
}

function groundOf(dir: string, tree: string, sshd: Sshd, port: number): Ground {
  const options = [...sshd.options, `HostKeyAlias=[127.0.0.1]:${sshd.port}`, 'BatchMode=yes']
  const user = sshd.url.split('//')[1]!.split('@')[0]!
  const ssh = [...options.flatMap((each) => ['-o', each]), '-p', String(port), '-l', user]
  return { dir, tree, ssh, options, url: `ssh://${user}@127.0.0.1:${port}` }
}

async function must(program: string, words: readonly string[], env = {}): Promise<void> {
  const child = spawn(program, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text))
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(said.trim() || `${program} ended with ${status}`)
}

function svsfs({ dir, tree, options, url }: Ground): Carrier {
  const [here, there] = [join(dir, 'here'), join(dir, 'there')]
  const run = (...words: string[]) => must(process.execPath, [PROGRAM, '--store', here, ...words])
  const words = ['deploy', 'app', '--to', 'h', '--allow-unsigned']
  const ssh = options.flatMap((each) => ['--option', each])
  return {
    name: 'svsfs deploy',
    async begin() {
      await run('layer', 'create', 'app', '--from', tree)
      await run('snapshot', 'app', '--allow-empty')
      const program = `${process.execPath} ${PROGRAM}`
      await run('host', 'add', 'h', url, ...ssh, '--program', program, '--store-there', there)
    },
    first: () => run(...words, '--with-base'),
    async prepare() {
      const shown = execFileSync(process.execPath, [
        PROGRAM,
        '--store',
        here,
        'layer',
        'show',
        'app',
        '--json',
      ])
      const { data } = JSON.parse(shown.toString()) as { data: { places: { rw: string } } }
      for (let at = 0; at < 10; at++)
        cpSync(join(tree, `d${at}/f${at}`), join(data.places.rw, `d${at}/f${at}`))
      cpSync(join(tree, 'large'), join(data.places.rw, 'large'))
      await run('snapshot', 'app')
    },
    second: () => run(...words),
  }
}

const rsync =
  (name: string, ...more: string[]) =>
  ({ dir, tree, ssh }: Ground): Carrier => {
    const to = join(dir, name.replaceAll(' ', ''))
    const shell = ['ssh', ...ssh.map((word) => `'${word}'`)].join(' ')
    const program = execFileSync('sh', ['-c', 'command -v rsync || true']).toString().trim()
    const words = ['-a', ...more, '--rsync-path', program, '-e', shell]
    const run = () => must('rsync', [...words, `${tree}/`, `127.0.0.1:${to}/`])
    const begin = async () => void mkdirSync(to)
    return { name, begin, first: run, prepare: async () => {}, second: run }
  }

function restic({ dir, tree, ssh }: Ground): Carrier {
  const own = join(dir, 'restic-here')
  const far = `sftp:127.0.0.1:${join(dir, 'restic-there')}`
  const env = {
    RESTIC_PASSWORD: 'x',
    RESTIC_FROM_PASSWORD: 'x',
    RESTIC_CACHE_DIR: join(dir, 'restic-cache'),
  }
  const sftp = `sftp.command=ssh ${ssh.join(' ')} 127.0.0.1 -s sftp`
  const backup = () => must('restic', ['-r', own, 'backup', tree], env)
  const copy = () => must('restic', ['-o', sftp, '-r', far, 'copy', '--from-repo', own], env)
  return {
    name: 'restic copy',
    async begin() {
      await must('restic', ['init', '-r', own], env)
      await must('restic', ['-o', sftp, 'init', '-r', far], env)
      await backup()
    },
    first: copy,
    prepare: backup,
    second: copy,
  }
}

/** A port that leads to the sshd, and counts. */
async function counting(sshd: Sshd) {
  let bytes = 0
  const server = createServer((from) => {
    const to = connect(sshd.port, '127.0.0.1')
    for (const socket of [from, to]) {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      socket.on('error', () => socket.destroy())
    }
    from.pipe(to)
    to.pipe(from)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    close: () => server.close(),
    async measured(act: () => Promise<void>) {
      const [before, started] = [bytes, performance.now()]
      await act()
      return { bytes: bytes - before, ms: performance.now() - started }
    },
  }
}
