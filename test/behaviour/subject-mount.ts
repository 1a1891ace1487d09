// Real mounts: the drop-in of one layer, and three layers of a store over a base, by either
// transport, also as on an older kernel.

import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { ReadySvsfs } from '../daemon/ready.ts'
import type { Tree } from './draw.ts'
import { makeGround, removeGround } from './ground.ts'
import { RealPlace } from './real-place.ts'
import { Served } from './served.ts'
import { drawOneLayer, drawStoreBranches, LAYER_NAMES } from './stacks.ts'
import type { Ground, Subject } from './suite.ts'
import type { Aspect } from './walk.ts'

export interface MountSubject {
  readonly name: string
  readonly transport?: 'direct' | 'fuse-native'
  readonly kernelCap?: '6.1'
  /** `dropIn` only; passthrough for files of every size. */
  readonly dataPath?: 'cached' | 'passthrough'
  /** `dropIn` only. */
  readonly readOnly?: boolean
  /** `store` only: the base takes the changes of what it alone has. */
  readonly baseWritable?: boolean
  readonly differs?: Readonly<Record<string, string>>
  readonly tree?: Tree
  readonly changeable?: readonly Aspect[]
  readonly compareEvery?: number
  readonly compareFrom?: number
  /** What its daemon's environment has beside this process's. */
  readonly env?: NodeJS.ProcessEnv
}

/** `svsfs overlay -o lowerdir=l1:l2:l3,upperdir=up,workdir=work`. */
export function dropIn(subject: MountSubject): Subject {
  return {
    ...subject,
    differs: subject.differs ?? {},
    async make(starts) {
      const root = makeGround()
      const { branches } = drawOneLayer(root, starts, subject.tree)
      const lowers = branches.slice(1).map(({ name }) => `${root}/${name}`)
      const { dataPath, readOnly } = subject
      const more = dataPath === undefined ? [] : [`data_path=${dataPath}`, 'pass_from=0']
      if (readOnly) more.push('ro')
      const places = `lowerdir=${lowers.join(':')},upperdir=${root}/up,workdir=${root}/work`
      const options = [places, ...more].join(',')
      const words = ['overlay', 'behaviour', `${root}/mnt`, '-f', '-o', options]
      if (subject.transport !== undefined) words.push('--transport', subject.transport)
      return serve(root, lowers, () => Served.start(words, `${root}/mnt`, subject.env))
    },
  }
}

/** `svsfs layer create …`, `svsfs mount --base`. */
export function store(subject: MountSubject): Subject {
  return {
    ...subject,
    differs: subject.differs ?? {},
    async make(starts) {
      const root = makeGround()
      drawStoreBranches(root, starts, subject.tree)
      const env = { ...process.env, ...subject.env, SVSFS_STORE: `${root}/store` }
      const lowers: string[] = []
      for (const [i, name] of LAYER_NAMES.entries())
        lowers.push(await importLayer(root, name, 10 - i))
      const words = ['mount', `${root}/mnt`, '--foreground', '--base', `${root}/base`]
      if (subject.transport !== undefined) words.push('--transport', subject.transport)
      if (subject.kernelCap !== undefined) words.push('--kernel-cap', subject.kernelCap)
      if (subject.baseWritable) words.push('--base-writable')
      else lowers.push(`${root}/base`)
      return serve(root, lowers, () => Served.start(words, `${root}/mnt`, env))
    },
  }
}

/** Makes a layer of the drawn read-only tree, and moves the drawn changes in. Answers its `ro`. */
async function importLayer(root: string, name: string, priority: number): Promise<string> {
  const svsfs = new ReadySvsfs(`${root}/store`)
  const from = ['--from', `${root}/${name}/ro/1`]
  await svsfs.ask('layer', 'create', name, ...from, '--activate', '--priority', String(priority))
  const { places } = (await svsfs.ask('layer', 'show', name)) as {
    places: { ro: string; rw: string }
  }
  const drawn = `${root}/${name}/rw`
  for (const each of readdirSync(drawn)) renameSync(`${drawn}/${each}`, `${places.rw}/${each}`)
  return places.ro
}

async function serve(
  root: string,
  lowers: readonly string[],
  mount: () => Promise<Served>,
): Promise<Ground> {
  mkdirSync(`${root}/mnt`)
  const places = lowers.map((path) => new RealPlace(path))
  let served = await mount()
  return {
    place: (start) => new RealPlace(`${root}/mnt/${start}`),
    remount: async () => {
      await served.end()
      served = await mount()
    },
    lowers: places,
    close: async () => {
      for (const place of places) place.close()
      await served.end()
      removeGround(root)
    },
  }
}
