// What Firefox and its kin keep in prefs.js and user.js: one call a line.
//
//   user_pref("browser.startup.page", 3);
//
// Rule: nothing of it is run. A line that is no call of these and no comment, and it is a program.

import { NoSettings, type Scalar, type SettingMap } from './setting.ts'

const CALL =
  /^(?:user_pref|sticky_pref|lockPref|defaultPref|pref)\(\s*"((?:[^"\\]|\\.)*)"\s*,\s*("(?:[^"\\]|\\.)*"|-?\d+|true|false)\s*\)\s*;?$/

/** Throws NoSettings. */
export function readPrefs(text: string): SettingMap {
  const values = new Map<string, Scalar>()
  let inComment = false
  for (const each of text.split(/\r?\n/)) {
    const line = each.trim()
    if (inComment || line.startsWith('/*')) inComment = !line.includes('*/')
    else if (line !== '' && !/^(\/\/|#)/.test(line)) {
      const [, key, value] = CALL.exec(line) ?? []
      if (key === undefined || value === undefined) throw new NoSettings(line)
      values.set(String(unquoted(`"${key}"`)), unquoted(value))
    }
  }
  if (values.size === 0) throw new NoSettings('no settings')
  return values
}

// Its strings are JavaScript's, of which JSON lacks `\x` and `\'`.
function unquoted(literal: string): Scalar {
  const json = literal.replace(/\\x([0-9a-fA-F]{2})/g, '\\u00$1').replaceAll("\\'", "'")
  return JSON.parse(json) as Scalar
}
