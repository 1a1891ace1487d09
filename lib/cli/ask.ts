// Questions to a person. Without a terminal nothing is asked: the command says what to pass.

import { Failure } from '../base/failure.ts'

/** Fails with SVS_NO_TERMINAL unless a person can answer. */
export function needTerminal(instead: string): void {
  if (!hasTerminal()) throw new Failure('SVS_NO_TERMINAL', instead)
}

/** True where a person can answer. */
export const hasTerminal = (): boolean =>
  process.stdin.isTTY === true && process.stderr.isTTY === true

// A line of progress may stand where the question is to be.
const clearLine = () => process.stderr.write('\r\x1b[2K')

/** Asks yes or no; false is what a person has who ends the question. */
export async function agreed(question: string): Promise<boolean> {
  const { confirm: ask } = await import('@clack/prompts')
  clearLine()
  return (await ask({ message: question, initialValue: false, output: process.stderr })) === true
}

/** Asks yes or no; anything but yes ends the command with SVS_CANCELLED. */
export async function confirm(question: string): Promise<void> {
  needTerminal('--yes')
  if (!(await agreed(question))) throw new Failure('SVS_CANCELLED')
}

export interface Choice<T> {
  readonly value: T
  readonly label: string
  readonly hint?: string
}

/** Lets a person pick one. */
export async function pick<T extends string>(
  question: string,
  choices: readonly Choice<T>[],
  instead: string,
): Promise<T> {
  needTerminal(instead)
  const { select, isCancel } = await import('@clack/prompts')
  clearLine()
  const options = choices.map(({ value, label, hint }) => ({
    value: value as string,
    label,
    ...(hint === undefined ? {} : { hint }),
  }))
  const answer = await select<string>({
    message: question,
    options,
    maxItems: 12,
    output: process.stderr,
  })
  if (isCancel(answer)) throw new Failure('SVS_CANCELLED')
  return answer as T
}
