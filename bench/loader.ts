// The process that makes the load: one for all subjects, so that each meets the same warmed-up
// code, and never the process that serves them. Rows arrive by name, times go back.

import { type Load, type Measured, ROWS } from './rows.ts'

export interface Order {
  readonly row: string
  readonly root: string
  readonly load: Load
}
export type Answer = Measured | { readonly failed: string }

process.on('message', ({ row, root, load }: Order) => {
  let answer: Answer
  try {
    answer = ROWS[row]!.run(root, load)
  } catch (err) {
    answer = { failed: String(err) }
  }
  process.send!(answer)
})
