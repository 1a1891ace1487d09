// Which state a person means: an id or the beginning of one, a label, `latest`, `-1` (the
// one before the latest), `-2` and so on.
//
// Rule: a label wins over an id that begins alike; what fits several is refused, never guessed.

import { Failure } from '../base/failure.ts'
import type { SnapshotRecord } from './records.ts'

/**
 * The state called `text` among a layer's (oldest first). Throws SVS_STATE_NOT_FOUND,
 * SVS_STATE_AMBIGUOUS.
 */
export function findState(
  snapshots: readonly SnapshotRecord[],
  text: string,
  layerName: string,
): SnapshotRecord {
  const found = candidates(snapshots, text)
  if (found.length > 1) throw new Failure('SVS_STATE_AMBIGUOUS', text, layerName)
  if (found[0] === undefined) throw new Failure('SVS_STATE_NOT_FOUND', text, layerName)
  return found[0]
}

function candidates(snapshots: readonly SnapshotRecord[], text: string): SnapshotRecord[] {
  if (text === 'latest') return snapshots.slice(-1)
  const back = /^-(\d{1,9})$/.exec(text)
  if (back !== null) {
    const at = snapshots.length - 1 - Number(back[1])
    return at < 0 ? [] : snapshots.slice(at, at + 1)
  }
  const labelled = snapshots.filter(({ label }) => label === text)
  if (labelled.length > 0) return labelled
  return text === '' ? [] : snapshots.filter(({ id }) => id.startsWith(text))
}
