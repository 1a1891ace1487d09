// One text for one value: JSON with the keys of every object in order, nothing between tokens.
//
// Rule: text that is digested or signed is made here, never by JSON.stringify alone.

/** Canonical JSON of plain data; `undefined` fields are left out. */
export function canonical(value: unknown): string {
  return JSON.stringify(ordered(value))
}

/** The same, indented, for people who look into an archive. */
export function canonicalText(value: unknown): string {
  return `${JSON.stringify(ordered(value), null, 1)}\n`
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  // No prototype: a field may be called `__proto__`.
  const sorted: Record<string, unknown> = Object.create(null)
  for (const [name, field] of fields) sorted[name] = ordered(field)
  return sorted
}
