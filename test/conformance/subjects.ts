// What is compared: places that hold the cases, each with its ways to bring about what a case
// begins with.
//
//   plain directory       new
//   overlayfs             new, below (lowerdir)
//   one layer             new, below (lowerdir of the drop-in)
//   three layers          new, below (read-only part of a layer), base
//   base writable         new, base
//   fuse-native           new, below
//
// Rule: what a case begins with lies in its branch before anything is mounted, unless it is new.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { Served, SVSFS } from '../behaviour/served.ts'
import { mountOverlay } from '../behaviour/subject-overlayfs.ts'
import type { Aspect } from '../behaviour/walk.ts'

/** Where a case's beginning lies: made through the view, or before it was mounted. */
export type Variant = 'new' | 'below' | 'base'

export interface Subject {
  readonly name: string
  readonly variants: readonly Variant[]
  readonly needsRoot?: boolean
  /** The table takes one case in so many: libfuse 2 would need hours for all. */
  readonly oneIn?: number
  /** What a remount may change: libfuse gives inode numbers of its own. */
  readonly changeable?: readonly Aspect[]
  /** True where trees below are written, by right. */
  readonly writesBelow?: boolean
  /** Makes the directories; nothing is mounted yet. */
  make(): Mountable
}

export interface Mountable {
  /** The directory below for a variant. */
  readonly lower: Readonly<Partial<Record<Variant, string>>>
  /** The variant whose directory is copied into a layer. */
  readonly imported?: Variant
  /** Mounts, or mounts again after `umount`. Answers the view's top. */
  mount(): Promise<string>
  /** Does nothing where nothing is mounted. */
  umount(): Promise<void>
  /** Removes everything. */
  remove(): void
}

export const plain: Subject = {
  name: 'plain directory',
  variants: ['new'],
  make() {
    const root = makeGround()
    return {
      lower: {},
      mount: async () => root,
      umount: async () => {},
      remove: () => removeGround(root),
    }
  },
}

export const overlayfs: Subject = {
  name: 'overlayfs of the kernel',
  variants: ['new', 'below'],
  needsRoot: true,
  make() {
    const root = makeGround()
    for (const name of ['lower', 'upper', 'work', 'mnt']) mkdirSync(`${root}/${name}`)
    const at = `${root}/mnt`
    let mounted = false
    return {
      lower: { below: `${root}/lower` },
      async mount() {
        const [lower, upper, work] = [[`${root}/lower`], `${root}/upper`, `${root}/work`]
        mountOverlay({ lower, upper, work, at, more: 'index=on' })
        mounted = true
        return at
      },
      async umount() {
        if (mounted) execFileSync('umount', [at])
        mounted = false
      },
      remove: () => removeGround(root),
    }
  },
}

/** The drop-in over two read-only trees. */
export function oneLayer(
  transport: 'direct' | 'fuse-native' = 'direct',
  dataPath: 'cached' | 'passthrough' = 'cached',
): Subject {
  const path = dataPath === 'cached' ? '' : ', passthrough'
  return {
    name: transport === 'direct' ? `one layer${path}` : 'one layer, fuse-native (1 in 12)',
    oneIn: transport === 'direct' ? 1 : 12,
    needsRoot: dataPath === 'passthrough',
    variants: ['new', 'below'],
    changeable: transport === 'direct' ? [] : ['ino'],
    make() {
      const root = makeGround()
      for (const name of ['l1', 'l2', 'up', 'work', 'mnt']) mkdirSync(`${root}/${name}`)
      const places = `lowerdir=${root}/l1:${root}/l2,upperdir=${root}/up,workdir=${root}/work`
      const options = `${places},data_path=${dataPath},pass_from=0`
      const words = ['overlay', 'conformance', `${root}/mnt`, '-f', '-o', options]
      return served(root, { below: `${root}/l2` }, async () => [...words, '--transport', transport])
    },
  }
}

/** Two layers over a base; cases begin in the lower layer's read-only part, or in the base. */
export const threeLayers: Subject = {
  name: 'layers over a base',
  variants: ['new', 'below', 'base'],
  make() {
    const root = makeGround()
    for (const name of ['low', 'top', 'base', 'mnt']) mkdirSync(`${root}/${name}`)
    let created = false
    const lower = { below: `${root}/low`, base: `${root}/base` }
    const made = served(root, lower, async (env) => {
      for (const name of created ? [] : ['low', 'top']) {
        const from = ['--from', `${root}/${name}`, '--activate']
        const words = ['layer', 'create', name, ...from, '--priority', name === 'top' ? '9' : '5']
        execFileSync(process.execPath, [SVSFS, ...words], { env, stdio: 'pipe' })
      }
      created = true
      return ['mount', `${root}/mnt`, '--foreground', '--base', `${root}/base`]
    })
    return { ...made, imported: 'below' }
  },
}

/** No layer writes: what changes, changes the base. */
export const baseWritable: Subject = {
  name: 'writable base',
  variants: ['new', 'base'],
  writesBelow: true,
  make() {
    const root = makeGround()
    for (const name of ['base', 'mnt']) mkdirSync(`${root}/${name}`)
    const words = ['mount', `${root}/mnt`, '--foreground', '--base', `${root}/base`]
    return served(root, { base: `${root}/base` }, async () => [...words, '--base-writable'])
  },
}

function served(
  root: string,
  lower: Mountable['lower'],
  words: (env: NodeJS.ProcessEnv) => Promise<string[]>,
): Mountable {
  const env = { ...process.env, SVSFS_STORE: `${root}/store` }
  let process_: Served | null = null
  return {
    lower,
    async mount() {
      process_ = await Served.start(await words(env), `${root}/mnt`, env)
      return `${root}/mnt`
    },
    async umount() {
      await process_?.end()
      process_ = null
    },
    remove: () => removeGround(root),
  }
}
