// Random acts of programs for a storm: few names, so that they meet each other.
//
// Rule: an act follows from the random numbers and from the names that are there.

import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import { put, using } from '../behaviour/act.ts'
import type { Place } from '../behaviour/place.ts'

type Random = (below: number) => number

export interface StormAct {
  readonly words: string
  /** One request of the kernel's: done or not done, and nothing between. */
  readonly single: boolean
  /** What it may leave half done where it is not. */
  readonly path: string
  readonly perform: (place: Place) => void
}

const NEW = ['n1', 'n2', 'all/n3', 'all/deep/n4', 'tool/n5', 'app/n6', 'dir/n7']

export function drawAct(random: Random, names: readonly string[]): StormAct {
  const any = () =>
    random(3) === 0 || names.length === 0 ? NEW[random(NEW.length)]! : names[random(names.length)]!
  const [one, other] = [any(), any()]
  const to = random(3) === 0 ? `${other}/i${random(3)}` : other
  const number = random(1000)
  const single = (words: string, perform: StormAct['perform']): StormAct => ({
    words,
    single: true,
    path: '',
    perform,
  })
  const parts = (words: string, path: string, perform: StormAct['perform']): StormAct => ({
    words,
    single: false,
    path,
    perform,
  })
  const acts: (() => StormAct)[] = [
    () => parts(`put ${to}`, to, (place) => put(place, to, `content ${number} `.repeat(number))),
    () => parts(`write ${one}`, one, (place) => write(place, one, number, false)),
    () => parts(`write and sync ${one}`, one, (place) => write(place, one, number, true)),
    () => single(`chmod ${one}`, (place) => place.chmod(one, 0o600 + (number % 64))),
    () => single(`setxattr ${one}`, (place) => place.setxattr(one, 'user.s', `${number}`)),
    () => single(`unlink ${one}`, (place) => place.unlink(one)),
    () => single(`rmdir ${one}`, (place) => place.rmdir(one)),
    () => single(`mkdir ${to}`, (place) => place.mkdir(to)),
    () => single(`symlink ${to}`, (place) => place.symlink(`to-${number}`, to)),
    () => single(`link ${one} ${to}`, (place) => place.link(one, to)),
    () => single(`rename ${one} ${to}`, (place) => place.rename(one, to)),
    () => single(`rename ${to} ${one}`, (place) => place.rename(to, one)),
    () => single(`rename all ${to}`, (place) => place.rename('all', to)),
    () => single(`rename ${to} all`, (place) => place.rename(to, 'all')),
    () => single(`exchange ${one} ${to}`, (place) => place.rename(one, to, RENAME_EXCHANGE)),
  ]
  return acts[random(acts.length)]!()
}

function write(place: Place, path: string, number: number, sync: boolean): void {
  using(place.open(path, O.RDWR | O.NOFOLLOW), (file) => {
    file.pwrite(`written ${number}`, number * 100)
    if (sync) file.sync()
  })
}

/** Names to act on, the top's and those below; what is linked to symbolically is not followed. */
export function namesIn(place: Place, path = '', depth = 0): string[] {
  return place.list(path).flatMap(({ name, kind }) => {
    const inside = path === '' ? name : `${path}/${name}`
    const below = kind === 'directory' && depth < 4 ? namesIn(place, inside, depth + 1) : []
    return [inside, ...below]
  })
}
