// Folders of a test, and a tree that has everything a file can have.

import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { bytesOf, type RelPath } from '../../lib/base/path.ts'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { setXattr } from '../../lib/host/xattr.ts'
import {
  type Imported,
  type ImportOptions,
  importTree,
  type Source,
} from '../../lib/layer/import.ts'
import { publishIndex } from '../../lib/layer/index-file.ts'
import type { Overrides } from '../../lib/layer/layer.ts'

export const isRoot = process.geteuid?.() === 0

/** A folder that goes with the test. */
export function folderOf(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'svsfs-layer-'))
  t.teardown(() => removeTree(AT_FDCWD, bytesOf(folder)))
  return folder
}

/** Gives every name of a tree one time, with nanoseconds. */
export function oneTime(tree: string): void {
  const time = '2024-05-06 07:08:09.123456789'
  execFileSync('find', [tree, '-depth', '-exec', 'touch', '-h', '-d', time, '{}', '+'])
}

/** user::rw- user:1234:rwx group::r-- mask::rwx other::r-- as the kernel stores it. */
const ACCESS_LIST = Buffer.from(
  '02000000' +
    '01000600ffffffff' +
    '02000700d2040000' +
    '04000400ffffffff' +
    '10000700ffffffff' +
    '20000400ffffffff',
  'hex',
)

export function setAttribute(path: string, name: string, value: Buffer | string): void {
  const slash = path.lastIndexOf('/')
  const dir = must(sys.openat(AT_FDCWD, path.slice(0, slash), O.PATH), path)
  must(setXattr(dir, path.slice(slash + 1), name, Buffer.from(value)), name)
  sys.close(dir)
}

/** Files, links, holes, attributes, odd modes and odd names, made by the caller. */
export function richTree(at: string): string {
  mkdirSync(join(at, 'dir/below'), { recursive: true })
  mkdirSync(join(at, 'closed'))
  writeFileSync(join(at, 'dir/file'), 'content')
  linkSync(join(at, 'dir/file'), join(at, 'another name'))
  symlinkSync('dir/file', join(at, 'link'))
  symlinkSync('/nowhere/at/all', join(at, 'dangling'))
  linkSync(join(at, 'dangling'), join(at, 'link to the link'))
  writeFileSync(Buffer.from(`${at}/\xff\xfe newline\n`, 'latin1'), 'bytes')
  writeFileSync(join(at, 'holes'), 'start')
  truncateSync(join(at, 'holes'), 8 << 20)
  writeFileSync(join(at, 'holes'), 'end', { flag: 'a' })
  writeFileSync(join(at, 'listed'), 'access list')
  setAttribute(join(at, 'listed'), 'system.posix_acl_access', ACCESS_LIST)
  setAttribute(join(at, 'dir'), 'system.posix_acl_default', ACCESS_LIST)
  writeFileSync(join(at, 'tagged'), 'attribute')
  setAttribute(join(at, 'tagged'), 'user.comment', Buffer.from([0, 1, 255]))
  execFileSync('mkfifo', ['-m', '620', join(at, 'fifo')])
  execFileSync('chmod', ['4750', join(at, 'tagged')])
  execFileSync('chmod', ['2555', join(at, 'closed')])
  execFileSync('chmod', ['1777', join(at, 'dir/below')])
  oneTime(at)
  return at
}

/** Imports into `folder`/name, and indexes it. */
export async function importAs(
  folder: string,
  name: string,
  source: Source,
  options: Partial<ImportOptions> = {},
): Promise<Imported & { tree: string; digest: string }> {
  const tree = join(folder, name)
  const imported = await importTree(source, bytesOf(tree), {
    privileged: isRoot,
    base: null,
    ...options,
  })
  return { ...imported, tree, digest: await digestOf(tree, imported.overrides) }
}

export async function digestOf(
  tree: string,
  overrides: Overrides = new Map<RelPath, never>(),
): Promise<string> {
  return (await publishIndex(bytesOf(tree), bytesOf(`${tree}.index`), overrides)).digest
}
