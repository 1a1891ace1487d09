// Unpacking archives: the system's tar does the writing, and is given nothing but members that
// may be written (tar-stream.ts).
//
//   archive ──▶ gzip -dc | xz -dc | dpkg-deb --fsys-tarfile … ──▶ filterTar ──▶ tar -x in the new tree
//
// Rule: the tree is fresh, so no link in it leads anywhere when unpacking starts; and no member is
// unpacked through a link that the archive itself brought.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Failure } from '../base/failure.ts'
import { parentPath, type RelPath, shown } from '../base/path.ts'
import { readWhole } from '../host/file.ts'
import { S } from '../host/sys.ts'
import { findTool, type Tool } from '../host/tool.ts'
import { startChild } from './children.ts'
import type { Members } from './import-members.ts'
import {
  type Compression,
  compressionOf,
  filterTar,
  type Member,
  type Verdict,
} from './tar-stream.ts'

export interface Unpacked {
  readonly members: Members
  readonly warnings: readonly string[]
}

const TOOL_FOR = { gzip: 'gzip', xz: 'xz', zstd: 'zstd', bzip2: 'bzip2' } as const satisfies Record<
  Exclude<Compression, 'none'>,
  Tool
>

/** What else is wanted of an archive. */
export interface TarWish {
  /** What failures call it; its path by default. */
  readonly name?: string
  /** Looks at a member first; true where it has taken it, and nothing of it is unpacked. */
  readonly takes?: (member: Member, known: Members) => boolean
  /** Sees all bytes of it, uncompressed. */
  readonly sees?: (bytes: Buffer) => void
}

/** Unpacks a tar archive, compressed or not, into the empty directory `into`. */
export async function unpackTar(
  path: string,
  into: string,
  privileged: boolean,
  wish: TarWish = {},
): Promise<Unpacked> {
  const compression = compressionOf(readWhole(path, 512))
  const file = createReadStream(Buffer.from(path, 'latin1'), { highWaterMark: 1 << 20 })
  const name = wish.name ?? path
  if (compression === 'none') return unpack(file, name, into, privileged, wish)
  const tool = new Running(findTool(TOOL_FOR[compression]), ['-dc'], 'pipe')
  const feeding = pipeline(file, tool.stdin).catch(ignoreBrokenPipe)
  const unpacked = await unpackFrom(tool, name, into, privileged, wish)
  await feeding
  return unpacked
}

/** Unpacks what a Debian package would install; its scripts are not run. */
export async function unpackPackage(
  path: string,
  into: string,
  privileged: boolean,
): Promise<Unpacked> {
  const tool = new Running(findTool('dpkg-deb'), ['--fsys-tarfile', textOf(path)], 'ignore')
  return unpackFrom(tool, path, into, privileged)
}

async function unpackFrom(
  tool: Running,
  path: string,
  into: string,
  privileged: boolean,
  wish: TarWish = {},
): Promise<Unpacked> {
  try {
    const unpacked = await unpack(tool.stdout, path, into, privileged, wish)
    await tool.succeeded((why) => new Failure('SVS_ARCHIVE_INVALID', shown(path), why))
    return unpacked
  } catch (err) {
    // An archive that breaks off does so because the program before it failed: that is the reason.
    const why = await tool.stopped()
    if (why === null || (err instanceof Failure && err.code === 'SVS_ARCHIVE_ESCAPES')) throw err
    throw new Failure('SVS_ARCHIVE_INVALID', shown(path), why, { cause: err })
  }
}

async function unpack(
  input: Readable,
  path: string,
  into: string,
  privileged: boolean,
  { takes = () => false, sees }: TarWish,
): Promise<Unpacked> {
  const judge = new Judge(shown(path), privileged)
  const seen = sees === undefined ? input : watched(input, sees)
  const tar = new Running(findTool('tar'), tarArguments(into, privileged), 'pipe')
  tar.stdout.resume()
  try {
    const members = filterTar(seen, shown(path), (member) =>
      takes(member, judge.members) ? 'leave out' : judge.verdict(member),
    )
    await pipeline(Readable.from(members, { objectMode: false }), tar.stdin)
  } catch (err) {
    const why = await tar.stopped()
    if (err instanceof Failure || why === null) throw err
    throw new Failure('SVS_IMPORT_FAILED', shown(path), why, { cause: err })
  }
  await tar.succeeded((why) => new Failure('SVS_IMPORT_FAILED', shown(path), why))
  return { members: judge.members, warnings: judge.warnings }
}

async function* watched(
  input: AsyncIterable<Buffer>,
  sees: (bytes: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const bytes of input) {
    sees(bytes)
    yield bytes
  }
}

function tarArguments(into: string, privileged: boolean): string[] {
  // Which attributes are kept is said in attributes.ts; marks never reach the disk.
  const attributes = ['--xattrs', `--xattrs-include=${privileged ? '*' : 'user.*'}`]
  const marks = ['trusted.overlay.*', 'trusted.svsfs.*', 'user.overlay.*', 'user.svsfs.*']
  return [
    '--extract',
    '--file=-',
    `--directory=${textOf(into)}`,
    '--numeric-owner',
    '--preserve-permissions',
    '--delay-directory-restore',
    '--warning=no-timestamp',
    '--acls',
    ...attributes,
    ...marks.map((pattern) => `--xattrs-exclude=${pattern}`),
    '--xattrs-exclude=security.selinux',
    privileged ? '--same-owner' : '--no-same-owner',
  ]
}

/** Decides about the members of one archive, and remembers what they are. */
class Judge {
  readonly members: Members = new Map()
  readonly warnings: string[] = []
  readonly #archive: string
  readonly #privileged: boolean
  readonly #links = new Set<RelPath>()

  constructor(archive: string, privileged: boolean) {
    this.#archive = archive
    this.#privileged = privileged
  }

  verdict(member: Member): Verdict {
    const { path, truth, linkTo } = member
    this.#refuseThroughLink(path)
    if (linkTo !== null) return this.#judgeHardLink(path, linkTo)
    const type = truth.mode & S.IFMT
    const isDevice = type === S.IFCHR || type === S.IFBLK
    if (type === S.IFCHR && truth.rdev === 0) {
      this.warnings.push(`${shown(path)}: is a mark of deletion (device 0/0): left out`)
      return 'leave out'
    }
    if (type === S.IFLNK) this.#links.add(path)
    else this.#links.delete(path)
    this.members.set(path, truth)
    return isDevice && !this.#privileged ? 'leave out' : 'keep'
  }

  #judgeHardLink(path: RelPath, linkTo: RelPath): Verdict {
    this.#refuseThroughLink(linkTo)
    const target = this.members.get(linkTo)
    const isStandIn = target !== undefined && !this.#privileged && isDeviceMode(target.mode)
    if (target === undefined || isStandIn) {
      this.warnings.push(
        `${shown(path)}: is a link to ${shown(linkTo)}, which is not there: left out`,
      )
      return 'leave out'
    }
    if (this.#links.has(linkTo)) this.#links.add(path)
    else this.#links.delete(path)
    this.members.set(path, target)
    return 'keep'
  }

  #refuseThroughLink(path: RelPath): void {
    if (this.#links.size === 0) return
    for (let parent = parentPath(path); parent !== ''; parent = parentPath(parent)) {
      if (!this.#links.has(parent)) continue
      throw new Failure('SVS_ARCHIVE_ESCAPES', shown(path), this.#archive)
    }
  }
}

const isDeviceMode = (mode: number): boolean =>
  (mode & S.IFMT) === S.IFCHR || (mode & S.IFMT) === S.IFBLK

/** A tool at work: what it says on stderr is kept for the failure. */
class Running {
  readonly #child: ChildProcess
  readonly #ended: Promise<number>
  #said = ''

  constructor(path: string, args: readonly string[], stdin: 'pipe' | 'ignore') {
    this.#child = startChild(path, args, {
      stdio: [stdin, 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', TAR_OPTIONS: '', GZIP: '', XZ_OPT: '', ZSTD_CLEVEL: '' },
    })
    this.#child.stderr!.on('data', (bytes: Buffer) => {
      if (this.#said.length < 4096) this.#said += bytes.toString('latin1')
    })
    this.#ended = once(this.#child, 'close').then(([status, signal]) => status ?? signal)
    // Whoever waits for the end sees why it failed; nobody may be waiting yet.
    this.#ended.catch(() => {})
  }

  get stdin() {
    return this.#child.stdin!
  }

  get stdout() {
    return this.#child.stdout!
  }

  /** Waits for the end. Throws what `failure` makes of the tool's own words. */
  async succeeded(failure: (why: string) => Failure): Promise<void> {
    if ((await this.#ended) !== 0) throw failure(this.#reason())
  }

  /** Ends the tool. Its complaint, or null where it had none before. */
  async stopped(): Promise<string | null> {
    const said = this.#said
    this.#child.kill()
    await this.#ended
    return said === '' && this.#said === '' ? null : this.#reason()
  }

  #reason(): string {
    const lines = this.#said.split('\n').filter((line) => line.trim() !== '')
    return shown(lines[0] ?? 'it ended without a word')
  }
}

// Programs take text; a path that is no UTF-8 cannot be told to them by Node.
function textOf(path: string): string {
  const text = Buffer.from(path, 'latin1').toString('utf8')
  if (Buffer.from(text, 'utf8').latin1Slice() !== path) {
    throw new Failure('SVS_SOURCE_UNKNOWN', shown(path))
  }
  return text
}

function ignoreBrokenPipe(err: NodeJS.ErrnoException): void {
  // The tool ended before it had read all: its exit status tells whether that is a failure.
  if (err.code !== 'EPIPE' && err.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw err
}
