// Acts on directories: held open, listed while they change, and chains of them that are deeper
// than any path.

import fc from 'fast-check'
import { errnoOfCall, type Place } from '../behaviour/place.ts'
import { type Act, act, onName, sayAt } from './act.ts'
import type { Names } from './names.ts'
import { FOLDER_SLOTS, type Side } from './side.ts'
import type { Weighed } from './vocabulary.ts'

const slot = fc.nat(FOLDER_SLOTS - 1)

export function actsOnFolders({ folder }: Names): Weighed[] {
  const held = (words: string, d: number, perform: (side: Side) => unknown): Act =>
    act(`@${d} ${words}`, { folders: [d], needs: ['kernel'] }, perform)
  return [
    {
      weight: 3,
      arbitrary: fc
        .tuple(slot, folder)
        .map(([d, at]) =>
          act(`@${d} = open directory ${sayAt(at)}`, { names: [at], needs: ['kernel'] }, (side) =>
            side.keepFolder(d, at.path),
          ),
        ),
    },
    { weight: 3, arbitrary: slot.map((d) => held('list again', d, listAgain(d))) },
    {
      weight: 1,
      arbitrary: slot.map((d) => held('fsync', d, (side) => side.folder(d).open.sync())),
    },
    {
      weight: 2,
      arbitrary: folder.map((at) =>
        onName('remove while listing', at, removeWhileListing, {
          needs: ['open-unlinked'],
          looseTimes: true,
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(folder, fc.constantFrom(3, 18)).map(([at, levels]) =>
        onName(`dig ${levels}`, at, (place, path) => dig(place, path, levels), {
          needs: ['kernel', 'bytes'],
          looseTimes: true,
        }),
      ),
    },
  ]
}

const listAgain = (d: number) => (side: Side) => {
  const { open } = side.folder(d)
  open.rewind()
  const names: string[] = []
  for (let some = open.some(); some.length > 0; some = open.some())
    names.push(...some.map(({ name }) => name))
  return names.sort()
}

/** Every name comes once, though those before it are gone by then. Answers what was left. */
function removeWhileListing(place: Place, path: string): string[] {
  const directory = place.opendir(path)
  const met = new Set<string>()
  const answers: string[] = []
  for (let some = directory.some(); some.length > 0; some = directory.some())
    for (const { name, kind } of some) {
      if (met.has(name)) answers.push(`${name} came twice`)
      met.add(name)
      if (kind === 'directory') continue
      answers.push(`${name} ${errnoOfCall(() => place.unlink(`${path}/${name}`)) ?? 'removed'}`)
    }
  directory.close()
  return [...answers.sort(), `${place.list(path).length} left`]
}

/** Directories below each other until no path reaches them; a file at the bottom, read from there. */
function dig(place: Place, path: string, levels: number): unknown {
  const name = 'deep'.padEnd(255, 'p')
  const ways: (Place & { close(): void })[] = [place.inside(path)]
  try {
    for (let level = 0; level < levels; level++) {
      const here = ways.at(-1)!
      const made = errnoOfCall(() => here.mkdir(name))
      if (made !== null && made !== 'EEXIST') return `level ${level}: ${made}`
      ways.push(here.inside(name))
    }
    const bottom = ways.at(-1)!
    const file = bottom.open('bottom', 0o102, 0o644)
    const count = file.pwrite(`at level ${levels}`, 0)
    file.close()
    return [count, bottom.list('').map((entry) => entry.name)]
  } finally {
    for (const way of ways.reverse()) way.close()
  }
}
