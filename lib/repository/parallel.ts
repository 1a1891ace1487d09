// Several things at once, but not all.

/** Does `work` for each, at most `most` at a time; what fails first ends it, and nothing more is begun. */
export async function inParallel<T>(
  items: Iterable<T>,
  most: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = items[Symbol.iterator]()
  let failed = false
  const lane = async () => {
    for (let next = left.next(); !failed && next.done !== true; next = left.next()) {
      try {
        await work(next.value)
      } catch (err) {
        failed = true
        throw err
      }
    }
  }
  // All lanes are waited for: none goes on after this has ended.
  const ended = await Promise.allSettled(Array.from({ length: most }, lane))
  const bad = ended.find((each) => each.status === 'rejected')
  if (bad !== undefined) throw bad.reason
}
