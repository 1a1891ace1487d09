// Where the daemon's socket is.
//
// A unix socket's address holds 107 bytes, a store's path may be longer: such a one is
// reached through a descriptor of its directory.

import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { StorePlaces } from './store-path.ts'

const LONGEST_ADDRESS = 107
const NAME = 'daemon.sock'

/** Calls `use` with an address of the socket that is valid while `use` runs. */
export async function withAddress<T>(
  places: StorePlaces,
  use: (address: string) => Promise<T>,
): Promise<T> {
  const direct = socketPath(places)
  if (Buffer.byteLength(direct) <= LONGEST_ADDRESS) return use(direct)
  const dir = openSync(places.run, 'r')
  try {
    return await use(`/proc/self/fd/${dir}/${NAME}`)
  } finally {
    closeSync(dir)
  }
}

export const socketPath = (places: StorePlaces): string => join(places.run, NAME)
