// Rows of a daemon that has just started: the first thousand calls of a kind, before its compiler
// knows them. The same calls once it does are rows of their own, under the plain names.
//
// Rule: these rows come last, because they mount anew.

import { CHANGES } from './changes.ts'
import { NAMES } from './names.ts'
import type { Row } from './row.ts'
import { REAL_WORK } from './work.ts'

const KNOWN = { ...NAMES, ...CHANGES, ...REAL_WORK }

export const NEW_DAEMON: Readonly<Record<string, Row>> = Object.fromEntries(
  ['lookup', 'open first', 'create', 'rename', 'write 4 KiB', 'git status'].map((name) => {
    const { warm: _, quick: __, depth: ___, ...row } = KNOWN[name]!
    const what = `${row.what}; by a daemon that has just started`
    return [`${name}, new`, { ...row, group: 'new daemon', what, newDaemon: true }]
  }),
)
