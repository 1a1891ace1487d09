// Acts on a large file of the own read-only part, of which the writable one has changed blocks alone.

import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import { put, using } from '../behaviour/act.ts'
import type { OpenFile, Place } from '../behaviour/place.ts'
import type { Act } from './acts.ts'

const onBig =
  (act: (file: OpenFile) => void) =>
  (place: Place): void =>
    using(place.open('big', O.RDWR), act)

/** Over the edge of two blocks, far from either end. */
const changes = onBig((file) => file.pwrite('changed '.repeat(700), 300_000))
const links = (place: Place): void => {
  changes(place)
  place.link('big', 'other/name')
}

/** Acts that only an unsettled file can be asked for: each begins with one. */
export const BLOCK_ACTS: readonly Act[] = [
  { title: 'a block of a large file is written', act: changes },
  {
    title: 'a block of a large file with changed attributes is written',
    before: (place) => place.chmod('big', 0o600),
    act: changes,
  },
  {
    title: 'the end of a large file is written',
    act: onBig((file) => file.pwrite('more '.repeat(2000), file.stat().size - 5000)),
  },
  {
    title: 'a large file with changed blocks is settled',
    before: changes,
    // What makes holes is done to a file that has its own bytes.
    act: onBig((file) => file.allocate(0, 0, 1)),
    open: ['big'],
  },
  {
    title: 'a large file with changed blocks is cut a little',
    before: changes,
    act: onBig((file) => file.truncate(1_100_001)),
  },
  {
    title: 'a large file with changed blocks is cut and grows again',
    before: (place) => {
      changes(place)
      onBig((file) => file.truncate(1_100_001))(place)
    },
    act: onBig((file) => file.truncate(1_200_000)),
  },
  {
    title: 'a large file with changed blocks is cut short',
    before: changes,
    act: onBig((file) => file.truncate(302_000)),
  },
  {
    title: 'a large file with changed blocks is emptied',
    before: changes,
    act: (place) => put(place, 'big', ''),
  },
  {
    title: 'a large file with changed blocks and two names is cut short',
    before: links,
    act: onBig((file) => file.truncate(302_000)),
  },
  {
    title: 'a large file with changed blocks and two names is emptied',
    before: links,
    act: onBig((file) => file.truncate(0)),
  },
  {
    title: 'a large file with changed blocks is renamed',
    before: changes,
    act: (place) => place.rename('big', 'other/big'),
  },
  {
    title: 'a large file with changed blocks is linked',
    before: changes,
    act: (place) => place.link('big', 'other/name'),
  },
  {
    title: 'a large file with changed blocks is exchanged with another file',
    before: changes,
    act: (place) => place.rename('big', 'file-a', RENAME_EXCHANGE),
  },
  {
    title: 'a large file is cut short',
    act: onBig((file) => file.truncate(302_000)),
  },
  {
    title: 'a large file with changed blocks is removed',
    before: changes,
    act: (place) => place.unlink('big'),
  },
]
