// svsfs run: a program with a private view as its root, in which everything it changes lands in
// one layer.
//
//   run.prepare (daemon mounts the view) ─▶ bubblewrap, here ─▶ run.finish
//
// Rule: the program is this command's child, with this command's terminal and rights; its exit
// status is the command's. The view goes with the connection, whatever ends this process.

import { Failure } from '../base/failure.ts'
import type { RunAnswer } from '../daemon/run-methods.ts'
import type { Manifest } from '../layer/manifest.ts'
import { type CommandRow, option } from './command.ts'
import type { Session } from './session.ts'

interface RunWish {
  readonly layer: string
  readonly command: readonly string[]
  /** Which of the recipe's commands, where none is given. */
  readonly as: string
  readonly trace: boolean
}

export const run: CommandRow<RunWish, { status: number }> = {
  about:
    'The program sees the system with the active layers over it and the named one on top, whether that is active or not. Whatever it and its children change lands in the writable part of the named layer; the system stays as it is. Its own are /tmp, /run, /proc and /dev. The files of the system keep their owners and modes: what needs root on the system needs root here, so an ordinary user’s program changes its home, /tmp, and what the user may write.\n\nThe exit status is that of the program. Without a command, the one of the layer’s recipe is run.',
  options: [
    option('--as <word>', 'without a command: which one of the recipe (default: default)'),
    option('--trace', 'a line for each request and reply in the log of the daemon'),
  ],
  passThrough: true,
  examples: [
    'svsfs run firefox',
    'svsfs run tools -- make install            # as root: /usr is root’s',
    'svsfs run tools sh -c "echo hello > ~/greeting"',
  ],
  parse: (words) => ({
    layer: words.arg(0),
    command: words.args(1).slice(words.args(1)[0] === '--' ? 1 : 0),
    as: words.text('as') ?? 'default',
    trace: words.flag('trace'),
  }),
  run: async ({ session, exit }, wish) => {
    const status = await runInLayer(session, wish)
    exit(status)
    return { status }
  },
  print: () => {},
}

/** Runs a program in a layer to its end, then `after` while its view is still there. Answers its exit status. */
export async function runInLayer(
  session: Session,
  { layer, command, as, trace }: RunWish,
  after: (status: number) => Promise<void> = async () => {},
): Promise<number> {
  const view = await session.call('run.prepare', { layer, trace })
  try {
    const status = await start(view, command, as)
    await after(status)
    return status
  } finally {
    await session.call('run.finish', { view: view.view })
  }
}

async function start(view: RunAnswer, given: readonly string[], as: string): Promise<number> {
  const { commandOf, readManifest } = await import('../layer/manifest.ts')
  const { runInView } = await import('../run/run.ts')
  const manifest =
    Object.keys(view.manifest).length === 0 ? null : readManifest(view.manifest, view.layer)
  const [program, ...args] = given.length > 0 ? given : own(view, manifest, commandOf, as)
  if (program === undefined) throw new Failure('SVS_USAGE', 'there is no command to run')
  return runInView({
    view: view.root,
    command: [program, ...args],
    home: view.home,
    env: manifest?.env ?? {},
  })
}

function own(
  view: RunAnswer,
  manifest: Manifest | null,
  commandOf: (manifest: Manifest, name: string) => readonly string[] | null,
  as: string,
): readonly string[] {
  const command = manifest === null ? null : commandOf(manifest, as)
  if (command === null)
    throw new Failure('SVS_USAGE', `layer ${view.layer} has no command "${as}"; pass one after --`)
  return command
}
