// Which test files there are, and which part each belongs to.
//
//   root part   every file, run as root
//   user part   run as an ordinary user: every file but those whose header has a line
//               `// Needs root: why`; after a root part not those of ONCE either
//   user alone  those with `// For users: why` are in the user part only
//
// Rule: a file is listed by its source, so that what a deleted test left in dist/ is not run.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Beginnings of names: who runs these makes no difference, or other files show it. */
export const ONCE = [
  'behaviour/mount-fuse-native',
  'behaviour/mount-kernel',
  'behaviour/mount-one-layer',
  'behaviour/overlayfs',
  'behaviour/union-one-layer',
  'behaviour/union-three-layers',
  'bench/',
  'cli/',
  'conformance/base-writable',
  'conformance/one-layer',
  'contents/',
  'daemon/api',
  'daemon/bounds',
  'daemon/coherence',
  'daemon/commands',
  'daemon/engine-core',
  'daemon/events',
  'daemon/hostile-socket',
  'daemon/import',
  'daemon/live',
  'daemon/overlay-options',
  'daemon/protocol',
  'daemon/queue',
  'daemon/restore-kills',
  'daemon/restore-undo',
  'daemon/schedule',
  'daemon/stack',
  'daemon/two-mounts',
  'daemon/verifying',
  // An ordinary user's sshd cannot let go of what others mount meanwhile.
  'deploy/',
  'docs',
  'exercise/plain',
  'exercise/union',
  'failures',
  'faults/base-changed',
  'faults/large-copy',
  'faults/unexpected',
  'fuse/hostile',
  'fuse/init',
  'fuse/loop',
  'fuse/session',
  'fuse/waker',
  'host/thread',
  'host/zstd',
  'imports',
  'layer/follow',
  'layer/index-tables',
  'layer/index-top',
  'layer/layer',
  'repository/commands',
  'repository/hostile',
  'repository/stores',
  'runner/',
  'snapshot/across',
  'snapshot/catalogue',
  'snapshot/delta',
  'snapshot/diff',
  'snapshot/gc',
  'snapshot/journal',
  'snapshot/killed',
  'snapshot/no-zstd',
  'snapshot/patch',
  'snapshot/ranges',
  'snapshot/retention',
  'snapshot/wanted',
  'stress/',
  'style',
  'union/behind',
  'union/disks',
  'union/every-call',
  'union/faults',
  'union/hostile-marks',
  'union/index-answers',
  'union/known-names',
  'union/let-go',
  'union/node-',
]

/**
 * What takes longest, the longest first: run in this order and before all others, so that no long
 * file is left to run alone in the end. A file that takes more than some 20 seconds belongs here.
 */
export const LONGEST = [
  'exercise/mounts',
  'daemon/freeze',
  'daemon/restore-kills',
  'daemon/daemon',
  'behaviour/mount-three-layers',
  'daemon/restore-parts',
  'daemon/restore-undo',
  'snapshot/killed',
  'union/faults',
  'behaviour/mount-kernel-6.1',
  'union/every-call',
  'faults/blocks',
  'behaviour/mount-one-layer',
  'behaviour/mount-passthrough',
  'stress/stress',
  'daemon/crash',
  'daemon/storm',
  'union/overlay-format',
  'daemon/commands',
  'daemon/freeze-consistency',
  'behaviour/mount-fuse-native',
  'behaviour/union-three-layers',
  'daemon/import',
  'conformance/three-layers',
  'behaviour/union-one-layer',
  'daemon/bounds',
  'conformance/passthrough',
  'conformance/base-writable',
  'conformance/one-layer',
  'faults/full-upper',
  'snapshot/restore',
  'snapshot/across',
  'daemon/live',
  'faults/base-changed',
  'faults/unexpected',
  'union/behind',
  'daemon/data-path',
  'story/story',
  'layer/index-top',
  'faults/large-copy',
  'behaviour/overlayfs',
  'union/forged-marks',
  'behaviour/mount-read-only',
  'snapshot/redo',
]

export interface TestFile {
  /** Below test/, without its ending: `union/rename`. */
  readonly name: string
  /** The compiled file, relative to the project. */
  readonly script: string
  /** Why only root can run it; null where anybody can. */
  readonly needsRoot: string | null
  /** True where a second run under another user could not find anything new. */
  readonly once: boolean
  /** True where root is not who the file is about. */
  readonly forUsers: boolean
}

/** All test files of the project at `root`, the longest first. `only` keeps the names that contain one of its words. */
export function testFiles(root: string, only: readonly string[]): TestFile[] {
  const files: TestFile[] = []
  for (const entry of readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue
    const source = join(entry.parentPath, entry.name)
    const name = relative(join(root, 'test'), source).replace(/\.test\.ts$/, '')
    if (only.length > 0 && !only.some((word) => name.includes(word))) continue
    const script = join('dist', 'test', `${name}.test.js`)
    if (!existsSync(join(root, script))) throw new Error(`not built: ${script} (npm run build)`)
    // The header is the comment that opens the file.
    const header = readFileSync(source, 'utf8').split('\n\n', 1)[0] ?? ''
    const needsRoot = /^\/\/ Needs root: (.+)$/m.exec(header)?.[1] ?? null
    files.push({
      name,
      script,
      needsRoot,
      once: ONCE.some((beginning) => name.startsWith(beginning)),
      forUsers: /^\/\/ For users: /m.test(header),
    })
  }
  return files.sort((a, b) => turnOf(a) - turnOf(b) || (a.name < b.name ? -1 : 1))
}

function turnOf({ name }: TestFile): number {
  const turn = LONGEST.indexOf(name)
  return turn < 0 ? LONGEST.length : turn
}
