// svsfs doctor: what svsfs needs of this host, of a store and of its mounts, looked at one by one.
//
//   host (doctor-host.ts)   disk and store (doctor-store.ts)   mounts (doctor-mounts.ts)
//
// Rule: nothing is changed: no store is made, none is taken, no daemon is started. What is tried on a
// disk is taken away again. Each finding is one line, and what is not well says how it is mended.

import { errorWords } from './errors.ts'

export type Verdict = 'ok' | 'warning' | 'failure'

export interface Finding {
  readonly name: string
  readonly verdict: Verdict
  readonly says: string
  /** The command, or the words, that mend it. */
  readonly mend: string | null
}

export interface Diagnosis {
  readonly store: string
  /** The worst of all. */
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
}

export const well = (name: string, says: string): Finding => ({
  name,
  verdict: 'ok',
  says,
  mend: null,
})
export const warning = (name: string, says: string, mend: string): Finding => ({
  name,
  verdict: 'warning',
  says,
  mend,
})
export const failing = (name: string, says: string, mend: string): Finding => ({
  name,
  verdict: 'failure',
  says,
  mend,
})

/** Looks at everything; `root` is the store that commands would use. */
export async function examine(root: string): Promise<Diagnosis> {
  const { examineHost } = await import('./doctor-host.ts')
  const { examineDisk, examineStore } = await import('./doctor-store.ts')
  const { examineMounts } = await import('./doctor-mounts.ts')
  const parts: readonly (readonly [string, () => readonly Finding[] | Promise<Finding[]>])[] = [
    ['host', examineHost],
    ['mounts', examineMounts],
    ['disk', () => examineDisk(root)],
    ['store', () => examineStore(root)],
  ]
  const findings: Finding[] = []
  for (const [name, look] of parts) {
    try {
      findings.push(...(await look()))
    } catch (err) {
      // One part that cannot be looked at says nothing of the others.
      findings.push(failing(name, errorWords(err).message, 'svsfs help errors'))
    }
  }
  return { store: root, verdict: worst(findings), findings }
}

const ORDER: readonly Verdict[] = ['ok', 'warning', 'failure']

const worst = (findings: readonly Finding[]): Verdict =>
  ORDER[Math.max(...findings.map(({ verdict }) => ORDER.indexOf(verdict)))] ?? 'ok'
