// svsfs doctor: what this host, the disk and the store have of what svsfs needs.

import type { Diagnosis, Verdict } from '../daemon/doctor.ts'
import { createColors } from './colors.ts'
import type { CommandRow } from './command.ts'
import { printable } from './output.ts'

const WORDS: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  warning: 'warning',
  failure: 'FAILURE',
}

const COLOURS = { ok: 'green', warning: 'yellow', failure: 'red' } as const

export const doctor: CommandRow<null, Diagnosis> = {
  about: `Looks at the kernel and its FUSE, at programs and libraries, limits, the disk of the store, the store, and at mounts whose daemon is gone. It changes nothing: no store is made and no daemon started, and what is tried on a disk, or mounted for a moment, is taken away again.

A warning is something that svsfs can do without. Exit status 0: nothing failed; 1: something did, and the lines say what mends it. "svsfs verify" reads what states consist of, too.`,
  examples: ['svsfs doctor', 'svsfs doctor --json', 'svsfs doctor --store /data/svsfs'],
  parse: () => null,
  run: async ({ session, exit }) => {
    const { examine } = await import('../daemon/doctor.ts')
    const diagnosis = await examine(session.places.root)
    if (diagnosis.verdict === 'failure') exit(1)
    return diagnosis
  },
  print: ({ findings }, out) => {
    const paint = createColors(null)
    for (const { name, verdict, says, mend } of findings) {
      const word = paint(COLOURS[verdict], WORDS[verdict].padEnd(8))
      out.line(`${word} ${name.padEnd(14)} ${printable(says)}`)
      if (mend !== null) out.line(`${' '.repeat(24)}${printable(mend)}`)
    }
  },
}
