// A daemon that ends while a command asks it: what it surely has not heard is done all the same.

import { createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import { Session } from '../../lib/cli/session.ts'
import { socketPath } from '../../lib/daemon/address.ts'
import type { StorePlaces } from '../../lib/daemon/store-path.ts'
import { newStore, type Test } from '../daemon/place.ts'

/** A store that nobody holds, with a socket on which one command is met so. */
async function storeWith(t: Test, meet: (socket: Socket) => void): Promise<StorePlaces> {
  const { store, close } = await newStore(t)
  await close()
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    server.close()
    meet(socket)
  })
  await new Promise<void>((resolve) => server.listen(socketPath(store.places), resolve))
  return store.places
}

t.test('a call that an ending daemon has not read is made again', async (t) => {
  const places = await storeWith(t, (socket) => void socket.destroy())
  const session = new Session(places.root, () => {})
  t.same(await session.call('layer.list', {}), [])
  await session.close()
})

t.test('a call that a daemon has read before it died is not made twice', async (t) => {
  const places = await storeWith(t, (socket) => {
    socket.once('data', () => void socket.destroy()).resume()
  })
  const session = new Session(places.root, () => {})
  await t.rejects(session.call('layer.list', {}), { code: 'SVS_DAEMON_GONE' })
  await session.close()
})
