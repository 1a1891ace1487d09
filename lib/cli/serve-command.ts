// svsfs daemon: the daemon of a store as a service, in the foreground.
//
//   systemd ─▶ svsfs daemon ─▶ READY=1 ─▶ … svsfs mount, svsfs umount ask it … ─▶ SIGTERM
//
// Rule: it is there before its first mount and after its last. Of a store that another daemon serves it
// takes nothing: SVS_STORE_LOCKED.

import { type CommandRow, option } from './command.ts'

type Transport = 'direct' | 'fuse-native'

export const serve: CommandRow<{ transport: Transport }, { root: string }> = {
  about: `For systemd and other service managers: svsfs enable writes the unit that runs it. It serves what svsfs mount asks it to, stays when nothing is mounted, tells its manager when it is ready (sd_notify), and takes its mounts away when it is ended by SIGTERM or SIGINT.

By hand it is not needed: svsfs mount starts a daemon in the background, which ends with its last mount.`,
  options: [
    option(
      '--transport <name>',
      'how to speak with the kernel: direct (default), fuse-native',
    ).choices(['direct', 'fuse-native']),
  ],
  examples: ['svsfs daemon --store /srv/layers'],
  parse: (words) => ({ transport: (words.text('transport') ?? 'direct') as Transport }),
  run: async ({ session, out }, { transport }) => {
    const { startDaemon } = await import('../daemon/start.ts')
    const { takeStore } = await import('../daemon/store.ts')
    const { notifyManager } = await import('../host/notify.ts')
    const { root } = session.places
    takeStore(root, 'svsfs daemon', true).release()
    const daemon = await startDaemon({ root, transport, log: 2, stays: true })
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        notifyManager('STOPPING=1')
        void daemon.stop(signal)
      })
    process.on('SIGHUP', () => {})
    notifyManager(`READY=1\nSTATUS=serves ${root}`)
    out.note(`serves ${root}; Ctrl-C ends it`)
    await daemon.ended
    return { root }
  },
  print: () => {},
}
