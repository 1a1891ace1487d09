// svsfs update: a program that changes a layer, with the way back kept first.
//
//   state (before-update) ─▶ program in the layer ─▶ 0: done
//                                                 └▶ else: back, where a person or an option says so
//
// Rule: nothing goes back unasked; what the program had done is a state as well once it has.

import { Failure } from '../base/failure.ts'
import type { SnapshotAnswer } from '../daemon/state-methods.ts'
import { agreed, hasTerminal } from './ask.ts'
import { type CommandRow, option } from './command.ts'
import { runInLayer } from './run-command.ts'
import { fullName } from './state-commands.ts'

interface UpdateWish {
  readonly layer: string
  readonly command: readonly string[]
  readonly rollback: boolean
}

interface Updated {
  /** Of the program. */
  readonly status: number
  /** The state before it. */
  readonly before: SnapshotAnswer
  readonly rolledBack: boolean
  /** The state of what the program had done, where that was taken back. */
  readonly failed: string | null
}

const ROLLBACK = '--rollback-on-failure'
/** Of a state's message. */
const LONGEST = 200

export const update: CommandRow<UpdateWish, Updated> = {
  about:
    'Takes a state first, then runs the program in the layer as svsfs run does. Where it fails, the layer goes back with --rollback-on-failure, or where you say so at the terminal; what the failed program had done is kept as a state then. The exit status is that of the program.',
  options: [option(ROLLBACK, 'put the layer back where the program fails')],
  passThrough: true,
  examples: [
    'svsfs update tools -- make install',
    'svsfs update tools --rollback-on-failure -- sh ./upgrade.sh',
  ],
  parse: (words) => {
    const given = words.args(1)
    // What stands behind the name belongs to the command, but for this one before its `--`.
    const own = given[0] === ROLLBACK
    const rest = own ? given.slice(1) : given
    const command = rest.slice(rest[0] === '--' ? 1 : 0)
    if (command.length === 0) throw new Failure('SVS_USAGE', 'give the command after --')
    return { layer: words.arg(0), command, rollback: own || words.flag('rollbackOnFailure') }
  },
  run: async ({ session, out, exit }, { layer, command, rollback }) => {
    const message = `before ${command.join(' ')}`.slice(0, LONGEST)
    const before = await session.call('snapshot', { layer, message, trigger: 'before-update' })
    const wanted = async (status: number): Promise<boolean> => {
      if (status === 0 || rollback) return status !== 0
      const question = `${command[0]} ended with ${status}. Put ${layer} back to what it was before?`
      return !out.json && hasTerminal() && agreed(question)
    }
    let failed: string | null = null
    const wish = { layer, command, as: 'default', trace: false }
    // Before the view goes, and with it perhaps the daemon.
    const status = await runInLayer(session, wish, async (status) => {
      if (!(await wanted(status))) return
      failed = (await session.call('restore', { layer, state: before.id })).before.id
    })
    exit(status)
    return { status, before, rolledBack: failed !== null, failed }
  },
  print: ({ status, before, rolledBack, failed }, out) => {
    if (rolledBack) {
      out.line(`layer ${before.layer} is as before; the failed attempt is state ${failed}`)
    } else {
      if (status !== 0) out.note(`the program ended with ${status}; the layer stays as it left it`)
      out.note(`svsfs restore ${fullName(before)} puts it back to before`)
    }
  },
}
