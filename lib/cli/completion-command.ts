// svsfs completion: a shell's function that completes svsfs, and what that asks.

import { Failure } from '../base/failure.ts'
import { nearest } from '../layer/nearest.ts'
import { type CommandRow, option } from './command.ts'
import type { Completion } from './completing.ts'
import { SCRIPTS } from './completion-scripts.ts'
import { printable } from './output.ts'

interface Wish {
  readonly shell: string | null
  readonly words: readonly string[] | null
}

type Answer = { readonly script: string } | Completion

export const completion: CommandRow<Wish, Answer> = {
  about:
    'Prints what a shell needs to complete commands, options, layers, states and directories. It goes into the file that the shell reads when it starts. Completing starts no daemon and waits for nobody.',
  options: [option('--words', 'answer what may stand at the end of the words after --').hideHelp()],
  passThrough: true,
  examples: [
    'svsfs completion fish | source            # in ~/.config/fish/config.fish',
    'source <(svsfs completion bash)           # in ~/.bashrc',
    'source <(svsfs completion zsh)            # in ~/.zshrc, after compinit',
  ],
  parse: (words) => {
    const shell = words.optionalArg(0)
    const rest = [...(shell === null ? [] : [shell]), ...words.args(1)]
    return words.flag('words') ? { shell: null, words: rest } : { shell, words: null }
  },
  run: async ({ session }, { shell, words }) => {
    if (words !== null)
      return (await import('./completing.ts')).complete(words, session.places.root)
    const script = shell === null ? undefined : SCRIPTS[shell]
    if (script !== undefined) return { script }
    const known = Object.keys(SCRIPTS)
    const failure = new Failure('SVS_USAGE', `completion is for ${known.join(', ')}`)
    throw failure.suggesting(shell === null ? null : await nearest(shell, known))
  },
  print: (answer, out) => {
    if ('script' in answer) return out.line(answer.script)
    for (const { word, about } of answer.candidates)
      out.line(`${printable(word)}\t${printable(about)}`)
    if (answer.also !== null) out.line(`:${answer.also}`)
  },
}
