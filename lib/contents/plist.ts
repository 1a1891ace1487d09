// Property lists, as XML and binary.
//
// Rule: what the library finds wrong is no settings; it says nothing on the terminal.

import { parse } from 'plist'
import { NoSettings, type SettingMap, settingOf } from './setting.ts'

/** Throws whatever the library throws. */
export function readPropertyList(text: string, bytes: Uint8Array): SettingMap {
  const isBinary = text === 'bplist00'
  if (!isBinary && !text.includes('<plist')) throw new NoSettings('other XML')
  const setting = settingOf(silently(() => parse(isBinary ? bytes : text)))
  if (setting instanceof Map) return setting
  return new Map([['', setting]])
}

// Its XML parser warns of what it meets.
function silently<T>(work: () => T): T {
  const { warn, error } = console
  console.warn = console.error = () => {}
  try {
    return work()
  } finally {
    console.warn = warn
    console.error = error
  }
}
