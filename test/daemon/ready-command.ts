// A process that runs one command line after the other, as `svsfs` itself would: a test that asks many
// things waits once for it to start. ready.ts starts it.
//
//   { words } ─▶ lib/cli/main.ts ─▶ { status, stdout, stderr }
//
// Rule: one at a time; it ends with whoever started it.

import { perform } from '../../lib/cli/main.ts'
import { PROGRAM } from '../story/svsfs.ts'
import type { Asked, Heard } from './ready.ts'

process.on('disconnect', () => process.exit())
process.on('message', ({ words }: Asked) => {
  void act(words).then((heard) => process.send?.(heard))
})

async function act(words: readonly string[]): Promise<Heard> {
  const said = { stdout: '', stderr: '' }
  const written = [capture('stdout', said), capture('stderr', said)]
  process.exitCode = 0
  try {
    // Whoever starts a daemon starts the program that it is itself.
    process.argv[1] = PROGRAM
    await perform([process.execPath, PROGRAM, ...words])
  } finally {
    for (const giveBack of written) giveBack()
  }
  return { status: Number(process.exitCode), ...said }
}

/** Keeps what is written to a stream, until the answer is called. */
function capture(name: 'stdout' | 'stderr', said: Record<typeof name, string>): () => void {
  const stream = process[name]
  const { write } = stream
  stream.write = ((text: string | Uint8Array, ...rest: unknown[]) => {
    said[name] += typeof text === 'string' ? text : Buffer.from(text).toString()
    const done = rest.at(-1)
    if (typeof done === 'function') done()
    return true
  }) as typeof write
  return () => {
    stream.write = write
  }
}
