// What a loop of requests does beside requests.

import t from 'tap'
import { Loop } from '../../lib/fuse/loop.ts'
import { wake } from '../../lib/fuse/waker.ts'

t.test(
  'what a message asks for soon is done once, and what that asks for in the turn after it',
  (t) => {
    const done: string[] = []
    const loop = new Loop({
      onMessages: () => {
        loop.soon(() => {
          done.push('first')
          loop.soon(() => done.push('second'))
        })
        loop.after(20, () => loop.stop())
      },
    })
    wake(loop.waker)
    loop.run()
    t.same(done, ['first', 'second'])
    t.end()
  },
)
