// START cut into branches (top first) whose merged view is START again.
//
//   branch 0   readme          x(gone)        alone/ opaque   dir/ true attributes
//   branch 1   readme decoy    dir/b                          dir/ other attributes
//   branch 2   x(dir/gone)     readme/ decoy                  alone/junk
//   base       gone            dir/gone       alone/unseen    many/…
//
// Every file has one home; below some homes lie decoys (another file, a directory, a link);
// what is ABSENT lies at the bottom under a whiteout; one directory is opaque, one stands
// over a whiteout. A directory's true attributes are those of the highest branch that has it.
//
// Rule: only branches with `marks` hold whiteouts and opaque directories.

import { type Drawn, dir, file, link, type Tree, whiteout } from './draw.ts'
import { ABSENT, START } from './start.ts'

export interface Branch {
  readonly marks: boolean
}

type Pieces = Map<string, Drawn>

/** Files with several names. */
const LINKED = new Set(
  Object.values(START).flatMap((thing) => (thing.kind === 'same' ? [thing.as] : [])),
)

const DECOYS: readonly ((path: string) => [string, Drawn][])[] = [
  (path) => [[path, file(`hidden version of ${path}\n`, { mode: 0o606 })]],
  (path) => [
    [path, dir({ mode: 0o707 })],
    [`${path}/never`, file('never seen\n')],
  ],
  (path) => [[path, link('never-followed')]],
]

export function splitStart(
  branches: readonly Branch[],
  prefix: 'trusted' | 'user',
  start: Tree = START,
): Tree[] {
  const pieces: Pieces[] = branches.map(() => new Map())
  const last = branches.length - 1
  const marked = branches.flatMap((branch, i) => (branch.marks && i < last ? [i] : []))
  const homes = new Map<string, number>()

  Object.entries(start).forEach(([path, thing], i) => {
    const home = homeOf(path, thing, i, branches.length, marked, homes)
    homes.set(path, home)
    pieces[home]!.set(path, thing)
    if (i % 3 === 0 && home < last && thing.kind !== 'directory' && !/^(alone|solid)\//.test(path))
      addDecoy(pieces, path, home, i)
  })
  if (marked.length > 0) {
    ABSENT.forEach((path, i) => {
      if (path !== 'alone/unseen') deleteName(pieces, path, marked[i % marked.length]!, last)
    })
    hideAlone(pieces, homes.get('alone')!, last, prefix)
  }
  coverSolid(pieces, homes.get('solid')!, branches)
  return withDirectories(pieces, start)
}

/** Where a path lies: names of one file together, the opaque directory whole, the rest spread. */
function homeOf(
  path: string,
  thing: Drawn,
  i: number,
  count: number,
  marked: number[],
  homes: Map<string, number>,
): number {
  if (thing.kind === 'same') return homes.get(thing.as)!
  // In a base, where nobody knows the other names.
  if (path === 'below/one') return count - 1
  if (LINKED.has(path)) return Math.min(1, count - 1)
  if (path === 'alone' || path.startsWith('alone/')) return marked[0] ?? 0
  if (path === 'solid' || path.startsWith('solid/')) return 0
  // A chain of long names lies in one piece: others would have to repeat what leads to theirs.
  if (path.length > 300) return homes.get(path.slice(0, path.lastIndexOf('/'))) ?? 0
  return (i * 5 + 2) % count
}

function addDecoy(pieces: Pieces[], path: string, home: number, i: number): void {
  const below = home + 1 + (i % (pieces.length - 1 - home))
  for (const [name, thing] of DECOYS[i % DECOYS.length]!(path)) pieces[below]!.set(name, thing)
}

function deleteName(pieces: Pieces[], path: string, above: number, below: number): void {
  pieces[above]!.set(path, whiteout())
  if (path.endsWith('-dir')) {
    pieces[below]!.set(path, dir())
    pieces[below]!.set(`${path}/old`, file('from a deleted directory\n'))
    pieces[below]!.set(`${path}/old-dir/old`, file('from a deleted directory\n'))
  } else {
    const thing = path.endsWith('-link') ? link('readme') : file(`deleted ${path}\n`)
    pieces[below]!.set(path, thing)
  }
}

function hideAlone(pieces: Pieces[], home: number, last: number, prefix: string): void {
  const true_ = START.alone!
  const xattrs = { ...true_.xattrs, [`${prefix}.overlay.opaque`]: 'y' }
  pieces[home]!.set('alone', { ...true_, xattrs })
  for (let below = home + 1; below <= last; below++) {
    pieces[below]!.set('alone/unseen', file('hidden by an opaque directory\n'))
    pieces[below]!.set('alone/sub/unseen', file('hidden by an opaque directory\n'))
  }
}

/** Under `solid` lies a whiteout over a directory, or a file: either ends the merge. */
function coverSolid(pieces: Pieces[], home: number, branches: readonly Branch[]): void {
  const next = home + 1
  if (next >= branches.length) return
  const lower = next + 1
  if (!branches[next]!.marks || lower >= branches.length) {
    pieces[next]!.set('solid', file('a file under a directory\n'))
    return
  }
  pieces[next]!.set('solid', whiteout())
  pieces[lower]!.set('solid/wrong', file('below a whiteout\n'))
}

/** Adds parents: with START's attributes where highest, with other ones below. Parents first. */
function withDirectories(pieces: Pieces[], start: Tree): Tree[] {
  const seen = new Set<string>()
  return pieces.map((piece) => {
    const parents = new Set<string>()
    for (const path of piece.keys())
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
        parents.add(path.slice(0, at))
    for (const [path, thing] of piece) if (thing.kind === 'directory') parents.add(path)

    const tree: Record<string, Drawn> = {}
    for (const path of [...parents].sort()) {
      const drawn = start[path]
      const highest = drawn?.kind === 'directory' && !seen.has(path)
      const plain = piece.get(path)
      if (highest) tree[path] = plain?.kind === 'directory' ? plain : drawn
      else
        tree[path] =
          drawn === undefined && plain !== undefined ? plain : dir({ mode: 0o770, mtime: 1n })
      if (highest) seen.add(path)
    }
    for (const [path, thing] of piece) if (!(path in tree)) tree[path] = thing
    return tree
  })
}
