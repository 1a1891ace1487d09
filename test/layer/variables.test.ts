// Variables of a manifest: filled in where a layer is used, kept as they are everywhere else.

import t from 'tap'
import { filledIn, filledInAll, variablesHere, variablesIn } from '../../lib/layer/variables.ts'

/** `@{HOME}` for what would look like a template here. */
const text = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('@', '$'))

const HERE = { HOME: '/srv/ann', USER: 'ann', LIBDIR: '/usr/lib/x86_64-linux-gnu' }

t.test('variables are filled in, what is escaped or unknown stays', async (t) => {
  t.equal(filledIn(text('@{HOME}/data of @{USER}'), HERE), '/srv/ann/data of ann')
  t.equal(
    filledIn(text('@@{HOME} and @{ELSEWHERE} and @HOME'), HERE),
    text('@{HOME} and @{ELSEWHERE} and @HOME'),
  )
  const manifest = {
    env: { PLUGINS: '@{LIBDIR}/app' },
    commands: { default: ['app', '@{HOME}'] },
    n: 1,
  }
  t.same(filledInAll(text(manifest), HERE), {
    env: { PLUGINS: '/usr/lib/x86_64-linux-gnu/app' },
    commands: { default: ['app', '/srv/ann'] },
    n: 1,
  })
  t.same(filledInAll(text(['@{CONSTRUCTOR}']), HERE), text(['@{CONSTRUCTOR}']))
})

t.test('the variables that data uses are named once, in order, without escaped ones', async (t) => {
  t.same(
    variablesIn(text({ a: ['@{USER} @{HOME}', '@@{LIBDIR}'], b: { c: '@{HOME} @{OTHER}' } })),
    ['HOME', 'OTHER', 'USER'],
  )
})

t.test('every variable stands for something on this machine', async (t) => {
  const here = variablesHere('/home/x')
  t.equal(here.HOME, '/home/x')
  t.match(here.LIBDIR, /^\/usr\/lib/)
  t.ok(here.USER.length > 0)
})
