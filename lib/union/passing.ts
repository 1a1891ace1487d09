// Files whose bytes the kernel reads and writes by itself (passthrough): which are, and what is
// done because nobody asks us any more.
//
//   first open of a node           passThrough      decides for all its opens until the last release
//   a writer of a file below       part             the name gets a new node, and the kernel looks again
//   a freeze begins                preservePassed   what may change without a word is copied in that step
//
// Rule: all opens of a node agree, or the kernel refuses them (EIO). What the kernel was given is
// the node's own file, or one that nobody writes: a file below is never passed to a writer.

import { ERRNO, fail } from '../base/errno.ts'
import { encodeNotification, NOTIFY_BUFFER } from '../fuse/notify.ts'
import { isOpenForWriting, passToWrite } from '../host/passthrough.ts'
import { Stat } from '../host/stat.ts'
import { O, S, sys } from '../host/sys.ts'
import { beforeChange } from './before-change.ts'
import type { Branch } from './branch.ts'
import { openBacking } from './files.ts'
import type { Freeze } from './freeze.ts'
import type { Journal } from './journal.ts'
import type { Passed, UnionNode } from './node.ts'
import { PASS_FROM } from './spec.ts'
import { peersOf } from './twins.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** After a node was opened: the number under which the kernel finds its file; 0 where it asks us. */
export function passThrough(view: View, node: UnionNode, flags: number): number {
  const open = node.open!
  if (open.count === 1) open.passed = view.passes ? begin(view, node, flags) : null
  const { passed } = open
  if (passed === null) return 0
  if ((flags & O.ACCMODE) === O.RDONLY) return passed.id
  passed.writes = true
  open.cached = false
  node.stamp = null
  view.rewritten.add(node)
  beforeChange(node.branch!, 'content', open.fd, '', node)
  if ((flags & O.ACCMODE) === O.RDWR) mayBeMapped(view, node)
  return passed.id
}

function begin(view: View, node: UnionNode, flags: number): Passed | null {
  const { fd, writable } = node.open!
  // Its bytes lie in two files.
  if (node.blocks !== null) return null
  if (sys.stat(fd, '', stat) < 0) return null
  if (!view.mapped.has(node) && !isWorthIt(view, node, flags)) return null
  const give = writable && !view.options.readOnly ? passToWrite : sys.backingOpen
  const id = give(view.device, fd)
  // A file of a stacked or otherwise unfit filesystem is served through the cache.
  if (id > 0) return { id, writes: false, behind: false }
  if (id === -ERRNO.EPERM) view.passes = false
  return null
}

// What other mounts change too, what loses its setuid by being written, and what reaches the disk
// with each write goes by way of us.
function isWorthIt(view: View, node: UnionNode, flags: number): boolean {
  const branch = node.branch!
  if ((flags & O.ACCMODE) === O.RDONLY && stat.size < (view.options.passFrom ?? PASS_FROM))
    return false
  if (!branch.writable || view.options.readOnly) return true
  if (stat.mode & (S.ISUID | S.ISGID) || flags & O.DSYNC) return false
  return peersOf(view, [branch]).next().done === true
}

// What is written through a mapping, the kernel does not tell its own attributes either. Told from
// within the request that opens the file, which has it in use: so this cannot wait for anything.
function mayBeMapped(view: View, node: UnionNode): void {
  if (view.mapped.has(node)) return
  view.mapped.add(node)
  const told = { kind: 'inode', node: node.id, offset: -1, length: 0 } as const
  sys.write(view.device, message, encodeNotification(message, told, false))
}

const message = Buffer.alloc(NOTIFY_BUFFER)

/** The last open of a node was released. */
export function unpass(view: View, { id }: Passed): void {
  if (view.device !== -1) sys.backingClose(view.device, id)
}

/**
 * Before a change of content: who has a file in hand that is not to be changed goes on with that,
 * as it is; its name gets a new node. ESTALE then: the kernel looks the name up, and asks again.
 */
export function part(view: View, node: UnionNode): void {
  view.detach(node, true)
  fail('ESTALE')
}

/** True where attributes of a node may become others without a request: nobody may keep them. */
export function changesUnseen(view: View, node: UnionNode, mode: number): boolean {
  if (node.open?.passed?.writes && mode & (S.ISUID | S.ISGID)) return true
  return view.mapped.has(node) && isMapped(view, node)
}

// After the last release a mapping may live on; the file on the disk is open for writing as long.
function isMapped(view: View, node: UnionNode): boolean {
  if (node.open !== null) return true
  // Its name has another content by now, and who has it mapped is alone with it.
  const isOut = node.parent === null && node.fd === -1
  const mapped = !isOut && withFile(node, isOpenForWriting)
  if (!mapped) view.mapped.delete(node)
  return mapped
}

function withFile<T>(node: UnionNode, work: (fd: number) => T): T {
  const { fd, close } = openBacking(node, false)
  try {
    return work(fd)
  } finally {
    close()
  }
}

/** Copies, in the step in which a freeze begins, what programs change without asking us first. */
export function preservePassed(views: Iterable<View>, branch: Branch, freeze: Freeze): void {
  for (const view of views) {
    for (const node of writtenUnseen(view, branch)) {
      try {
        if (node.open !== null || isMapped(view, node)) preserve(freeze, node)
      } catch (err) {
        freeze.fail(err)
        return
      }
    }
  }
}

/** A state was taken: what programs change without asking us is named in the next epoch, too. */
export function notePassed(views: Iterable<View>, branch: Branch, journal: Journal): void {
  for (const view of views) {
    for (const node of writtenUnseen(view, branch)) {
      if (node.open !== null || isMapped(view, node)) withFile(node, (fd) => journal.noteFile(fd))
    }
  }
}

// What is open goes first: nobody can flush it meanwhile, so what was to follow a flush is not there.
function* writtenUnseen(view: View, branch: Branch): Generator<UnionNode> {
  for (const node of view.opened) {
    if (node.branch === branch && node.open!.passed?.writes) yield node
  }
  for (const node of view.mapped) if (node.branch === branch && node.open === null) yield node
}

function preserve(freeze: Freeze, node: UnionNode): void {
  withFile(node, (fd) => {
    // A removed file is in no image.
    if (sys.stat(fd, '', stat) >= 0 && stat.nlink > 0) freeze.preserve('content', fd, '')
  })
}
