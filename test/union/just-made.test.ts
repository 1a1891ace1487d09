// What making a file has told serves its first write: who makes one writes it next.

import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import type { HandleId, NodeId } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { DiskCalls } from './disk-calls.ts'
import { CALLER, type Seen, viewOf } from './view-of.ts'

const HANDLE = 0 as HandleId
const LATER = 20

function create(view: Seen, name: string): NodeId {
  const request = { name, flags: O.RDWR, mode: 0o100644, umask: 0o022 }
  return view.view.create(CALLER, 1 as NodeId, request).entry.node
}

function writeBack(view: Seen, id: NodeId): void {
  const data = Buffer.from('text')
  view.view.write(CALLER, id, { handle: HANDLE, offset: 0, data, killPriv: false, fromCache: true })
}

const times = (view: Seen, id: NodeId) => {
  const { mtime, mtimeNsec, ctime, ctimeNsec } = view.view.getattr(CALLER, id, null).attr
  return { mtime, mtimeNsec, ctime, ctimeNsec }
}

async function cachedView(t: Parameters<typeof viewOf>[0]): Promise<Seen> {
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: { below: 'text' } }] })
  view.view.agreed(true)
  return view
}

t.test('a new file and a copy are written back by one call on the disk', async (t) => {
  const view = await cachedView(t)
  const calls = new DiskCalls(t)
  const made = create(view, 'new')
  const before = calls.count
  writeBack(view, made)
  t.equal(calls.count - before, 1, calls.toString())
  const copied = view.id('below')
  view.open(copied, O.RDWR)
  const opened = calls.count
  writeBack(view, copied)
  t.equal(calls.count - opened, 1, calls.toString())
  for (const id of [made, copied]) view.view.release(CALLER, id, HANDLE)
})

t.test('their times stay what the kernel knows, and what changed meanwhile is seen', async (t) => {
  const view = await cachedView(t)
  const made = create(view, 'new')
  const copied = view.id('below')
  view.open(copied, O.RDWR)
  for (const changed of [false, true]) {
    for (const [path, id] of [
      ['new', made],
      ['below', copied],
    ] as const) {
      await wait(LATER)
      if (changed) view.chmod(path, 0o600)
      const known = times(view, id)
      await wait(LATER)
      writeBack(view, id)
      view.view.release(CALLER, id, HANDLE)
      t.same(times(view, id), known, path)
      view.open(id, O.RDWR)
    }
  }
  for (const id of [made, copied]) view.view.release(CALLER, id, HANDLE)
})

t.test(
  'a change between making a file and its first write is no part of what was told',
  async (t) => {
    const view = await cachedView(t)
    const made = create(view, 'new')
    await wait(LATER)
    view.chmod('new', 0o600)
    const known = times(view, made)
    await wait(LATER)
    writeBack(view, made)
    view.view.release(CALLER, made, HANDLE)
    t.same(times(view, made), known)
  },
)
