// Thousands of random changes, made alike in two places: each must answer the same, and in
// the end both must hold the same tree.
//
//   seed ─▶ act 1, act 2, …  ─▶ plain directory   ok / ENOENT / …
//                            ─▶ the place tried   ok / ENOENT / …   the same
//
// Rule: the acts follow from the seed and from the tree of the plain directory alone, so a
// failure is repeated by its seed.

import { O, RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../lib/host/sys.ts'
import { put, using } from './act.ts'
import { errnoOfCall, type Place } from './place.ts'
import { compareTrees, seeTree } from './walk.ts'

/** Numbers in [0, below): the same ones for the same seed (xorshift32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

type Act = (place: Place) => void

interface Choice {
  readonly words: string
  readonly act: Act
}

const UMASK = 0o022

/** Few new names, so that acts meet each other. */
const NEW = [
  'gone',
  'gone-dir',
  'dir/gone',
  'n1',
  'n2',
  'dir/n3',
  'other/n4',
  'alone/unseen',
  'dir/deep/n5',
]

/** Makes one random choice among acts on the names of a tree. */
function choose(random: (below: number) => number, paths: readonly string[]): Choice {
  const old = () => paths[random(paths.length)]!
  const any = () => (random(3) === 0 ? NEW[random(NEW.length)]! : old())
  const inside = (path: string) => (random(4) === 0 ? `${path}/in${random(3)}` : path)
  const number = random(1000)
  const one = any()
  const two = inside(any())
  const acts: (() => Choice)[] = [
    () => ({ words: `put ${two}`, act: (place) => put(place, two, `content ${number}\n`) }),
    () => ({ words: `change ${one}`, act: (place) => change(place, one, number) }),
    () => ({ words: `truncate ${one}`, act: (place) => place.truncate(one, number) }),
    () => ({ words: `chmod ${one}`, act: (place) => place.chmod(one, 0o600 + (number % 64)) }),
    () => ({ words: `unlink ${one}`, act: (place) => place.unlink(one) }),
    () => ({ words: `rmdir ${one}`, act: (place) => place.rmdir(one) }),
    () => ({ words: `mkdir ${two}`, act: (place) => place.mkdir(two) }),
    () => ({ words: `symlink ${two}`, act: (place) => place.symlink(`to-${number}`, two) }),
    () => ({ words: `link ${one} ${two}`, act: (place) => place.link(one, two) }),
    () => ({ words: `rename ${one} ${two}`, act: (place) => place.rename(one, two) }),
    () => ({ words: `rename ${one} ${two}`, act: (place) => place.rename(one, two) }),
    () => ({ words: `rename ${two} ${one}`, act: (place) => place.rename(two, one) }),
    () => ({
      words: `exchange ${one} ${two}`,
      act: (place) => place.rename(one, two, RENAME_EXCHANGE),
    }),
    () => ({
      words: `rename ${one} ${two} if absent`,
      act: (place) => place.rename(one, two, RENAME_NOREPLACE),
    }),
    () => ({
      words: `setxattr ${one}`,
      act: (place) => place.setxattr(one, 'user.r', `${number}`),
    }),
    () => ({ words: `empty ${one}`, act: (place) => empty(place, one) }),
  ]
  return acts[random(acts.length)]!()
}

function change(place: Place, path: string, at: number): void {
  using(place.open(path, O.RDWR | O.NOFOLLOW | O.NONBLOCK), (file) => file.pwrite('changed', at))
}

/** Removes the files of a directory, and leaves what is not empty. */
function empty(place: Place, path: string): void {
  for (const { name } of place.list(path)) {
    const inside = `${path}/${name}`
    if (place.lstat(inside).kind === 'directory') errnoOfCall(() => place.rmdir(inside))
    else place.unlink(inside)
  }
}

/** Answers what differed, with the acts that led there; nothing where all was alike. */
export function actAlike(plain: Place, tried: Place, seed: number, count: number): string[] {
  const random = randomOf(seed)
  const done: string[] = []
  for (let i = 0; i < count; i++) {
    const { words, act } = choose(random, namesOf(plain, random))
    const expected = errnoOfCall(() => plain.umask(UMASK, () => act(plain)))
    const got = errnoOfCall(() => tried.umask(UMASK, () => act(tried)))
    done.push(`${words}: ${expected ?? 'ok'}`)
    if (got !== expected)
      return [`seed ${seed}, act ${i}: ${words}: ${got ?? 'ok'}, not ${expected ?? 'ok'}`, ...done]
    if (i % 20 !== 19 && i !== count - 1) continue
    const differences = treesDiffer(plain, tried)
    if (differences.length > 0) return [`seed ${seed}, after act ${i}`, ...differences, ...done]
  }
  return []
}

/** Inode numbers and times are each one's own. */
export const treesDiffer = (plain: Place, tried: Place): string[] =>
  compareTrees(seeTree(plain), seeTree(tried), ['ino', 'mtime'])

/** Names to act on: those of the top, and of a few directories below. */
function namesOf(place: Place, random: (below: number) => number): string[] {
  const names: string[] = []
  const list = (path: string, depth: number): void => {
    for (const { name, kind } of place.list(path)) {
      // Special files are not opened: a fifo would wait for its other end.
      if (kind === 'fifo' || kind === 'character') continue
      const inside = path === '' ? name : `${path}/${name}`
      if (path === 'many' || path === 'odd') {
        if (random(10) > 0) continue
      }
      names.push(inside)
      if (kind === 'directory' && depth < 4) list(inside, depth + 1)
    }
  }
  list('', 0)
  return names
}
