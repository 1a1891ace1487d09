// A process that takes archives into a store and dies, as by kill -9, where its progress first says `at`.
//
//   kill-worker.js STORE AT FILE...

import { perform } from '../../lib/daemon/api.ts'
import { openControl } from '../../lib/daemon/control.ts'

const [root, at, ...files] = process.argv.slice(2) as [string, string, ...string[]]
const control = await openControl({ root, doing: 'a test', create: true })
const progress = (text: string) => {
  if (text.includes(at)) process.kill(process.pid, 'SIGKILL')
}
await perform(control, 'import', { files, allowUnsigned: true }, { progress, whenGone() {} })
await control.close()
