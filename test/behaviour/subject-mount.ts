// Real mounts: the drop-in of one layer, and three layers of a store over a base, by either
// transport, also as on an older kernel.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import type { Tree } from './draw.ts'
import { makeGround, removeGround } from './ground.ts'
import { RealPlace } from './real-place.ts'
import { Served, SVSFS } from './served.ts'
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
      const lowers = LAYER_NAMES.map((name, i) => importLayer(root, name, 10 - i, env))
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
function importLayer(root: string, name: string, priority: number, env: NodeJS.ProcessEnv): string {
  const svsfs = (...words: string[]) =>
    execFileSync(process.execPath, [SVSFS, ...words], { env, encoding: 'utf8' })
  const from = ['--from', `${root}/${name}/ro/1`]
  svsfs('layer', 'create', name, ...from, '--activate', '--priority', String(priority))
  const { data } = JSON.parse(svsfs('layer', 'show', name, '--json')) as {
    data: { places: { ro: string; rw: string } }
  }
  const drawn = `${root}/${name}/rw`
  for (const each of readdirSync(drawn)) renameSync(`${drawn}/${each}`, `${data.places.rw}/${each}`)
  return data.places.ro
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
