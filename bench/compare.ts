// A new result held against the kept one, by ratios: this machine may be another one today.
//
//   svsfs : fuse-overlayfs   kept  1.40 (1.31–1.52)   now  1.12 (1.05–1.20)   ─▶  slower
//
// Rule: slower is what lies beyond both intervals, and by more than anybody would call noise; too few
// samples have no interval, and are not judged.

import { type Ratio, RIVALS, ratioIn, ratioText } from './publish.ts'
import type { Results } from './results.ts'

/** A change that is smaller is not spoken of. */
const NOTICED = 0.07

/** Says on stdout what changed; answers the exit status. */
export function compare(now: Results, kept: Results): number {
  const lines: string[] = []
  let slower = 0
  let compared = 0
  for (const [place, table] of Object.entries(now.cells))
    for (const row of Object.keys(table)) {
      const pair = ratiosOf(now, kept, place, row)
      if (pair === null) continue
      compared++
      const change = changeOf(pair)
      if (change === 'same') continue
      if (change === 'slower') slower++
      lines.push(
        `${change}: ${row} (${place}): against ${pair.rival} ${ratioText(pair.now)}, kept ${ratioText(pair.kept)}`,
      )
    }
  const failed = failures(now)
  process.stdout.write(
    `\nHeld against the result of ${kept.runs.at(-1)!.date}, ${compared} rows:\n${[...lines, ...failed].map((line) => `  ${line}\n`).join('')}` +
      `${slower === 0 ? 'Nothing became slower' : `${slower} rows became slower`}.\n`,
  )
  return slower > 0 || failed.length > 0 || compared === 0 ? 1 : 0
}

interface Pair {
  readonly rival: string
  readonly now: Ratio
  readonly kept: Ratio
}

/** The ratio to the first rival that was measured both times. */
function ratiosOf(now: Results, kept: Results, place: string, row: string): Pair | null {
  for (const rival of [...RIVALS, 'plain']) {
    const today = ratioIn(now.cells[place] ?? {}, row, rival)
    const then = ratioIn(kept.cells[place] ?? {}, row, rival)
    if (today !== null && then !== null) return { rival, now: today, kept: then }
  }
  return null
}

function changeOf({ now, kept }: Pair): 'slower' | 'faster' | 'same' {
  if (now.verdict === 'too few' || kept.verdict === 'too few') return 'same'
  if (now.high < kept.low && now.middle < kept.middle * (1 - NOTICED)) return 'slower'
  if (now.low > kept.high && now.middle > kept.middle * (1 + NOTICED)) return 'faster'
  return 'same'
}

/** Rows that svsfs could not do. */
function failures({ cells }: Results): string[] {
  return Object.entries(cells).flatMap(([place, table]) =>
    Object.entries(table).flatMap(([row, subjects]) => {
      const why = subjects.svsfs?.missing
      return why === undefined ? [] : [`failed: ${row} (${place}): ${why}`]
    }),
  )
}
