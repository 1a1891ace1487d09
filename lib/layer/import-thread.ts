// The import thread: does one job, tells its outcome, and is ended by whoever started it.
//
//   import-job.ts ── workerData: the job ─▶ here ── progress … done | failed ─▶
//                 ── the flag, and a message ─▶ breaks off
//
// Rule: what is broken off has undone what it did before it says that it failed.

import { parentPort, workerData } from 'node:worker_threads'
import { failureData } from '../base/failure-data.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { breakOffBy } from './breath.ts'
import { endChildren } from './children.ts'
import { importTree } from './import.ts'
import type { FetchJob, FromImportThread, ImportJob, ImportThreadData, Tree } from './import-job.ts'
import { publishIndex } from './index-file.ts'
import { fetchPackages } from './packages.ts'

const port = parentPort!
const post = (message: FromImportThread) => port.postMessage(message)
const onProgress = (progress: string) => post({ progress })

const JOBS = {
  async import({ source, tree, index, options }: ImportJob): Promise<Tree> {
    const { overrides, warnings } = await importTree(source, tree, { ...options, onProgress })
    try {
      onProgress('reading what was imported')
      return { facts: await publishIndex(tree, index, overrides), warnings }
    } catch (err) {
      removeTree(AT_FDCWD, tree)
      throw err
    }
  },
  fetch: ({ packages, options }: FetchJob): Promise<string[]> =>
    fetchPackages(packages, { ...options, onProgress }),
}

const { flag, name, job } = workerData as ImportThreadData
breakOffBy(flag)
// The flag stops loops; this, what waits for a program.
port.on('message', endChildren)
try {
  const work = JOBS[name] as (job: unknown) => Promise<unknown>
  post({ done: await work(job) })
} catch (err) {
  post({ failed: failureData(err instanceof Error ? err : new Error(String(err))) })
}
