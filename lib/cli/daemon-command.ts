// svsfs daemon: what the background process runs. Started by svsfs mount and svsfs overlay,
// which tell it over a channel what to be (lib/daemon/detached.ts).

import { serve } from './overlay-command.ts'

export async function daemon(): Promise<void> {
  const { receiveOrder, reportStart } = await import('../daemon/detached.ts')
  const order = await receiveOrder()
  let reported = false
  const ready = async (failure: unknown) => {
    reported = true
    await reportStart(failure)
  }
  try {
    if (order.kind === 'overlay') await serve(order.overlay, () => ready(null))
    else await serveStore(order, () => ready(null))
  } catch (err) {
    if (reported) throw err
    await ready(err)
  }
}

async function serveStore(
  { root, transport }: { root: string; transport: 'direct' | 'fuse-native' },
  ready: () => Promise<void>,
): Promise<void> {
  const { startDaemon } = await import('../daemon/start.ts')
  const daemon = await startDaemon({ root, transport, log: 2 })
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => void daemon.stop(signal))
  process.on('SIGHUP', () => {})
  await ready()
  await daemon.ended
}
