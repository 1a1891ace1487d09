// What is agreed with the kernel when a mount begins (INIT).
//
//   struct fuse_init_in   major, minor, max_readahead, flags, flags2 u32, 11 unused
//   struct fuse_init_out  major, minor, max_readahead, flags u32, max_background,
//                         congestion u16, max_write, time_gran u32, max_pages, map_alignment
//                         u16, flags2, max_stack_depth u32, request_timeout u16, 11 unused u16
//
// Rule: what a kernel lacks makes a slower mount, never an error; whoever depends on a flag
// reads it from `Negotiated`.

import { type Cursor, ShortMessage, type Writer } from '../base/cursor.ts'
import { INIT, type InitFlag, MAJOR, MAX_PAGES, MAX_WRITE, MINOR } from './protocol.ts'

/** Older kernels that a mount can be made to behave like: protocol version, and newest flag. */
const KERNEL_CAPS = {
  '6.1': { minor: 38, lastFlag: INIT.HAS_EXPIRE_ONLY },
} as const

export type KernelCap = keyof typeof KERNEL_CAPS

export interface InitWishes {
  /** Page cache that is written back later: for mounts that can be written. */
  readonly writeback: boolean
  /** Reads and writes go past us, to files that are opened for the kernel; no writeback then. */
  readonly passthrough: boolean
  /** The filesystem finds nodes by number alone (`lookupSelf`, `lookupParent`): for NFS. */
  readonly exportable: boolean
  readonly cap: KernelCap | null
}

/** What is on, after INIT. */
export interface Negotiated {
  /** Minor version of the protocol that both sides speak. */
  readonly minor: number
  readonly flags: ReadonlySet<InitFlag>
  readonly maxWrite: number
  readonly maxPages: number
  readonly maxReadahead: number
  readonly writeback: boolean
  readonly passthrough: boolean
  /** Expiring a name keeps what is open, mounted or running there. */
  readonly expireOnly: boolean
  /** The kernel leaves the clearing of setuid, setgid and capabilities to us. */
  readonly killPriv: boolean
  readonly setxattrExt: boolean
  /** The kernel can be asked to forget nodes that it does not use. */
  readonly prunes: boolean
}

export interface InitRequest {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly offered: ReadonlySet<InitFlag>
}

const ALWAYS: readonly InitFlag[] = [
  'ASYNC_READ',
  'ATOMIC_O_TRUNC',
  'BIG_WRITES',
  'DONT_MASK',
  'DO_READDIRPLUS',
  'READDIRPLUS_AUTO',
  'ASYNC_DIO',
  'PARALLEL_DIROPS',
  'POSIX_ACL',
  'MAX_PAGES',
  'CACHE_SYMLINKS',
  'HANDLE_KILLPRIV_V2',
  'SETXATTR_EXT',
  'INIT_EXT',
  'HAS_EXPIRE_ONLY',
  'DIRECT_IO_ALLOW_MMAP',
]

/** Requests that the kernel may have under way for pages alone, and where it slows writers down. */
const MAX_BACKGROUND = 64
const CONGESTION = 48

/**
 * How deep files may be stacked that are passed through: they lie on disks, and a mount that does
 * this can still be a layer of another.
 */
const STACK_DEPTH = 1

export function readInit(from: Cursor): InitRequest {
  const major = from.u32()
  const minor = from.u32()
  const maxReadahead = from.u32()
  const low = from.u32()
  const high = isSet(low, INIT.INIT_EXT) && from.left >= 4 ? from.u32() : 0
  const offered = new Set<InitFlag>()
  for (const [flag, bit] of Object.entries(INIT) as [InitFlag, number][]) {
    if (bit < 32 ? isSet(low, bit) : isSet(high, bit - 32)) offered.add(flag)
  }
  return { major, minor, maxReadahead, offered }
}

/** Chooses from what the kernel offers. Throws ShortMessage for a protocol that is not ours. */
export function negotiate(request: InitRequest, wishes: InitWishes): Negotiated {
  if (request.major !== MAJOR) throw new ShortMessage(`protocol version ${request.major}`)
  const cap = wishes.cap === null ? null : KERNEL_CAPS[wishes.cap]
  const wanted = new Set<InitFlag>(ALWAYS)
  // A kernel that has both turns the first off without a word.
  const offers = (flag: InitFlag) =>
    request.offered.has(flag) && (cap === null || INIT[flag] <= cap.lastFlag)
  if (wishes.passthrough && offers('PASSTHROUGH')) wanted.add('PASSTHROUGH')
  else if (wishes.writeback) wanted.add('WRITEBACK_CACHE')
  if (wishes.exportable) wanted.add('EXPORT_SUPPORT')
  const flags = new Set<InitFlag>()
  for (const flag of wanted) if (offers(flag)) flags.add(flag)
  const large = flags.has('MAX_PAGES')
  const minor = Math.min(request.minor, cap?.minor ?? MINOR)
  return {
    minor,
    flags,
    // Without MAX_PAGES a request carries 32 pages.
    maxWrite: large ? MAX_WRITE : 32 * 4096,
    maxPages: large ? MAX_PAGES : 32,
    maxReadahead: request.maxReadahead,
    writeback: flags.has('WRITEBACK_CACHE'),
    passthrough: flags.has('PASSTHROUGH'),
    expireOnly: flags.has('HAS_EXPIRE_ONLY'),
    killPriv: flags.has('HANDLE_KILLPRIV_V2'),
    setxattrExt: flags.has('SETXATTR_EXT'),
    prunes: minor >= 45,
  }
}

export function writeInit(out: Writer, agreed: Negotiated): void {
  let low = 0
  let high = 0
  for (const flag of agreed.flags) {
    const bit = INIT[flag]
    if (bit < 32) low += 2 ** bit
    else high += 2 ** (bit - 32)
  }
  out.u32(MAJOR)
  out.u32(agreed.minor)
  out.u32(agreed.maxReadahead)
  out.u32(low)
  out.u16(MAX_BACKGROUND)
  out.u16(CONGESTION)
  out.u32(agreed.maxWrite)
  out.u32(1) // times are kept to the nanosecond
  out.u16(agreed.maxPages)
  out.u16(0)
  out.u32(high)
  out.u32(agreed.passthrough ? STACK_DEPTH : 0)
  out.zeros(24)
}

const isSet = (word: number, bit: number): boolean => ((word >>> bit) & 1) === 1
