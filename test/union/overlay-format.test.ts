// What lies on disk is the kernel's overlayfs: each side shows what the other one wrote.
//
//   behaviours ─▶ union    ─▶ branches ─▶ mount -t overlay   shows the same tree
//   behaviours ─▶ overlay  ─▶ branches ─▶ union              shows the same tree
//
// The behaviours are only used for what they leave behind: renames, whiteouts, opaque
// directories, metacopies, redirects, in hundreds of ways.
//
// Needs root: it mounts overlayfs.

import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import t from 'tap'
import type { LayerSpec, StackSpec } from '../../lib/union/spec.ts'
import { BEHAVIOURS } from '../behaviour/behaviours.ts'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { InProcessPlace } from '../behaviour/in-process-place.ts'
import { errnoOfCall, type Listed, type Place } from '../behaviour/place.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { drawOneLayer, drawThreeLayers } from '../behaviour/stacks.ts'
import { mountOverlay, type OverlayMount } from '../behaviour/subject-overlayfs.ts'
import { serve } from '../behaviour/subject-union.ts'
import { compareTrees, type Seen, seeTree } from '../behaviour/walk.ts'

// Thousands of entries that would show nothing new, and files made to be far too long.
const LEFT_OUT = /10,000|4 GiB|4,095/
const titles = Object.keys(BEHAVIOURS).filter((title) => !LEFT_OUT.test(title))
const starts = titles.map((_, i) => `b${String(i).padStart(3, '0')}`)

/** Runs every behaviour for what it leaves behind; whether it holds is asked elsewhere. */
async function leaveTraces(place: (start: string) => Place & { close(): void }): Promise<void> {
  for (const [i, title] of titles.entries()) {
    const here = place(starts[i]!)
    try {
      await BEHAVIOURS[title]!(here)
    } catch {
      // Not here, or not as it should be: what it did until then is a tree as good as any.
    }
    here.close()
  }
}

async function useUnion(stack: StackSpec): Promise<void> {
  const { kernel, view } = serve(stack, false)
  await leaveTraces((start) => new InProcessPlace(kernel, start))
  view.destroy()
}

function seenByUnion(stack: StackSpec): Map<string, Seen> {
  const { kernel, view } = serve(stack, false)
  const seen = seeTree(new InProcessPlace(kernel, ''))
  view.destroy()
  return seen
}

// A whiteout that hides what other layers have stands in a directory of which the layer's own
// read-only part has nothing: the kernel, which merges nothing there, lists it, and finds no file.
class WithoutGhosts extends RealPlace {
  override list(path: string): Listed[] {
    const there = (name: string) =>
      errnoOfCall(() => this.lstat(path === '' ? name : `${path}/${name}`)) === null
    return super.list(path).filter(({ name }) => there(name))
  }
}

function seenByOverlay(mount: OverlayMount, Seeing = RealPlace): Map<string, Seen> {
  return mounted(mount, () => {
    const place = new Seeing(mount.at)
    const seen = seeTree(place)
    place.close()
    return seen
  })
}

function mounted<T>(mount: OverlayMount, work: () => T): T {
  mountOverlay(mount)
  const umount = () => execFileSync('umount', [mount.at])
  let result: T
  try {
    result = work()
  } catch (err) {
    execFileSync('umount', ['-l', mount.at])
    throw err
  }
  if (result instanceof Promise) return result.finally(umount) as T
  umount()
  return result
}

/** Where the kernel mounts a layer's writable sublayer over its read-only trees. */
function overlayOf(root: string, layer: LayerSpec): OverlayMount {
  const at = `${root}/overlay-${layer.name}`
  const work = `${root}/overlay-work-${layer.name}`
  mkdirSync(at, { recursive: true })
  mkdirSync(work, { recursive: true })
  return { lower: layer.ro.map(({ path }) => path), upper: layer.rw!, work, at }
}

function differences(ours: Map<string, Seen>, theirs: Map<string, Seen>): string[] {
  // Inode numbers are each one's own.
  return compareTrees(ours, theirs, ['ino']).map((line) =>
    line.replace(/^b(\d+)\//, (_, i) => `${titles[Number(i)]}: `),
  )
}

/**
 * Names in a sublayer of copies that the base has more names for: those count in the view, and
 * for the kernel the index beside the sublayer does.
 */
function copiesOfBase({ rw }: LayerSpec): string[] {
  const index = `${rw}.links`
  if (!existsSync(index)) return []
  const kept = new Set(readdirSync(index).map((name) => lstatSync(`${index}/${name}`).ino))
  const sublayer = new RealPlace(rw!)
  const names = [...seeTree(sublayer)].flatMap(([path, { ino }]) => (kept.has(ino) ? [path] : []))
  sublayer.close()
  return names
}

async function inGround(work: (root: string) => Promise<void>): Promise<void> {
  const root = makeGround()
  try {
    await work(root)
  } finally {
    removeGround(root)
  }
}

async function main(): Promise<void> {
  t.setTimeout(480_000)

  await t.test('overlayfs shows what the union left of one layer', (t) =>
    inGround(async (root) => {
      const { spec } = drawOneLayer(root, starts)
      await useUnion(spec)
      const mount = overlayOf(root, spec.layers[0]!)
      t.same(differences(seenByUnion(spec), seenByOverlay(mount)), [])
    }),
  )

  await t.test('overlayfs shows each layer that the union changed in a stack of three', (t) =>
    inGround(async (root) => {
      const { spec } = await drawThreeLayers(root, starts)
      await useUnion(spec)
      for (const layer of spec.layers) {
        const alone = { layers: [layer], base: null }
        const [ours, theirs] = [
          seenByUnion(alone),
          seenByOverlay(overlayOf(root, layer), WithoutGhosts),
        ]
        for (const name of copiesOfBase(layer))
          for (const seen of [ours, theirs]) seen.set(name, { ...seen.get(name)!, nlink: 0 })
        t.same(differences(ours, theirs), [])
      }
    }),
  )

  await t.test('the union shows what overlayfs left', (t) =>
    inGround(async (root) => {
      const { spec } = drawOneLayer(root, starts)
      const mount = overlayOf(root, spec.layers[0]!)
      await mounted(mount, () => leaveTraces((start) => new RealPlace(`${mount.at}/${start}`)))
      t.same(differences(seenByUnion(spec), seenByOverlay(mount)), [])
    }),
  )
}

await main()
