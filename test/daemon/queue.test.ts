// The queue of operations: one at a time on each thing, nothing waits for other things.
// Runs once: no user matters to it.

import t from 'tap'
import { Queue } from '../../lib/daemon/queue.ts'

function gate() {
  let open: () => void = () => {}
  const shut = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), shut }
}

t.test('tasks on one thing run one after the other, in order', async (t) => {
  const queue = new Queue()
  const { open, shut } = gate()
  const seen: string[] = []
  const first = queue.run('a', async () => {
    seen.push('first begins')
    await shut
    seen.push('first ends')
  })
  const second = queue.run('a', async () => void seen.push('second'))
  await new Promise(setImmediate)
  t.same(seen, ['first begins'])
  open()
  await Promise.all([first, second])
  t.same(seen, ['first begins', 'first ends', 'second'])
})

t.test('tasks on other things do not wait', async (t) => {
  const queue = new Queue()
  const { open, shut } = gate()
  const first = queue.run('a', () => shut)
  t.equal(await queue.run('b', async () => 7), 7)
  open()
  await first
})

t.test('a task that fails fails for its caller alone', async (t) => {
  const queue = new Queue()
  const first = queue.run('a', async () => {
    throw new Error('mine')
  })
  const second = queue.run('a', async () => 'done')
  await t.rejects(first, { message: 'mine' })
  t.equal(await second, 'done')
})

t.test('idle waits for what is under way, and for what that started', async (t) => {
  const queue = new Queue()
  let ended = false
  void queue.run('a', async () => {
    await new Promise(setImmediate)
    void queue.run('b', async () => {
      await new Promise(setImmediate)
      ended = true
    })
  })
  await queue.idle()
  t.ok(ended)
  await queue.idle()
})
