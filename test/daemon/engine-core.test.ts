// The engine without a kernel: what its calls answer when a step of the union fails.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silent } from '../../lib/base/log.ts'
import { relPath } from '../../lib/base/path.ts'
import type { EngineCalls, MountSpec } from '../../lib/daemon/engine-api.ts'
import { EngineCore } from '../../lib/daemon/engine-core.ts'
import type { KernelCalls } from '../../lib/fuse/kernel-calls.ts'
import type { RedoPlan } from '../../lib/snapshot/redo.ts'
import type { View } from '../../lib/union/view.ts'
import { specIn } from './spec.ts'

interface Engine {
  readonly dir: string
  readonly spec: MountSpec
  call(name: keyof EngineCalls, ...args: unknown[]): object[]
}

function mounted(t: { teardown(act: () => void): void }): Engine {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-engine-'))
  const spec = specIn(dir)
  const views: View[] = []
  t.teardown(() => {
    for (const view of views) view.destroy()
    rmSync(dir, { recursive: true, force: true })
  })
  const core = new EngineCore({
    log: silent,
    kernel: {} as KernelCalls,
    connect: (_spec, view, events) => {
      views.push(view)
      events.ready('cached')
      return { requests: 0, hasRequests: false, umount() {}, tell: (_batch, done) => done(null) }
    },
    submit() {},
    emit() {},
    later: (act) => act(),
  })
  const call = (name: keyof EngineCalls, ...args: unknown[]): object[] => {
    const answers: object[] = []
    core.call(name, args, (answer) => answers.push(answer))
    return answers
  }
  call('mount', spec)
  return { dir, spec, call }
}

t.test('a stack that cannot be opened is answered once, by its failure', async (t) => {
  const { dir, spec, call } = mounted(t)
  const [layer] = spec.stack.layers
  const broken = { ...spec.stack, layers: [{ ...layer!, rw: join(dir, 'absent') }] }
  const answers = call('restack', [{ id: 1, stack: broken }])
  t.equal(answers.length, 1)
  t.match(answers[0], { error: { code: 'ENOENT' } })
})

t.test('a restore whose step fails is answered once, by its failure', async (t) => {
  const { dir, call } = mounted(t)
  mkdirSync(join(dir, 'work/restore-1'))
  writeFileSync(join(dir, 'work/restore-1/0'), 'text')
  writeFileSync(join(dir, 'rw/f'), 'old')
  const plan: RedoPlan = {
    id: '1',
    layer: 'app',
    state: '',
    rw: 1,
    steps: [
      { op: 'remove', path: relPath('f'), trash: 'trash' },
      { op: 'place', path: relPath('n'.repeat(300)), staged: '0', ino: 0, number: 0 },
    ],
  }
  const answers = call('applyRedo', 'app', plan)
  t.equal(answers.length, 1)
  t.match(answers[0], { error: { code: 'ENAMETOOLONG' } })
})
