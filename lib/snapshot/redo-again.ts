// A plan that may have been applied in part, or not at all, is applied after a crash.
//
//   rewrite ─▶ runs written ─▶ is it what it was to become?  yes ─▶ as it is
//                                                            no  ─▶ made anew from the state ─▶ place
//
// Between the plan and its application a program may have written into a file that was to be rewritten. While
// the process lives that is seen in time; afterwards only the whole file tells.
//
// Rule: nobody else touches the sublayer. Each step may be done again, and so may this.

import { baseName, parentPath, shown } from '../base/path.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { makeContent } from './content.ts'
import { Damage, type DepotReader } from './depot.ts'
import { contentId, holesOf } from './file-data.ts'
import { readable, writeFull } from './readable.ts'
import type { RedoPlan, RedoStep } from './records.ts'
import { applyRedo, openDirectory, openStage, type RedoDirs } from './redo.ts'
import { type RewriteStep, rewriteFile } from './rewrite.ts'

/**
 * Applies a plan. `readOnly`: where a version of the read-only part lies. Answers what could not be made right,
 * as text. Throws Errno.
 */
export async function redoAgain(
  depot: DepotReader,
  dirs: RedoDirs,
  plan: RedoPlan,
  readOnly: (version: number) => readonly string[],
): Promise<string[]> {
  const steps: RedoStep[] = []
  const failed: string[] = []
  const stage = openStage(dirs, plan)
  try {
    for (const [at, step] of plan.steps.entries()) {
      if (step.op !== 'rewrite') {
        steps.push(step)
        continue
      }
      try {
        const name = `s${plan.steps.length + at}`
        const made = await again(depot, dirs, stage, step, name, readOnly(step.version))
        if (made !== null) steps.push(made)
      } catch (err) {
        if (!(err instanceof Error) || !(err instanceof Damage || 'code' in err)) throw err
        failed.push(`${shown(step.path)} is not wholly as in state ${step.state}: ${err.message}`)
      }
    }
  } finally {
    sys.close(stage)
  }
  applyRedo(dirs, { ...plan, steps })
  return failed
}

const stat = new Stat()

// Null where the file is as it should be.
async function again(
  depot: DepotReader,
  dirs: RedoDirs,
  stage: number,
  step: RewriteStep,
  name: string,
  ro: readonly string[],
): Promise<RedoStep | null> {
  const fd = openFile(dirs, step)
  if (fd !== null) {
    try {
      must(sys.stat(fd, '', stat), shown(step.path))
      if (stat.ino === step.ino && stat.nlink === 1) rewriteFile(fd, stage, step)
      if (idOf(fd, step.size) === step.content) return null
    } finally {
      sys.close(fd)
    }
  }
  sys.unlinkat(stage, name)
  const to = must(sys.openat(stage, name, O.CREAT | O.EXCL | O.WRONLY, 0o600), name)
  try {
    must(sys.ftruncate(to, step.size), name)
    const sources = { depot, scope: step.scope, ro, temporary: dirs.work }
    await makeContent(sources, step.content, (bytes, offset) => writeFull(to, bytes, offset))
    must(sys.stat(to, '', stat), name)
    const { path, number } = step
    return { op: 'place', path, staged: name, ino: stat.ino, number }
  } finally {
    sys.close(to)
  }
}

function openFile(dirs: RedoDirs, { path }: RewriteStep): number | null {
  const root = must(sys.openat(AT_FDCWD, dirs.rw, O.PATH | O.DIRECTORY), shown(dirs.rw))
  const dir = openDirectory(root, parentPath(path))
  sys.close(root)
  if (dir === null) return null
  try {
    const name = baseName(path)
    if (sys.stat(dir, name, stat) < 0 || (stat.mode & S.IFMT) !== S.IFREG) return null
    const open = () => sys.openat(dir, name, O.RDWR | O.NOFOLLOW)
    const fd = asOwner(dir, name, open)
    return fd < 0 ? null : fd
  } finally {
    sys.close(dir)
  }
}

function idOf(fd: number, size: number): string {
  must(sys.stat(fd, '', stat), 'stat')
  if (stat.size !== size) return ''
  const { read } = readable(fd, size)
  return contentId({ size, holes: holesOf(fd, size), read, close() {} })
}
