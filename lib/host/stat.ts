// Attributes of a file as statx(2) gives them, read in place from its buffer.
//
// Layout: struct statx of linux/stat.h. One Stat is filled again and again; what has to
// outlive the next call is copied out by `attrOf` (lib/union) or `clone`.
//
// The index of a published tree fills one, too (`fill`): then `position` says which file of the
// index it is. The kernel leaves 0 there.

const STATX_BTIME = 0x800
/** Words of struct statx that Linux keeps for later, and clears. */
const POSITION = 62

/** What an index knows of a file. */
export interface IndexedStat {
  position: number
  mode: number
  nlink: number
  uid: number
  gid: number
  ino: number
  size: number
  blocks: number
  blksize: number
  atime: number
  atimeNsec: number
  ctime: number
  ctimeNsec: number
  mtime: number
  mtimeNsec: number
  rdevMajor: number
  rdevMinor: number
  devMajor: number
  devMinor: number
}

export class Stat {
  readonly bytes = Buffer.alloc(256)
  readonly #u32: Uint32Array
  readonly #u16: Uint16Array

  constructor() {
    const { buffer, byteOffset } = this.bytes
    // Buffers of the pool start at multiples of 8, which both views need.
    this.#u32 = new Uint32Array(buffer, byteOffset, 64)
    this.#u16 = new Uint16Array(buffer, byteOffset, 128)
  }

  get mode(): number {
    return this.#u16[14]!
  }
  get nlink(): number {
    return this.#u32[4]!
  }
  get uid(): number {
    return this.#u32[5]!
  }
  get gid(): number {
    return this.#u32[6]!
  }
  get ino(): number {
    return this.#u64(8)
  }
  get size(): number {
    return this.#u64(10)
  }
  get blocks(): number {
    return this.#u64(12)
  }
  get blksize(): number {
    return this.#u32[1]!
  }
  /** Seconds, signed: files older than 1970 exist. */
  get atime(): number {
    return this.#i64(16)
  }
  get atimeNsec(): number {
    return this.#u32[18]!
  }
  /** When the file was born, where the disk remembers it (0 where not): it outlives every change. */
  get btime(): number {
    return (this.#u32[0]! & STATX_BTIME) === 0 ? 0 : this.#i64(20)
  }
  get btimeNsec(): number {
    return (this.#u32[0]! & STATX_BTIME) === 0 ? 0 : this.#u32[22]!
  }
  get ctime(): number {
    return this.#i64(24)
  }
  get ctimeNsec(): number {
    return this.#u32[26]!
  }
  get mtime(): number {
    return this.#i64(28)
  }
  get mtimeNsec(): number {
    return this.#u32[30]!
  }
  get rdevMajor(): number {
    return this.#u32[32]!
  }
  get rdevMinor(): number {
    return this.#u32[33]!
  }
  /** Device number in the 32-bit form of the FUSE protocol (new_encode_dev). */
  get rdev(): number {
    return encodeDevice(this.#u32[32]!, this.#u32[33]!)
  }
  /** Device of the filesystem, as one number. */
  get dev(): number {
    return this.#u32[34]! * 0x10_0000 + this.#u32[35]!
  }

  /** Number of the file in the index that filled it; 0 where the disk did. */
  get position(): number {
    return this.#u32[POSITION]!
  }
  get devMajor(): number {
    return this.#u32[34]!
  }
  get devMinor(): number {
    return this.#u32[35]!
  }

  copyTo(other: Stat): void {
    this.bytes.copy(other.bytes)
  }

  /** Everything but the time of birth, as if the disk had said it. */
  fill(from: IndexedStat): void {
    const u32 = this.#u32
    u32[0] = 0
    u32[1] = from.blksize
    u32[4] = from.nlink
    u32[5] = from.uid
    u32[6] = from.gid
    this.#u16[14] = from.mode
    this.#set64(8, from.ino)
    this.#set64(10, from.size)
    this.#set64(12, from.blocks)
    this.setAtime(from.atime, from.atimeNsec)
    this.#set64(24, from.ctime)
    u32[26] = from.ctimeNsec
    this.#set64(28, from.mtime)
    u32[30] = from.mtimeNsec
    u32[32] = from.rdevMajor
    u32[33] = from.rdevMinor
    u32[34] = from.devMajor
    u32[35] = from.devMinor
    u32[POSITION] = from.position
  }

  setAtime(seconds: number, nsec: number): void {
    this.#set64(16, seconds)
    this.#u32[18] = nsec
  }

  #set64(at: number, value: number): void {
    this.#u32[at] = value
    this.#u32[at + 1] = Math.floor(value / 0x1_0000_0000)
  }

  // Small numbers stay small integers of the engine: those it keeps without an object of their own.
  #u64(at: number): number {
    const high = this.#u32[at + 1]!
    return high === 0 ? this.#u32[at]! : this.#u32[at]! + high * 0x1_0000_0000
  }
  #i64(at: number): number {
    const high = this.#u32[at + 1]! | 0
    return high === 0 ? this.#u32[at]! : this.#u32[at]! + high * 0x1_0000_0000
  }
}

/** new_encode_dev of linux/kdev_t.h: minor bits 0-7 and 20-31, major bits 8-19. */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0
}

/** makedev of glibc for a number in the protocol's form, as mknod(2) takes it. */
export function libcDevice(encoded: number): number {
  const major = (encoded >>> 8) & 0xfff
  const minor = (encoded & 0xff) | ((encoded >>> 12) & 0xfff00)
  return (minor & 0xff) + major * 0x100 + Math.floor(minor / 0x100) * 0x10_0000
}
