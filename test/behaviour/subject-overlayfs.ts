// The kernel's own overlayfs over the same branches: a cross-check of how START is cut, and
// of the format on disk. Needs root.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import type { Tree } from './draw.ts'
import { makeGround, removeGround } from './ground.ts'
import { drawLayered, image, lower, lowersOf, upper } from './layered.ts'
import { RealPlace } from './real-place.ts'
import type { Subject } from './suite.ts'

const BRANCHES = [upper('up'), image('l1'), image('l2'), lower('l3')]

/** START, or another tree, over the same branches. */
export const overlayfsOf = (tree?: Tree): Subject => ({
  name: 'overlayfs of the kernel',
  differs: {
    'a file with holes stays sparse through a first change':
      'copy-up between two directories of tmpfs fills holes',
    'SEEK_DATA and SEEK_HOLE know what was written a moment ago':
      'copy-up between two directories of tmpfs fills holes',
    'a removed file that is opened for reading can be changed by its descriptor':
      'the copy-up of a removed file is refused (EEXIST)',
    'a list tells the kind and the inode number that stat tells':
      'merged directories that overlayfs did not make list the number of the upper one',
  },
  async make(starts) {
    const root = makeGround()
    drawLayered(root, BRANCHES, starts, tree)
    for (const dir of ['work', 'mnt']) mkdirSync(`${root}/${dir}`)
    const lowers = lowersOf(root, BRANCHES)
    const lower = BRANCHES.slice(1).map(({ name }) => `${root}/${name}`)
    const mount = async () =>
      mountOverlay({
        lower,
        upper: `${root}/up`,
        work: `${root}/work`,
        at: `${root}/mnt`,
        more: 'index=on',
      })
    const umount = async () => void execFileSync('umount', [`${root}/mnt`])
    await mount()
    return {
      place: (start) => new RealPlace(`${root}/mnt/${start}`),
      remount: () => umount().then(mount),
      lowers,
      close: async () => {
        for (const place of lowers) place.close()
        await umount()
        removeGround(root)
      },
    }
  },
})

export const overlayfs = overlayfsOf()

export interface OverlayMount {
  /** Top first. */
  readonly lower: readonly string[]
  readonly upper: string
  readonly work: string
  readonly at: string
  readonly more?: string
}

/** `mount -t overlay`, with everything that a writable sublayer may hold. */
export function mountOverlay({ lower, upper, work, at, more = 'index=off' }: OverlayMount): void {
  const options = [
    `lowerdir=${lower.join(':')}`,
    `upperdir=${upper}`,
    `workdir=${work}`,
    `redirect_dir=on,metacopy=on,xino=off,${more}`,
  ]
  const mount = () => execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options.join(), at])
  // The mount before holds the sublayer as long as anybody's copy of the machine's mounts has it.
  for (let tries = 0; tries < 60; tries++)
    try {
      return void mount()
    } catch (err) {
      if (!String(err).includes('busy')) throw err
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    }
  mount()
}
