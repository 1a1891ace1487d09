// The words of `mount -t fuse.svsfs` and of a container engine's mount program:
//
//   [SOURCE] MOUNTPOINT -o lowerdir=A:B,upperdir=U,workdir=W[,ro,allow_other,…]
//
// A backslash takes the next character as it is: `\,` in an option, `\:` in a list of
// directories. Rule: an option that would change what programs see is obeyed or refused
// (SVS_OPTION_REFUSED, SVS_OPTION_UNKNOWN), never passed over; those below that are ignored change nothing here.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { MountFlag } from '../host/restrict-mount.ts'
import type { DataPath } from './engine-api.ts'

export interface OverlayOptions {
  /** Top first. */
  readonly lower: readonly string[]
  readonly upper: string | null
  readonly work: string | null
  readonly readOnly: boolean
  /** null: as the caller's rights allow. */
  readonly allowOther: boolean | null
  /** Flags of the mount point itself: nosuid, nodev, noexec, noatime. */
  readonly flags: readonly MountFlag[]
  readonly trace: boolean
  /** null: past the daemon where it is read-only. */
  readonly dataPath: DataPath | null
  /** Bytes from which on a file is passed through to a reader; null: PASS_FROM. */
  readonly passFrom: number | null
  /** MiB a second; null: the usual. */
  readonly settleRate: number | null
  readonly wholeCopies: boolean
}

const FLAGS: readonly string[] = ['nosuid', 'nodev', 'noexec', 'noatime']

// What mount(8), fstab and container engines pass along, and what only tunes another program.
const IGNORED = new Set(
  [
    'rw dev suid exec async atime diratime nodiratime relatime norelatime strictatime lazytime nolazytime',
    'defaults auto noauto nofail _netdev user users nouser owner group comment silent loud',
    'default_permissions context fscontext defcontext rootcontext fsname subtype auto_unmount',
    'userxattr xino redirect_dir metacopy index nfs_export uuid verity volatile override_creds',
    'timeout threaded fast_ino writeback plugins static_nlink noacl big_writes max_write max_read',
    'clone_fd max_idle_threads max_threads max_background congestion_threshold max_readahead',
    'kernel_cache auto_cache noauto_cache attr_timeout entry_timeout negative_timeout ac_attr_timeout',
    'nonempty noforget remember async_read sync_read async_dio large_read atomic_o_trunc intr',
    'splice_read splice_write splice_move no_splice_read no_splice_write no_splice_move',
  ].flatMap((names) => names.split(' ')),
)

// What changes who may do what, or what is promised: not done here, so never passed over.
const REFUSED: Readonly<Record<string, string>> = {
  uidmapping: 'users are not mapped; use a user namespace with idmapped directories',
  gidmapping: 'groups are not mapped; use a user namespace with idmapped directories',
  squash_to_root: 'files keep their owners',
  squash_to_uid: 'files keep their owners',
  squash_to_gid: 'files keep their groups',
  xattr_permissions: 'owners and modes are those of the files, not of an attribute',
  allow_root: 'say allow_other; a mount of root lets root in already',
  umask: 'files keep their modes',
  uid: 'files keep their owners',
  gid: 'files keep their groups',
  sync: 'programs that need their data on the disk call fsync',
  dirsync: 'programs that need their data on the disk call fsync',
  remount: 'a mount is not changed; unmount it and mount it anew',
}

// fsync=0 asks for less than we do; any other value is what we do.
const IGNORED_PAIRS = /^(fsync=|x-)/

/** Reads the value of all `-o` together. */
export function overlayOptions(text: string, cwd = process.cwd()): OverlayOptions {
  const options = splitUnescaped(text, ',')
  const of = (name: string) => options.findLast((option) => option.startsWith(`${name}=`))
  const directory = (name: string) => {
    const value = of(name)?.slice(name.length + 1) ?? ''
    return value === '' ? null : resolve(cwd, unescaped(value))
  }
  options.forEach(refuseUnknown)
  const upper = directory('upperdir')
  return {
    lower: lowerDirectories(of('lowerdir')?.slice('lowerdir='.length) ?? '', cwd),
    upper,
    work: directory('workdir'),
    readOnly: upper === null || options.lastIndexOf('ro') > options.lastIndexOf('rw'),
    allowOther: options.includes('allow_other') ? true : null,
    flags: FLAGS.filter((flag) => isSet(options, flag)) as MountFlag[],
    trace: options.includes('debug'),
    dataPath: dataPath(of('data_path')),
    passFrom: number(of('pass_from')),
    settleRate: number(of('settle_rate')),
    wholeCopies: options.includes('whole_copies'),
  }
}

function dataPath(option: string | undefined): DataPath | null {
  const value = option?.slice('data_path='.length)
  if (value === undefined || value === 'cached' || value === 'passthrough') return value ?? null
  throw new Failure('SVS_OPTION_UNKNOWN', option!)
}

function number(option: string | undefined): number | null {
  const value = option?.slice(option.indexOf('=') + 1)
  if (value === undefined || /^\d{1,15}$/.test(value))
    return value === undefined ? null : Number(value)
  throw new Failure('SVS_OPTION_UNKNOWN', option!)
}

const VALUED = new Set(['lowerdir', 'upperdir', 'workdir', 'data_path', 'pass_from', 'settle_rate'])
const WORDS = new Set(['ro', 'allow_other', 'debug', 'whole_copies', ...FLAGS])

function refuseUnknown(option: string): void {
  const [name = ''] = option.split('=', 1)
  if (option === '' || WORDS.has(option) || IGNORED.has(name) || IGNORED_PAIRS.test(option)) return
  if (VALUED.has(name) && option.includes('=')) return
  const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined
  if (why !== undefined) throw new Failure('SVS_OPTION_REFUSED', option, why)
  throw new Failure('SVS_OPTION_UNKNOWN', option)
}

// `nosuid,suid`: the later word wins, as for mount(8).
const isSet = (options: readonly string[], flag: string): boolean =>
  options.lastIndexOf(flag) > options.lastIndexOf(flag.slice(2))

function lowerDirectories(value: string, cwd: string): string[] {
  if (value === '') throw new Failure('SVS_OPTION_MISSING', 'lowerdir=DIR[:DIR…]')
  const parts = splitUnescaped(value, ':')
  if (parts.includes('')) throw new Failure('SVS_OPTION_UNKNOWN', 'lowerdir with an empty name')
  return parts.map((part) => resolve(cwd, unescaped(part)))
}

// SELinux labels come in quotes, with commas in them.
const OPEN_QUOTE = /^(fs|def|root)?context="[^"]*$/

/** The parts between separators that no backslash precedes; backslashes stay. */
function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = []
  let part = ''
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') part += text[i++]! + (text[i] ?? '')
    else if (text[i] === separator && !OPEN_QUOTE.test(part)) {
      parts.push(part)
      part = ''
    } else part += text[i]
  }
  return [...parts, part]
}

const unescaped = (text: string): string => text.replace(/\\(.)/gs, '$1')
