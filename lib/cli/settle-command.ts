// svsfs settle: large files of which only the changed blocks were copied up get the rest at once.

import { Failure } from '../base/failure.ts'
import type { SettleAnswer } from '../daemon/state-methods.ts'
import { type CommandRow, option } from './command.ts'
import { plural, size } from './words.ts'

interface SettleWish {
  readonly layer: string | null
  /** Directories of a drop-in mount, as its options name them; null for the store. */
  readonly overlay: string | null
}

type Line = Omit<SettleAnswer, 'layer'> & { readonly layer: string | null }

export const settle: CommandRow<SettleWish, Line[]> = {
  about: `The first write to a large file of a layer's read-only part copies the changed blocks alone; the rest follows in the background, 32 MiB a second (svsfs mount --settle-rate), also after the next mount. Programs see no difference. Until then the kernel's overlayfs, cp and backups find a file with holes in the writable sublayer; when this command is done they find the whole file.

Without a name it is done for all layers of the store, mounted or not; with -o for the directories of a drop-in mount (svsfs overlay) that is not mounted.`,
  options: [option('-o <options>', 'lowerdir=A:B,upperdir=U,workdir=W of a drop-in mount')],
  examples: [
    'svsfs settle',
    'svsfs settle firefox',
    'svsfs settle -o lowerdir=/opt/a,upperdir=/srv/u,workdir=/srv/w',
  ],
  parse: (words) => {
    const wish = { layer: words.optionalArg(0), overlay: words.text('o') }
    if (wish.layer !== null && wish.overlay !== null)
      throw new Failure('SVS_USAGE', 'give either a layer or -o')
    return wish
  },
  run: async ({ session }, { layer, overlay }) => {
    if (overlay === null) return session.call('settle', { layer })
    const { overlayOptions } = await import('../daemon/overlay-options.ts')
    const { settleOverlay } = await import('../daemon/overlay.ts')
    return [{ layer: null, ...(await settleOverlay(overlayOptions(overlay))) }]
  },
  print: (lines, out) => {
    for (const { layer, files, bytes } of lines) {
      if (files === 0) continue
      const where = layer === null ? '' : ` of ${layer}`
      out.line(`settled ${plural(files, 'file')}${where}, ${size(bytes)}`)
    }
    if (lines.every(({ files }) => files === 0)) out.line('nothing was left to settle')
  },
}
