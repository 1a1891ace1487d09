// svsfs restore --pick on a real terminal: filtering, looking first, restoring, leaving.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { cut, dayTime, detailsOf, fitting, stateRow, wayBack } from '../../lib/cli/pick-lines.ts'
import type { DiffAnswer } from '../../lib/daemon/diff-methods.ts'
import type { StateLine } from '../../lib/daemon/state-methods.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, PROGRAM, svsfs } from './run-cli.ts'
import { KEYS, Terminal } from './terminal.ts'

t.setTimeout(240_000)

const STATE: StateLine = {
  id: '3f9a00aa11',
  layer: 'app',
  time: Date.now() - 3 * 86_400_000,
  message: 'before the 更新\x1b[2J of everything that there is',
  label: 'clean',
  tags: { host: 'a' },
  pinned: true,
  trigger: 'manual',
  entries: 4,
  bytes: 5000,
  stored: 10,
  sizes: null,
  counts: { added: 2, changed: 1, deleted: 0, attributes: 0, renamed: 0 },
  current: false,
  status: 'stored',
}

const width = (line: string): number =>
  [...line].reduce((sum, letter) => sum + (/[\u2e80-\ua4cf]/.test(letter) ? 2 : 1), 0)

t.test(
  'no line is wider than the terminal or steers it; 80 columns have all of a state',
  async (t) => {
    for (const columns of [20, 40, 79, 200]) {
      const lines = [stateRow(STATE, columns), ...detailsOf(STATE, null, columns)]
      for (const line of lines) {
        t.ok(width(line) <= columns, `${columns}: ${line}`)
        t.notMatch(line, '\x1b')
      }
    }
    const row = stateRow(STATE, 79, '+4')
    t.match(row, `3 days ago     ${dayTime(STATE.time)}  +2 ~1     now +4        [clean] before`)
    t.match(stateRow(STATE, 40), /^3 days ago {5}\[clean\] before the 更新.*…$/)
    t.match(detailsOf(STATE, null, 79)[1], 'made by hand; since the one before: 2 added, 1 changed')
    t.equal(cut('更新', 3), '更…')
    t.equal(cut('abc', 3), 'abc')
    t.same(fitting(['a', 'b', 'c'], 2), ['a', '… 2 more lines'])
  },
)

t.test('the way back takes away what came, and shows lines of texts turned round', async (t) => {
  const side = (text: string) => ({
    kind: 'file' as const,
    size: text.length,
    bytes: Buffer.from(text).toString('base64'),
  })
  const answer: DiffAnswer = {
    layer: 'app',
    from: STATE,
    to: null,
    differences: [
      { path: '/new', mark: 'A', before: null, after: side('x') },
      { path: '/gone', mark: 'D', before: side('x'), after: null },
      { path: '/set.ini', mark: 'M', before: side('home=a\n'), after: side('home=b\n') },
    ],
  }
  const lines = wayBack(answer, 79, (_, text) => text)
  t.same(lines.slice(0, 3), ['- new  removed', '+ gone  comes back', '~ set.ini  as it was'])
  t.same(lines.slice(4), ['  -home=b', '  +home=a'])
  t.same(wayBack({ ...answer, differences: [] }, 79, (_, text) => text).length, 1)
})

const MANY = join(dirname(fileURLToPath(import.meta.url)), 'pick-many.js')

t.test(
  '500 states: typing filters, the window may change, Ctrl-C leaves the terminal as it was',
  async (t) => {
    const terminal = new Terminal([MANY], { columns: 40, rows: 20 })
    t.teardown(() => terminal.kill())
    const first = await terminal.until(/Enter restore/)
    t.match(first, '(500 of 500)')
    const lines = first.split('\n').map((line) => line.replace(/\r/g, ''))
    for (const line of lines) t.ok(width(line) < 40, line)
    terminal.type('number-499')
    await terminal.until(/1 of 500/)
    terminal.resize(80)
    await terminal.until(/now = .* the state called nu/)
    terminal.type('\x7f')
    await terminal.until(/11 of 500(?:[\s\S]*now =){10}/)
    terminal.type('9')
    await terminal.until(/1 of 500/)
    terminal.type(KEYS.tab)
    await terminal.until(/nothing: the layer is as it was then/)
    terminal.type('x')
    await terminal.until(/0 of 500[\s\S]*nothing is called so/)
    terminal.type(KEYS.enter)
    await terminal.until(/no state is called so/)
    terminal.type(KEYS.interrupt)
    t.equal(await terminal.ended(), 1)
    t.match(
      terminal.raw,
      /\x1b\[\?25h[\s\S]*\n.?icanon/,
      'the cursor shows again, and lines are lines',
    )
    t.notMatch(terminal.raw, /-icanon/)
  },
)

t.test('a person looks first, is told what will be lost, and can end it anywhere', async (t) => {
  const dir = throwAway(t)
  const [store, from] = [join(dir, 'store'), join(dir, 'from')]
  mkdirSync(from)
  writeFileSync(join(from, 'set.ini'), 'home=a\n')
  const at = (...words: string[]) => svsfs(store, ...words).status
  t.equal(at('layer', 'create', 'app', '--from', from), 0)
  t.equal(at('snapshot', 'app', '-m', 'as installed'), 0)
  const { places } = ask(store, 'layer', 'show', 'app').data as { places: { rw: string } }
  const { rw } = places
  writeFileSync(join(rw, 'set.ini'), 'home=b\n')

  const open = () => {
    const words = ['restore', '--store', store, '--pick', 'app']
    const terminal = new Terminal([PROGRAM, ...words])
    t.teardown(() => terminal.kill())
    return terminal
  }
  // At once, while what changed is still being asked for; and while that is looked at.
  const hasty = open()
  await hasty.until(/Which state/)
  hasty.type(KEYS.interrupt)
  t.equal(await hasty.ended(), 1)
  t.match(hasty.raw, /\x1b\[\?25h[\s\S]*\n.?icanon/)
  const looking = open()
  await looking.until(/since then until now: 1 changed/)
  looking.type(KEYS.tab)
  await looking.until(/as it was/)
  looking.type(KEYS.interrupt)
  t.equal(await looking.ended(), 1)
  t.same(
    readdirSync(join(store, 'run')).filter((name) => name.startsWith('diff-')),
    [],
  )
  const looked = open()
  await looked.until(/since then until now: 1 changed/)
  looked.type(KEYS.tab)
  await looked.until(/~ set\.ini {2}as it was[\s\S]*home: b → a/)
  looked.type(KEYS.enter)
  await looked.until(
    /lost here, and kept as a state first: 1 file: \/set\.ini[\s\S]*Restore app to/,
  )
  looked.type(KEYS.interrupt)
  t.equal(await looked.ended(), 1)
  t.match(stripVTControlCharacters(looked.raw), 'nothing was done')
  t.equal(readFileSync(join(rw, 'set.ini'), 'utf8'), 'home=b\n')

  const done = open()
  await done.until(/since then until now: 1 changed/)
  done.type(KEYS.enter)
  await done.until(/Restore app to/)
  done.type('y')
  t.equal(await done.ended(), 0)
  t.match(stripVTControlCharacters(done.raw), /svsfs undo app takes this back/)
  t.notOk(existsSync(join(rw, 'set.ini')), 'what was installed shows again')
})
