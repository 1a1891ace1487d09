// Imports in a thread of their own, so that the one that asks goes on answering others.
//
//   asker: importInThread ── job ─▶ import-thread.ts ── facts, warnings ─▶
//            signal aborts ─ flag ─▶ undoes what it did ── failed ─▶ SVS_CANCELLED
//
// Rule: a job that failed or was broken off has left nothing where it worked.

import { Worker } from 'node:worker_threads'
import { Failure } from '../base/failure.ts'
import { type FailureData, failureFrom } from '../base/failure-data.ts'
import type { ImportOptions, Source } from './import.ts'
import type { TreeFacts } from './index-file.ts'
import type { FetchOptions } from './packages.ts'

/** Paths are absolute and internal, as importTree and publishIndex take them. */
export interface ImportJob {
  readonly source: Source
  /** Where the tree, and its index, are made: names that are not there yet. */
  readonly tree: string
  readonly index: string
  readonly options: Omit<ImportOptions, 'onProgress'>
}

export interface Tree {
  readonly facts: TreeFacts
  readonly warnings: readonly string[]
}

export interface FetchJob {
  readonly packages: readonly string[]
  readonly options: Omit<FetchOptions, 'onProgress'>
}

/** Who waits for a job. */
export interface Waiter {
  /** Breaks the job off. */
  readonly signal: AbortSignal
  readonly onProgress: (text: string) => void
}

export interface ImportThreadData {
  /** Shared; [0] is set to break off. */
  readonly flag: Int32Array
  readonly name: 'import' | 'fetch'
  readonly job: unknown
}

export type FromImportThread =
  | { readonly progress: string }
  | { readonly done: unknown }
  | { readonly failed: FailureData }

/** Builds a tree and its index (importTree, publishIndex). Throws what they throw, or SVS_CANCELLED. */
export const importInThread = (job: ImportJob, waiter: Waiter): Promise<Tree> =>
  runJob('import', job, waiter) as Promise<Tree>

/** Fetches packages (fetchPackages). Throws what it throws, or SVS_CANCELLED. */
export const fetchInThread = (job: FetchJob, waiter: Waiter): Promise<string[]> =>
  runJob('fetch', job, waiter) as Promise<string[]>

async function runJob(
  name: ImportThreadData['name'],
  job: unknown,
  { signal, onProgress }: Waiter,
): Promise<unknown> {
  refuseBrokenOff(signal)
  const flag = new Int32Array(new SharedArrayBuffer(4))
  const workerData: ImportThreadData = { flag, name, job }
  const worker = new Worker(new URL('./import-thread.js', import.meta.url), { workerData })
  const breakOff = () => {
    Atomics.store(flag, 0, 1)
    worker.postMessage('break off')
  }
  signal.addEventListener('abort', breakOff, { once: true })
  try {
    const outcome = await outcomeOf(worker, onProgress)
    // Whatever it came to: nobody wants it any more.
    refuseBrokenOff(signal)
    if ('failed' in outcome) throw failureFrom(outcome.failed)
    return outcome.done
  } finally {
    signal.removeEventListener('abort', breakOff)
    await worker.terminate()
  }
}

function refuseBrokenOff(signal: AbortSignal): void {
  if (signal.aborted) throw new Failure('SVS_CANCELLED')
}

type Outcome = Exclude<FromImportThread, { progress: string }>

function outcomeOf(worker: Worker, onProgress: (text: string) => void): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message: FromImportThread) => {
      if ('progress' in message) onProgress(message.progress)
      else resolve(message)
    })
    worker.on('error', reject)
    worker.on('exit', () => reject(new Failure('SVS_INTERNAL', 'the import thread ended')))
  })
}
