// Picking a state with the keyboard: typing filters, the arrows go, Tab shows what restoring would change.
//
//   keys ─▶ a moment of rest ─▶ what changed since is asked for, one at a time, and kept
//             the line under the cursor: with what files hold       └▶ drawn when it is known
//             the other lines to be seen: in numbers
//
// Rule: nothing changes here. What is being asked is waited for before the picker ends, so that the store is
// free for whatever follows.

import { setTimeout as sleep } from 'node:timers/promises'
import { AutocompletePrompt, isCancel } from '@clack/core'
import { Failure } from '../base/failure.ts'
import type { DiffAnswer } from '../daemon/diff-methods.ts'
import type { StateLine } from '../daemon/state-methods.ts'
import { createColors } from './colors.ts'
import {
  countsOf,
  cut,
  detailsOf,
  fitting,
  searched,
  short,
  stateRow,
  wayBack,
} from './pick-lines.ts'

/** How long the cursor rests before more is asked. */
const REST_MS = 200
/** Title, search, two lines between, three about the state, the line of keys, and one for the cursor. */
const FRAME = 9

type Option = { readonly value: string; readonly state: StateLine }

/** What changed from a state until now; `whole`: with what files hold. */
export type Since = (state: StateLine, whole: boolean) => Promise<DiffAnswer>

/** The state that a person picks. */
export async function pickOf(
  title: string,
  states: readonly StateLine[],
  since: Since,
): Promise<StateLine> {
  const output = process.stderr
  const known = new Map<string, DiffAnswer | string>()
  const counted = new Map<string, string>()
  let visible: readonly StateLine[] = []
  let showsChanges = false
  let asking: Promise<void> | null = null
  let ended = false
  const prompt = new AutocompletePrompt<Option>({
    output,
    options: states.map((state) => ({ value: state.id, state })),
    filter: (words, { state }) => {
      const text = searched(state)
      return words
        .toLowerCase()
        .split(/\s+/)
        .every((word) => text.includes(word))
    },
    validate: (value) => (value === undefined ? 'no state is called so' : undefined),
    render() {
      const { columns = 80, rows = 24 } = output
      if (this.state === 'submit' || this.state === 'cancel') return cut(title, columns - 1)
      const seen = { title, known, counted, showsChanges, columns: columns - 1, rows }
      visible = statesShown(this, seen)
      return frame(this, seen)
    },
  })
  const read = async (state: StateLine, whole: boolean): Promise<void> => {
    try {
      const found = await since(state, whole)
      if (whole) known.set(state.id, found)
      counted.set(state.id, short(countsOf(found)))
    } catch (err) {
      if (whole) known.set(state.id, `not known: ${(err as Error).message}`)
      counted.set(state.id, '?')
    }
    // What the prompt listens to, to draw itself anew.
    if (!ended) output.emit('resize')
  }
  const askSoon = async (): Promise<void> => {
    for (;;) {
      const id = prompt.focusedValue as string | undefined
      await sleep(REST_MS)
      if (ended) return
      if (id !== prompt.focusedValue) continue
      const state = states.find((each) => each.id === id)
      const whole = state !== undefined && !known.has(state.id)
      const next = whole ? state : visible.find((each) => !counted.has(each.id))
      if (next === undefined) return
      await read(next, whole)
    }
  }
  const ask = (): void => {
    asking ??= askSoon().finally(() => {
      asking = null
    })
  }
  prompt.on('key', (_, key) => {
    if (key.name === 'tab') showsChanges = !showsChanges
    ask()
  })
  ask()
  output.write('\r\x1b[2K')
  const answer = await prompt.prompt()
  ended = true
  await asking
  const state = states.find(({ id }) => id === answer)
  if (isCancel(answer) || state === undefined) throw new Failure('SVS_CANCELLED')
  return state
}

interface Seen {
  readonly title: string
  readonly known: ReadonlyMap<string, DiffAnswer | string>
  /** What changed until now, in a few signs. */
  readonly counted: ReadonlyMap<string, string>
  readonly showsChanges: boolean
  readonly columns: number
  readonly rows: number
}

type Drawn = Pick<
  AutocompletePrompt<Option>,
  'filteredOptions' | 'cursor' | 'userInput' | 'state' | 'error' | 'options'
>

/** How many lines there are for states and changes, how many of them for states, and from which on. */
function placesOf({ filteredOptions: found, cursor }: Drawn, { showsChanges, rows }: Seen) {
  const room = Math.max(3, rows - FRAME)
  const listed = showsChanges ? Math.max(1, Math.min(4, room - 3)) : Math.min(12, room)
  const first = Math.max(0, Math.min(cursor - Math.floor(listed / 2), found.length - listed))
  return { room, listed, first }
}

function statesShown(prompt: Drawn, seen: Seen): StateLine[] {
  const { listed, first } = placesOf(prompt, seen)
  return prompt.filteredOptions.slice(first, first + listed).map(({ state }) => state)
}

function frame(prompt: Drawn, seen: Seen): string {
  const { title, known, counted, showsChanges, columns } = seen
  const paint = createColors(process.stderr.isTTY === true && !process.env.NO_COLOR ? true : null)
  const { filteredOptions: found, cursor, userInput } = prompt
  const { room, listed, first } = placesOf(prompt, seen)
  const list = statesShown(prompt, seen).map((state, at) => {
    const row = stateRow(state, columns - 2, counted.get(state.id) ?? '…')
    return first + at === cursor ? paint('cyan', `❯ ${row}`) : `  ${row}`
  })
  const under = found[cursor]?.state
  const since = under === undefined ? null : (known.get(under.id) ?? null)
  const changes = typeof since === 'string' ? [cut(since, columns)] : since === null ? ['…'] : null
  const shown = !showsChanges
    ? []
    : [
        cut('restoring it would change:', columns),
        ...fitting(changes ?? wayBack(since as DiffAnswer, columns, paint), room - listed),
      ]
  const count = `${found.length} of ${prompt.options.length}`
  return [
    paint('bold', cut(title, columns)),
    cut(`/ ${userInput}█  (${count})`, columns),
    ...(list.length > 0 ? list : [cut(`  nothing is called so; ${KEYS.erase}`, columns)]),
    ...(prompt.state === 'error' ? [paint('red', cut(prompt.error, columns))] : []),
    '',
    ...(under === undefined ? [] : detailsOf(under, since, columns)),
    ...shown,
    cut(showsChanges ? KEYS.changes : KEYS.list, columns),
  ].join('\n')
}

const KEYS = {
  list: 'Enter restore · Tab what would change · Esc leave · type to filter',
  changes: 'Enter restore · Tab back · ↑↓ other states · Esc leave',
  erase: 'Backspace takes letters back',
}
