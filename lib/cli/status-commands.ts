// svsfs status, which, events: looking at a store.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'
import type { StoreEvent } from '../daemon/events.ts'
import type { Status, WhichAnswer } from '../daemon/status-methods.ts'
import { type CommandRow, hostOption, option } from './command.ts'
import { printLayers } from './layer-commands.ts'
import { clock, size } from './words.ts'

export const status: CommandRow<null, Status> = {
  options: [hostOption()],
  onHost: true,
  examples: ['svsfs status', 'svsfs status --host desk1', 'svsfs status --json'],
  parse: () => null,
  run: ({ session }) => session.call('status', {}),
  print: ({ store, daemon, mounts, layers }, out) => {
    out.line(`store:  ${store.path}`)
    if (daemon === null) out.line('daemon: not running (svsfs mount starts it)')
    else out.line(`daemon: process ${daemon.pid}, ${daemon.transport}, ${size(daemon.memory)}`)
    out.line()
    if (mounts.length === 0) out.line('nothing is mounted')
    else
      out.table(
        ['MOUNTED AT', 'BASE', 'LAYERS, TOP FIRST', ''],
        mounts.map((mount) => [
          mount.mountPoint,
          mount.base ?? '-',
          mount.layers.join(' ') || '-',
          [
            mount.readOnly ? 'read-only' : '',
            mount.dataPath === 'passthrough' ? 'passthrough' : '',
            mount.purpose === 'run' ? 'svsfs run' : '',
          ]
            .filter(Boolean)
            .join(', '),
        ]),
      )
    out.line()
    printLayers(layers, out)
  },
}

export const which: CommandRow<string, WhichAnswer> = {
  examples: ['svsfs which /mnt/app/usr/bin/tool'],
  parse: (words) => resolve(words.arg(0)),
  run: ({ session }, path) => session.call('which', { path }),
  print: ({ providers }, out) =>
    out.table(
      ['', 'LAYER', 'PART', 'KIND', 'PATH THERE'],
      providers.map((provider, index) => [
        index === 0 ? 'provides' : providers[0]?.kind === 'directory' ? 'merges' : 'hidden',
        provider.layer ?? '(base)',
        provider.part,
        provider.kind,
        provider.path,
      ]),
    ),
}

interface EventsWish {
  readonly follow: boolean
  readonly last: number
}

export const events: CommandRow<EventsWish, StoreEvent[]> = {
  about: 'With --follow and --json, one JSON object a line, without the frame around it.',
  options: [
    option('-f, --follow', 'go on showing what happens, until interrupted'),
    option('-n, --last <n>', 'how many past events to show (default 20, with --follow 0)'),
  ],
  examples: ['svsfs events', 'svsfs events --follow', 'svsfs events --follow --json'],
  parse: (words) => ({
    follow: words.flag('follow'),
    last: words.number('last', { whole: true, least: 0 }) ?? (words.flag('follow') ? 0 : 20),
  }),
  run: async ({ session, out }, { follow, last }) => {
    if (!follow) return session.call('events', { last })
    const { followEvents, lastEvents } = await import('../daemon/events.ts')
    const { storeExists } = await import('../daemon/store.ts')
    const { places } = session
    if (!storeExists(places.root)) throw new Failure('SVS_STORE_NOT_FOUND', places.root)
    const say = (event: StoreEvent) => out.line(out.json ? JSON.stringify(event) : eventLine(event))
    for (const event of last === 0 ? [] : lastEvents(places, last)) say(event)
    const interrupted = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => interrupted.abort())
    await followEvents(places, say, interrupted.signal)
    process.exit(0)
  },
  print: (all, out, { last }) => {
    for (const event of all) out.line(eventLine(event))
    if (all.length === 0 && last > 0) out.note('nothing has happened yet')
  },
}

const eventLine = (event: StoreEvent): string =>
  `${clock(Date.parse(event.at))}  ${event.kind.padEnd(11)}  ${event.text}`
