// The operations of the protocol: one row each.
//
//   number ─ how its fields are read ─ which method answers ─ how the answer is written
//
//   call     the filesystem answers
//   session  the session itself answers, because the operation is about requests or nodes
//   refuse   always the same errno
//
// Rule: a method of FileSystem without a row, a row without a method, and an answer that its
// writer does not take do not compile. A number without a row is answered ENOSYS.

import type { Cursor } from '../base/cursor.ts'
import { ERRNO, type ErrnoName, fail } from '../base/errno.ts'
import type { Caller, Entry, FileSystem, NodeId } from './filesystem.ts'
import type { Reply } from './reply.ts'
import * as read from './requests.ts'

interface CallRow {
  readonly kind: 'call'
  readonly code: number
  /** It changes nothing, so it need not wait behind a parked request on its node. */
  readonly reads: boolean
  /** Where among its fields the number of a second node stands that it touches; -1: none. */
  readonly otherNode: number
  /** The minor version that brought it; an older protocol is told ENOSYS. */
  readonly since: number
  readonly read: (from: Cursor, reply: Reply) => unknown
  readonly answer: (
    fs: FileSystem,
    caller: Caller,
    node: NodeId,
    request: never,
    reply: Reply,
  ) => void
}

interface SessionRow {
  readonly kind: 'session'
  readonly code: number
  /** False where the kernel waits for no answer. */
  readonly answered: boolean
}

interface RefuseRow {
  readonly kind: 'refuse'
  readonly code: number
  readonly errno: number
}

export type Row = CallRow | SessionRow | RefuseRow

type Options = Partial<Pick<CallRow, 'reads' | 'otherNode' | 'since'>>

/** A row: `call` makes the answer, `write` puts it into the reply. */
function call<Request, Answer>(
  code: number,
  readFields: (from: Cursor, reply: Reply) => Request,
  method: (fs: FileSystem, caller: Caller, node: NodeId, request: Request, reply: Reply) => Answer,
  write: (reply: Reply, answer: Answer, request: Request) => void,
  options: Options = {},
): CallRow {
  return {
    kind: 'call',
    code,
    reads: options.reads ?? false,
    otherNode: options.otherNode ?? -1,
    since: options.since ?? 0,
    read: readFields,
    answer: (fs, caller, node, request: Request, reply) =>
      write(reply, method(fs, caller, node, request, reply), request),
  }
}

const session = (code: number): SessionRow => ({ kind: 'session', code, answered: true })
const unanswered = (code: number): SessionRow => ({ kind: 'session', code, answered: false })
const refuse = (code: number, errno: ErrnoName): RefuseRow => ({
  kind: 'refuse',
  code,
  errno: ERRNO[errno],
})

const READS = { reads: true }
const done = (): void => {}
const entry = (reply: Reply, answer: Entry): void => reply.entry(answer)
const wide = (reply: Reply, count: number): void => reply.wide(count)
const count = (reply: Reply, value: number): void => reply.count(value)

/** Methods of FileSystem that are no operation of their own. */
type Inner =
  | 'agreed'
  | 'lookupSelf'
  | 'lookupParent'
  | 'abandon'
  | 'pathOf'
  | 'whenShown'
  | 'showAnyway'
/** Operations that share another's method, or have none. */
type Extra =
  | 'batchForget'
  | 'rename2'
  | 'readdirplus'
  | 'copyFileRange64'
  | 'statx'
  | 'flush'
  | 'init'
  | 'interrupt'
  | 'ioctl'
  | 'notifyReply'
type OperationName = Exclude<keyof FileSystem, Inner> | Extra

// biome-ignore format: a table
export const OPERATIONS = {
  lookup: call(1, read.lookupName, find, entry, READS),
  forget: unanswered(2),
  getattr: call(3, read.getattr, (fs, who, node, handle) => fs.getattr(who, node, handle), (reply, answer) => reply.attr(answer), READS),
  setattr: call(4, read.setattr, (fs, who, node, request) => fs.setattr(who, node, request), (reply, answer) => reply.attr(answer)),
  readlink: call(5, read.nothing, (fs, who, node) => fs.readlink(who, node), (reply, target) => reply.text(target), READS),
  symlink: call(6, read.symlink, (fs, who, node, { name, target }) => fs.symlink(who, node, name, target), entry),
  mknod: call(8, read.mknod, (fs, who, node, request) => fs.mknod(who, node, request), entry),
  mkdir: call(9, read.mkdir, (fs, who, node, request) => fs.mkdir(who, node, request), entry),
  unlink: call(10, read.name, (fs, who, node, name) => fs.unlink(who, node, name), done),
  rmdir: call(11, read.name, (fs, who, node, name) => fs.rmdir(who, node, name), done),
  rename: call(12, read.rename, (fs, who, node, request) => fs.rename(who, node, request), done, { otherNode: 0 }),
  link: call(13, read.link, (fs, who, node, request) => fs.link(who, node, request), entry, { otherNode: 0 }),
  open: call(14, read.open, (fs, who, node, { flags, killPriv }) => fs.open(who, node, flags, killPriv), (reply, opened) => reply.opened(opened)),
  read: call(15, read.read, (fs, who, node, request, reply) => fs.read(who, node, request, reply.room(request.size)), (reply, length) => reply.filled(length), READS),
  write: call(16, read.write, (fs, who, node, request) => fs.write(who, node, request), count),
  statfs: call(17, read.nothing, (fs, who, node) => fs.statfs(who, node), (reply, answer) => reply.statfs(answer), READS),
  release: call(18, read.release, (fs, who, node, handle) => fs.release(who, node, handle), done),
  fsync: call(20, read.fsync, (fs, who, node, { handle, dataOnly }) => fs.fsync(who, node, handle, dataOnly), done),
  setxattr: call(21, (from, reply) => read.setxattr(from, reply.agreed?.setxattrExt === true), (fs, who, node, request) => fs.setxattr(who, node, request), done),
  getxattr: call(22, read.getxattr, (fs, who, node, { name }) => fs.getxattr(who, node, name), (reply, value, { size }) => reply.value(value, size), READS),
  listxattr: call(23, read.listxattr, (fs, who, node) => fs.listxattr(who, node), (reply, names, size) => reply.names(names, size), READS),
  removexattr: call(24, read.text, (fs, who, node, name) => fs.removexattr(who, node, name), done),
  // Nothing is written back at close() that the kernel does not write by itself.
  flush: refuse(25, 'ENOSYS'),
  init: session(26),
  opendir: call(27, read.open, (fs, who, node, { flags }) => fs.opendir(who, node, flags), (reply, opened) => reply.opened(opened), READS),
  readdir: call(28, read.read, (fs, who, node, request, reply) => list(fs, who, node, request, reply, false), done, READS),
  releasedir: call(29, read.release, (fs, who, node, handle) => fs.releasedir(who, node, handle), done),
  fsyncdir: call(30, read.fsync, (fs, who, node, { handle, dataOnly }) => fs.fsyncdir(who, node, handle, dataOnly), done),
  access: call(34, read.access, (fs, who, node, mask) => fs.access(who, node, mask), done, READS),
  create: call(35, read.create, (fs, who, node, request) => fs.create(who, node, request), created),
  interrupt: unanswered(36),
  destroy: session(38),
  ioctl: refuse(39, 'ENOTTY'),
  // Of the kernel nothing is asked but the bell.
  notifyReply: unanswered(41),
  batchForget: unanswered(42),
  fallocate: call(43, read.fallocate, (fs, who, node, request) => fs.fallocate(who, node, request), done),
  readdirplus: call(44, read.read, (fs, who, node, request, reply) => list(fs, who, node, request, reply, true), done, READS),
  rename2: call(45, read.rename2, (fs, who, node, request) => fs.rename(who, node, request), done, { otherNode: 0 }),
  lseek: call(46, read.lseek, (fs, who, node, { handle, offset, whence }) => fs.lseek(who, node, handle, offset, whence), wide, READS),
  copyFileRange: call(47, read.copyFileRange, (fs, who, node, request) => fs.copyFileRange(who, node, request), count, { otherNode: 16 }),
  syncfs: call(50, read.nothing, (fs, who, node) => fs.syncfs(who, node), done),
  tmpfile: call(51, read.tmpfile, (fs, who, node, request) => fs.tmpfile(who, node, request), created),
  // It adds the time of birth, which the kernel does not cache: with an answer, every stat(2) of a
  // program that asks for it (Node's, Rust's) is a request; without, attributes come from the cache.
  statx: refuse(52, 'ENOSYS'),
  copyFileRange64: call(53, read.copyFileRange, (fs, who, node, request) => fs.copyFileRange(who, node, request), wide, { otherNode: 16, since: 45 }),
} as const satisfies Record<OperationName, Row>

/** By number, with the name that people and traces use: `COPY_FILE_RANGE`. */
export const BY_CODE: readonly ({ readonly name: string; readonly row: Row } | undefined)[] =
  byCode()

function byCode(): { name: string; row: Row }[] {
  const rows: { name: string; row: Row }[] = []
  for (const [key, row] of Object.entries(OPERATIONS)) {
    const name = key.replace(/[A-Z]|64/g, (part) => `_${part}`).toUpperCase()
    rows[row.code] = { name, row }
  }
  return rows
}

// NFS turns a handle back into a node by looking up `.` in it, and `..` for its parent. A
// filesystem that cannot must never see those names: below it they mean something else.
function find(fs: FileSystem, caller: Caller, node: NodeId, name: string): Entry {
  if (name === '.') return fs.lookupSelf?.(caller, node) ?? fail('ESTALE', 'lookup')
  if (name === '..') return fs.lookupParent?.(caller, node) ?? fail('ESTALE', 'lookup')
  return fs.lookup(caller, node, name)
}

function list(
  fs: FileSystem,
  caller: Caller,
  node: NodeId,
  request: ReturnType<typeof read.read>,
  reply: Reply,
  plus: boolean,
): void {
  reply.sink.begin(request.size, plus)
  fs.readdir(caller, node, request.handle, request.offset, reply.sink)
}

function created(reply: Reply, answer: ReturnType<FileSystem['create']>): void {
  reply.entry(answer.entry)
  reply.opened(answer.opened)
}
