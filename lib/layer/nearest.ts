// The word that somebody probably meant.
//
// Rule: asked only when something has failed already, so that nobody waits for it.

/** A word of `known` that a slip of the fingers makes into `word`, or null. */
export async function nearest(word: string, known: Iterable<string>): Promise<string | null> {
  const { distance } = await import('fastest-levenshtein')
  // Of a short word more than a third is another word.
  const most = Math.min(3, Math.ceil(word.length / 3))
  let best: string | null = null
  let least = most + 1
  for (const one of known) {
    if (Math.abs(one.length - word.length) > most) continue
    const steps = distance(word.toLowerCase(), one.toLowerCase())
    if (steps < least) [best, least] = [one, steps]
  }
  return best
}
