// A program that an import waits for and that never ends, in place of gzip and apt-get: so an
// import takes as long as a test wants.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface StuckTool {
  /** What svsfs takes for a compressed archive. */
  readonly archive: string
  /** PATH with the program before all others. */
  readonly path: string
  /** Process number of the program started last; null before the first. */
  pid(): number | null
  /** As before the first. */
  forget(): void
}

/** The program and an archive for it, in an empty directory. */
export function stuckTool(folder: string): StuckTool {
  const pidFile = join(folder, 'pid')
  const script = `#!/bin/sh\necho $$ >'${pidFile}.new'\nmv '${pidFile}.new' '${pidFile}'\nexec sleep 600\n`
  for (const tool of ['gzip', 'apt-get']) writeFileSync(join(folder, tool), script, { mode: 0o755 })
  const archive = join(folder, 'archive.tar.gz')
  writeFileSync(archive, Buffer.from('1f8b0800', 'hex'))
  return {
    archive,
    path: `${folder}:${process.env.PATH}`,
    pid: () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : null),
    forget: () => rmSync(pidFile, { force: true }),
  }
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 8000; i++) {
    if (holds()) return
    await sleep(5)
  }
  throw new Error(`not within forty seconds: ${what}`)
}
