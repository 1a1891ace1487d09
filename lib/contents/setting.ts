// A file of settings as a tree of values, whatever it is written in.
//
//   {"a":{"b":[1,"x"]}}      Map a ─▶ Map b ─▶ [1, "x"]
//
// Rule: a tree is no deeper than DEEPEST; what would be is no settings.

export type Scalar = string | number | boolean | null

export type Setting = Scalar | readonly Setting[] | SettingMap

/** Keys come from files: no plain object takes them all. */
export type SettingMap = ReadonlyMap<string, Setting>

export const DEEPEST = 100

/** What is no settings after all. */
export class NoSettings extends Error {}

/** The tree of what a library has read. Throws NoSettings. */
export function settingOf(value: unknown, depth = 0): Setting {
  if (depth > DEEPEST) throw new NoSettings('too deep')
  if (Array.isArray(value)) return value.map((each) => settingOf(each, depth + 1))
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof Date) return value.toISOString()
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'bigint':
      return value.toString()
    case 'object':
      return value === null ? null : mapOf(value, depth)
    default:
      throw new NoSettings(typeof value)
  }
}

function mapOf(value: object, depth: number): SettingMap {
  const map = new Map<string, Setting>()
  for (const [key, each] of Object.entries(value)) map.set(key, settingOf(each, depth + 1))
  return map
}

export const isMap = (setting: Setting | undefined): setting is SettingMap => setting instanceof Map

/** True where both are the same; the order of keys counts for nothing. */
export function sameSetting(a: Setting | undefined, b: Setting | undefined): boolean {
  if (isMap(a) && isMap(b))
    return a.size === b.size && [...a].every(([key, each]) => sameSetting(each, b.get(key)))
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((each, at) => sameSetting(each, b[at]))
  return a === b
}
