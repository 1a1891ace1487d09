// Loading the optional package fuse-native, and what of it is used.
//
// Rule: it is never imported statically. What is missing is said with what to install.

import { Failure } from '../base/failure.ts'

type Reply = (error: number, ...values: unknown[]) => void

/** Its operations, in its own order of parameters. Paths are UTF-8 text. */
export interface NativeOps {
  getattr(path: string, reply: Reply): void
  readdir(path: string, reply: Reply): void
  statfs(path: string, reply: Reply): void
  readlink(path: string, reply: Reply): void
  truncate(path: string, size: number, reply: Reply): void
  ftruncate(path: string, file: number, size: number, reply: Reply): void
  chmod(path: string, mode: number, reply: Reply): void
  chown(path: string, uid: number, gid: number, reply: Reply): void
  /** Milliseconds since 1970. */
  utimens(path: string, atime: number, mtime: number, reply: Reply): void
  mknod(path: string, mode: number, dev: number, reply: Reply): void
  mkdir(path: string, mode: number, reply: Reply): void
  symlink(target: string, path: string, reply: Reply): void
  link(from: string, path: string, reply: Reply): void
  unlink(path: string, reply: Reply): void
  rmdir(path: string, reply: Reply): void
  rename(from: string, to: string, reply: Reply): void
  open(path: string, flags: number, reply: Reply): void
  create(path: string, mode: number, reply: Reply): void
  read(path: string, file: number, into: Buffer, length: number, offset: number, reply: Reply): void
  write(
    path: string,
    file: number,
    data: Buffer,
    length: number,
    offset: number,
    reply: Reply,
  ): void
  release(path: string, file: number, reply: Reply): void
  fsync(path: string, dataOnly: number, file: number, reply: Reply): void
  setxattr(
    path: string,
    name: string,
    value: Buffer,
    position: number,
    flags: number,
    reply: Reply,
  ): void
  getxattr(...args: unknown[]): void
  listxattr(...args: unknown[]): void
  removexattr(path: string, name: string, reply: Reply): void
}

export interface NativeFuse {
  readonly mnt: string
  mount(done: (err: Error | null) => void): void
  /** Lets Node's loop end: the mount is gone already. */
  mountIsGone(): void
  /** Below the operations: `signal` takes the length or the negative errno, and the buffer's memory. */
  _op_getxattr: (signal: Reply, path: string, name: string, into: Buffer) => void
  _op_listxattr: (signal: Reply, path: string, into: Buffer) => void
}

export type FuseNative = new (
  mountPoint: string,
  ops: NativeOps,
  options: { timeout: false; defaultPermissions: boolean; allowOther: boolean; fsname: string },
) => NativeFuse

interface Loaded {
  new (
    ...args: ConstructorParameters<FuseNative>
  ): NativeFuse & {
    close(done: (err: Error | null) => void): void
  }
  unmount(mountPoint: string, done: (err: Error | null) => void): void
}

/** The package's class. Throws SVS_FUSE_NATIVE_MISSING. */
export async function loadFuseNative(): Promise<FuseNative> {
  const Fuse = await load()
  // Its own way passes the mount point to a shell; ours has unmounted before it is asked.
  Fuse.unmount = (_mountPoint, done) => done(null)
  return class extends Fuse {
    override mountIsGone(): void {
      this.close(() => {})
    }
  }
}

async function load(): Promise<Loaded> {
  const name = 'fuse-native'
  try {
    const loaded = (await import(name)) as { default: Loaded }
    return loaded.default
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') {
      throw missing(
        'the package fuse-native is not installed',
        'run: npm install fuse-native',
        cause,
      )
    }
    if (/libfuse/.test(message)) {
      throw missing('libfuse 2 is missing', 'install the Debian package libfuse2', cause)
    }
    throw missing('fuse-native has no build for this machine', 'use --transport direct', cause)
  }
}

const missing = (what: string, instead: string, cause: unknown): Failure =>
  new Failure('SVS_FUSE_NATIVE_MISSING', what, instead, { cause })
