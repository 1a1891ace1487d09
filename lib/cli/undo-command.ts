// svsfs undo: the last operation on a layer is taken back.

import type { UndoLine } from '../daemon/restore-methods.ts'
import type { Undone } from '../daemon/undoing.ts'
import { type CommandRow, hostOption, option } from './command.ts'
import type { Output } from './output.ts'
import { ago, clock, shellWord } from './words.ts'

const WORDS: Readonly<Record<Undone['what'], string>> = {
  restore: 'the restore',
  reset: 'the reset',
  activate: 'the activation',
  deactivate: 'the deactivation',
  sublayer: 'the switch of sublayers',
  replace: 'the replacement',
  delete: 'the deletion',
}

export const undo: CommandRow<{ layer: string | null; list: boolean }, Undone | UndoLine[]> = {
  about:
    'Of one layer, or of whichever came last; again and again, to the ones before; one whose state is deleted is skipped. What it replaces is kept as a state first, so nothing that came after the operation is lost. A deleted layer comes back deactivated.',
  options: [option('--list', 'show what can be taken back, the next first'), hostOption()],
  onHost: true,
  examples: ['svsfs undo', 'svsfs undo firefox', 'svsfs undo --list'],
  parse: (words) => ({ layer: words.optionalArg(0), list: words.flag('list') }),
  run: ({ session }, { layer, list }) => session.call(list ? 'undo.list' : 'undo', { layer }),
  print: (done, out) => (Array.isArray(done) ? printList(done, out) : printDone(done, out)),
}

function printList(lines: readonly UndoLine[], out: Output): void {
  if (lines.length === 0) out.note('there is nothing to undo')
  else printTable(lines, out)
}

function printTable(lines: readonly UndoLine[], out: Output): void {
  out.table(
    ['WHEN', '', 'LAYER', 'WHAT', 'BEFORE', ''],
    lines.map(({ at, layer, what, state, paths }) => [
      clock(at),
      ago(at),
      layer,
      what,
      state ?? '',
      paths?.join(' ') ?? '',
    ]),
  )
}

function printDone({ what, at, layer, before, mounts, skipped }: Undone, out: Output): void {
  for (const { what, at, name, state } of skipped)
    out.note(
      `${WORDS[what]} of layer ${name}, ${ago(at)}, is skipped: its state ${state} is deleted`,
    )
  out.line(`${WORDS[what]} of layer ${layer}, ${ago(at)}, is taken back`)
  if (mounts.length > 0) out.line(`seen at ${mounts.join(', ')}`)
  if (before !== null)
    out.note(`what was there is state ${before}: svsfs restore ${shellWord(layer)} ${before}`)
}
