// Serves a MemoryFileSystem through fuse-native.
//
//   node serve-native.js MOUNTPOINT      prints "ready", "calls" on SIGUSR2; unmounts on SIGTERM

import { logTo } from '../../lib/base/log.ts'
import { bytesOf } from '../../lib/base/path.ts'
import { IoThreads, Jobs } from '../../lib/fuse/io.ts'
import { mountNative } from '../../lib/fuse/native.ts'
import { endThreads } from '../../lib/host/end-threads.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'

const [mountPoint = ''] = process.argv.slice(2)
const fs = new MemoryFileSystem()
fs.put('hello', 'hello\n')
const io = new IoThreads(1, null)
io.start(0)
const jobs = new Jobs(io.ports)
jobs.listen()
fs.onCommand = (method) => {
  const job = { kind: 'fsync', fd: 2, dataOnly: false, id: 1, error: 0, done: false } as const
  fs.park.set(method as 'open', { ...job })
}

const mount = await mountNative({
  fs,
  mountPoint: bytesOf(mountPoint),
  source: 'a,b',
  readOnly: false,
  allowOther: false,
  log: logTo(2, 'native'),
  submit: jobs.submit,
})
console.log('ready {}')
process.on('SIGTERM', async () => {
  await mount.unmount(false)
  const known = [...fs.nodes.values()].filter((node) => node.lookups > 0).length
  console.log(`known ${known}`)
  console.log(`requests ${mount.requests}`)
  jobs.close()
  await endThreads(io.workers)
  console.log('ended ok')
  process.exit(0)
})
