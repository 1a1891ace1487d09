// svsfs overlay, and mount.fuse.svsfs: the drop-in mount over directories that the caller names.
//
//   mount.fuse.svsfs [SOURCE] MOUNTPOINT -o lowerdir=A:B,upperdir=U,workdir=W   (mount(8), Podman)
//   svsfs SOURCE MOUNTPOINT -o lowerdir=…                                       (mount.fuse3)
//
// Rule: prints nothing when all is well, and ends when the mount answers; with -f it serves. As a helper of
// mount(8), whose -f means "all but the mount itself", it checks the words and directories and leaves it at that.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { OverlayOrder } from '../daemon/overlay.ts'
import { version } from './version.ts'

export const OVERLAY_HELP = `Usage: svsfs overlay [source] <mountpoint> -o lowerdir=A:B[,upperdir=U,workdir=W][,option…]
       mount.fuse.svsfs [source] <mountpoint> -o …

Mounts directories over each other without a store: A over B, changes to U. Without upperdir
the mount is read-only. For mount -t fuse.svsfs, /etc/fstab, and Podman's mount_program.

Options:
  -o <options>         lowerdir, upperdir, workdir, ro, data_path (cached, or passthrough:
                       the default without upperdir and with ro), pass_from (bytes: what is
                       smaller is cached for readers; 131072), settle_rate (MiB a second
                       that follow the first write to a large file; 32), whole_copies
                       (at that write, nothing follows), allow_other, nosuid, nodev,
                       noexec, noatime; what only tunes other programs is ignored (threads, caches,
                       timeouts, sizes); what changes owners or promises is refused
                       (uidmapping, gidmapping, squash_to_*, xattr_permissions, allow_root,
                       sync, remount). A backslash takes the next character as it is:
                       \\: in a list, \\, in an option
  -f, --foreground     do not detach: serve until unmounted or interrupted; as
                       mount.fuse.svsfs -f is mount(8)'s: only check, mount nothing
  -d, --trace          with -f: a line for each request and reply
  --transport <name>   direct (default) or fuse-native
  -t <type>            ignored, as mount(8) passes it
  -h, --help           this text
  -V, --version        the version

Examples:
  svsfs overlay /mnt/view -o lowerdir=/opt/a:/opt/b
  svsfs overlay app /mnt/view -o lowerdir=/opt/a,upperdir=/srv/u,workdir=/srv/w
  mount -t fuse.svsfs app /mnt/view -o lowerdir=/opt/a,upperdir=/srv/u,workdir=/srv/w`

/** What the words ask for. */
export interface OverlayWords {
  readonly source: string
  readonly mountPoint: string
  readonly options: string
  readonly foreground: boolean
  readonly trace: boolean
  readonly transport: 'direct' | 'fuse-native'
}

/** Reads the words as fuse helpers get them: options may stand anywhere, `-oX` and `-o X` are the same. */
export function overlayWords(args: readonly string[]): OverlayWords | 'help' | 'version' {
  const places: string[] = []
  const options: string[] = []
  let [foreground, trace, transport] = [false, false, 'direct']
  const rest = [...args]
  const value = (flag: string): string => {
    const next = rest.shift()
    if (next === undefined) throw new Failure('SVS_USAGE', `${flag} needs a value`)
    return next
  }
  while (rest.length > 0) {
    const word = rest.shift()!
    if (word === '-h' || word === '--help') return 'help'
    if (word === '-V' || word === '--version') return 'version'
    if (word === '-f' || word === '--foreground') foreground = true
    else if (word === '-d' || word === '--trace') trace = true
    else if (word === '-o') options.push(value('-o'))
    else if (word === '-t') value('-t')
    else if (word === '--transport') transport = value('--transport')
    else if (/^-o./.test(word)) options.push(word.slice(2))
    else if (/^-[nsv]+$/.test(word)) continue
    else if (word.startsWith('-') && word !== '-')
      throw new Failure('SVS_USAGE', `svsfs overlay does not know ${word}`)
    else places.push(word)
  }
  const [mountPoint, source = 'svsfs', ...more] = places.reverse()
  if (mountPoint === undefined || more.length > 0)
    throw new Failure('SVS_USAGE', 'svsfs overlay needs a source, if any, and one mount point')
  if (transport !== 'direct' && transport !== 'fuse-native')
    throw new Failure('SVS_USAGE', `there is no transport ${transport}: direct or fuse-native`)
  return { source, mountPoint, options: options.join(','), foreground, trace, transport }
}

/** Mounts as the words say. `helper`: called by mount(8), whose -f is another. */
export async function overlay(args: readonly string[], helper = false): Promise<void> {
  const pretended = helper && args.some(isFake)
  const words = overlayWords(pretended ? args.filter((word) => !isFake(word)) : args)
  if (words === 'help') return void process.stdout.write(`${OVERLAY_HELP}\n`)
  if (words === 'version') return void process.stdout.write(`svsfs overlay ${version()}\n`)
  const { overlayOptions } = await import('../daemon/overlay-options.ts')
  const { checkOverlay } = await import('../daemon/overlay.ts')
  const options = overlayOptions(words.options)
  const order = await checkOverlay({
    source: words.source,
    mountPoint: resolve(words.mountPoint),
    options: { ...options, trace: options.trace || words.trace },
    transport: words.transport,
  })
  if (pretended) return
  if (words.foreground) return serve(order)
  const { startDetached } = await import('../daemon/detach.ts')
  const { openSync } = await import('node:fs')
  const log = openSync(process.env.SVSFS_LOG ?? '/dev/null', 'a', 0o600)
  await startDetached({ kind: 'overlay', overlay: order }, log)
}

const isFake = (word: string): boolean => /^-[nsv]*f[nsvf]*$/.test(word)

/** Serves in this process until the mount is gone. `ready` is called when it answers. */
export async function serve(order: OverlayOrder, ready = async () => {}): Promise<void> {
  const { serveOverlay } = await import('../daemon/overlay.ts')
  const served = await serveOverlay(order, 2)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void served.stop())
  await ready()
  await served.ended
}
