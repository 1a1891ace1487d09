// svsfs du: what the store takes of the disk, and what for.

import type { DuAnswer, DuPart } from '../daemon/du-methods.ts'
import type { CommandRow } from './command.ts'
import { plural, size } from './words.ts'

export const du: CommandRow<null, DuAnswer> = {
  about: `The parts are counted in blocks of the disk, as du does, and together they are the whole store. States lie in the catalogue: OWN is what would go with those of a layer, each deleted alone; what several need is shared. svsfs snapshots NAME --sizes has that state by state; svsfs forget, svsfs gc and svsfs recode make room.`,
  examples: ['svsfs du', 'svsfs du --json'],
  parse: () => null,
  run: ({ session }) => session.call('du', {}),
  print: ({ store, parts, states, needed, shared, total, free, unread }, out) => {
    out.table(
      ['DISK', 'FILES', 'LAYER', 'WHAT'],
      [...parts, { ...total, layer: null, what: null }].map((part) => [
        size(part.disk),
        String(part.files),
        part.layer ?? '-',
        part.what === null ? `all of ${store}, ${size(free)} left on its disk` : wordsOf(part),
      ]),
    )
    if (states.length > 0) {
      out.line()
      out.table(
        ['OWN', 'STATES', 'LAYER'],
        states.map(({ layer, own, states }) => [size(own), String(states.length), layer]),
      )
      out.line(`all states need ${size(needed)}, of which several share ${size(shared)}`)
    }
    if (unread > 0)
      out.note(`${plural(unread, 'directory', 'directories')} could not be read, and are missing`)
  },
}

function wordsOf({ what, name, current, layer }: DuPart): string {
  switch (what) {
    case 'read-only':
      return `read-only part, version ${name}${current ? '' : ', for states and undo'}`
    case 'writable':
      return `writable sublayer ${name}${current ? '' : ', not in use'}`
    case 'scratch':
      return `excluded files of ${name}`
    case 'left':
      return 'left of resets, and temporary'
    case 'deleted':
      return 'deleted, can be brought back: svsfs undo; svsfs gc --all removes it'
    case 'frozen':
      return 'preserved by freezes'
    case 'catalogue':
      return 'catalogue, with the states'
    case 'packages':
      return 'packages that recipes downloaded'
    case 'incoming':
      return 'came from other machines and is in no state yet; svsfs gc removes what is a week old'
    case 'run':
      return 'logs, and room kept for a full disk'
    case 'other':
      return layer === null ? 'the store itself, and its keys' : 'directories around them'
  }
}
