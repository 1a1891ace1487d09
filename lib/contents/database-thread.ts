// The thread that holds one database against another (database.ts).
//
// Rule: it says one thing: what differs, or why that is not known.

import { parentPort, workerData } from 'node:worker_threads'
import type { DatabaseChanges, DatabaseWish } from './database.ts'
import { compareDatabases } from './tables.ts'

let answer: DatabaseChanges
try {
  answer = compareDatabases(workerData as DatabaseWish)
} catch (err) {
  answer = { schema: [], tables: [], why: (err as Error).message }
}
parentPort?.postMessage(answer)
