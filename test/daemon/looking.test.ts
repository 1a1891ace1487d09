// Looking at states: files of them, their history, how they follow each other, what they cost.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import t from 'tap'
import { cat } from '../../lib/cli/cat-command.ts'
import type { Paint } from '../../lib/cli/colors.ts'
import type { Context } from '../../lib/cli/command.ts'
import { du } from '../../lib/cli/du-command.ts'
import { log } from '../../lib/cli/log-command.ts'
import { Output } from '../../lib/cli/output.ts'
import { drawTimeline } from '../../lib/cli/timeline-drawing.ts'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import type { Control } from '../../lib/daemon/control.ts'
import type { TimelineState } from '../../lib/daemon/log-methods.ts'
import { PROGRAM } from '../cli/run-cli.ts'
import { randomBytes, randomOf } from '../snapshot/fixture.ts'
import { newStore, nobody, type Test, throwAway } from './place.ts'

const ask = <Name extends MethodName>(
  control: Control,
  name: Name,
  params: Params<Name>,
): Promise<Answer<Name>> => perform(control, name, params, nobody) as Promise<Answer<Name>>

const sh = (cwd: string, script: string) => execFileSync('sh', ['-ec', script], { cwd })

/** A store with the layer `app` of a few files; `act` changes it and takes a state. */
async function storeWithLayer(t: Test) {
  const control = await newStore(t)
  const from = join(throwAway(t), 'source')
  mkdirSync(from)
  sh(from, 'mkdir -p etc/sub usr; echo one > etc/conf; echo sub > etc/sub/file; echo bin > usr/bin')
  sh(from, 'ln -s conf etc/link; mkfifo etc/pipe; touch -d @1000000000 usr/bin')
  await ask(control, 'layer.create', { layer: 'app', source: { kind: 'from', paths: [from] } })
  const { places } = await ask(control, 'layer.show', { layer: 'app' })
  const take = (message: string) =>
    ask(control, 'snapshot', { layer: 'app', message, always: true })
  const act = (script: string, message = script) => {
    sh(places.rw, script)
    return take(message)
  }
  return { control, rw: places.rw, act, root: control.store.places.root }
}

t.test('a file is printed as it was, as it was installed, and as it is', async (t) => {
  const { control, rw, act, root } = await storeWithLayer(t)
  const first = await act('mkdir etc; echo two > etc/conf; : > etc/empty')
  sh(rw, 'echo three > etc/conf')
  const read = async (state: string, path: string) => {
    const { bytes } = await ask(control, 'cat', { layer: 'app', state, path })
    return Buffer.from(bytes!, 'base64').toString()
  }
  t.equal(await read('ro', 'etc/conf'), 'one\n')
  t.equal(await read('latest', '/etc//conf'), 'two\n')
  t.equal(await read('now', 'etc/conf'), 'three\n')
  t.equal(await read('now', 'etc/sub/file'), 'sub\n')
  t.equal(await read('latest', 'etc/empty'), '')
  const answer = await ask(control, 'cat', { layer: 'app', state: 'latest', path: 'etc/conf' })
  t.match(answer, { layer: 'app', state: { id: first.id }, path: '/etc/conf', size: 4 })

  // A large one, through the command, also where the reader has enough of it.
  writeFileSync(join(rw, 'large'), Buffer.alloc(5_000_000, 'svsfs '))
  const second = await ask(control, 'snapshot', { layer: 'app', label: 'large' })
  t.match(await ask(control, 'cat', { layer: 'app', state: 'large', path: 'large' }), {
    size: 5_000_000,
    bytes: null,
  })
  await control.close()
  const sized = (script: string) =>
    spawnSync('sh', ['-c', script, process.execPath, PROGRAM], {
      env: { ...process.env, SVSFS_STORE: root },
      encoding: 'utf8',
      maxBuffer: 1e7,
    })
  const whole = sized('"$0" "$1" cat app large --at now')
  t.same([whole.status, whole.stderr], [0, ''])
  t.ok(whole.stdout === 'svsfs '.repeat(833_334).slice(0, 5_000_000))
  const piped = sized('{ "$0" "$1" cat app@large large; echo $? >&2; } | head -c 5')
  t.same([piped.stdout, piped.stderr], ['svsfs', '0\n'])
  t.same(
    readdirSync(join(root, 'run')).filter((name) => name.startsWith('cat-')),
    [],
  )
  t.not(second.id, first.id)
})

t.test('a difference tells settings by their keys and databases by their rows', async (t) => {
  const { control, rw, act, root } = await storeWithLayer(t)
  const database = (sql: string) => {
    const base = new sqlite.Database(join(rw, 'places.sqlite'))
    // While it is open: the log is beside it, and what it holds nowhere else.
    base.exec(`pragma locking_mode = exclusive; pragma journal_mode = wal; ${sql}`)
    sh(rw, 'mkdir -p kept; cp -p places.sqlite places.sqlite-wal kept')
    base.close()
    sh(rw, 'mv kept/* .; rmdir kept')
  }
  database(
    "create table moz_bookmarks (id integer primary key, title); insert into moz_bookmarks values (1, 'one')",
  )
  await act(
    `echo 'user_pref("home", "a");' > prefs.js; echo '{"a":1}' > a.json; head -c 2000000 /dev/zero > large`,
  )
  database("insert into moz_bookmarks values (2, 'two')")
  await act(
    `echo 'user_pref("home", "b");' > prefs.js; echo '{"a":2}' > a.json; printf x | dd of=large conv=notrunc`,
  )
  await control.close()
  const run = (...words: string[]) => {
    const { stdout, status, stderr } = spawnSync(process.execPath, [PROGRAM, 'diff', ...words], {
      env: { ...process.env, SVSFS_STORE: root },
      encoding: 'utf8',
    })
    t.equal(status, 0, stderr)
    return stdout
  }
  // A range that begins with a minus is no option.
  t.equal(
    run('app', '-1..latest', '--patch'),
    `M a.json
  a: 1 → 2
M large
  (too large to compare line by line: 1.91 MiB, 1 byte differs)
M places.sqlite-wal
  (of places.sqlite)
  moz_bookmarks: 1 added
    + id 2: title two
M prefs.js
  home: a → b
`,
  )
  const { data } = JSON.parse(run('app@-1..latest', 'places.sqlite', '--patch', '--json'))
  t.match(data.differences, [
    {
      path: '/places.sqlite-wal',
      tables: {
        database: '/places.sqlite',
        tables: [{ table: 'moz_bookmarks', added: 1, removed: 0, changed: 0 }],
      },
    },
  ])
  t.same(
    readdirSync(join(root, 'run')).filter((name) => name.startsWith('diff-')),
    [],
  )
})

t.test('a difference reaches from one version of the read-only part to another', async (t) => {
  const { control, rw, act } = await storeWithLayer(t)
  const small = await act('echo own > own; mkdir etc; echo two > etc/conf; chmod 600 etc/conf')
  const from = join(throwAway(t), 'other')
  // What is the same, what has the same size and time and other bytes, what came, what is gone.
  mkdirSync(from)
  sh(from, 'mkdir -p etc/sub usr; echo sub > etc/sub/file; echo three > etc/conf; echo n > new')
  sh(from, 'echo biN > usr/bin; touch -d @1000000000 usr/bin; ln -s away etc/link')
  await ask(control, 'layer.replace', { layer: 'app', source: { kind: 'from', paths: [from] } })
  sh(rw, 'echo now >> own; printf x > born')
  const told = async (from: string, to: string, more = {}) =>
    (await ask(control, 'diff', { layer: 'app', from, to, ...more })).differences
  const marks = async (from: string, to: string, more = {}) =>
    (await told(from, to, more))
      .filter(({ mark }) => mark !== 'attr')
      .map(({ mark, path }) => `${mark} ${path}`)
  const expected = ['A /born', 'M /etc/link', 'D /etc/pipe', 'A /new', 'M /own', 'M /usr/bin']
  t.same(await marks(small.id, 'now'), expected)
  const later = await ask(control, 'snapshot', { layer: 'app' })
  t.same(await marks(small.id, later.id!), expected, 'and between states')
  t.same(await marks(small.id, later.id!, { paths: ['/usr/bin'] }), ['M /usr/bin'])
  const back = await marks(later.id!, small.id)
  t.same(back, ['D /born', 'M /etc/link', 'A /etc/pipe', 'D /new', 'M /own', 'M /usr/bin'])
  const [same] = await told(small.id, 'now', { paths: ['/usr/bin'], contents: true })
  const text = (bytes?: string) => Buffer.from(bytes ?? '', 'base64').toString()
  t.same([text(same?.before?.bytes), text(same?.after?.bytes)], ['bin\n', 'biN\n'])
  t.same(await marks(later.id!, 'now'), [], 'and over one version nothing changed')
})

t.test('what is too large for JSON is refused there', async (t) => {
  const large = { layer: 'app', state: null, path: '/large', size: 5e6, bytes: null }
  const context = { session: { call: async () => large }, out: new Output(true), exit() {} }
  const wish = { layer: 'app', state: null, at: null, path: 'large' }
  await t.rejects(cat.run(context as unknown as Context, wish), { code: 'SVS_USAGE' })
})

t.test('what has no bytes is refused by name', async (t) => {
  const { control, act } = await storeWithLayer(t)
  await act('mkdir etc; echo x > etc/new; ln -s new etc/other')
  for (const state of ['ro', 'now', 'latest']) {
    const refused = (path: string, code: string, message = /./) =>
      t.rejects(ask(control, 'cat', { layer: 'app', state, path }), { code, message }, path)
    await refused('etc', 'SVS_PATH_NOT_FILE', /^\/etc is no file .* but a directory; svsfs mount/)
    await refused('/', 'SVS_PATH_NOT_FILE')
    await refused('etc/link', 'SVS_PATH_NOT_FILE', /a symbolic link to conf; name the file/)
    await refused('etc/pipe', 'SVS_PATH_NOT_FILE', /a FIFO/)
    await refused('etc/absent', 'SVS_PATH_NOT_IN_STATE')
    await refused('etc/conf/below', 'SVS_PATH_NOT_IN_STATE')
    await refused('../etc/conf', 'SVS_PATH_INVALID')
  }
  const layer = 'app'
  await t.rejects(ask(control, 'cat', { layer: 'ap', path: 'etc/conf' }), {
    code: 'SVS_LAYER_NOT_FOUND',
  })
  await t.rejects(ask(control, 'cat', { layer, state: 'none', path: 'etc/conf' }), {
    code: 'SVS_STATE_NOT_FOUND',
  })
  for (const into of ['../store.json', '/etc/passwd', 'cat-../../12345678'])
    await t.rejects(ask(control, 'cat', { layer, path: 'etc/conf', into }), {
      code: 'SVS_BAD_REQUEST',
    })
})

t.test(
  'the history of a path is the states in which it changed, also under former names',
  async (t) => {
    const { control, act } = await storeWithLayer(t)
    const ids: string[] = []
    for (const script of [
      'mkdir d; echo 1 > d/f; echo 1 > d/g',
      'echo unrelated > u',
      'echo 22 > d/f',
      'mv d e',
      'chmod 640 e/f',
      'rm e/f',
    ])
      ids.push((await act(script)).id)
    const nameOf = (id: string | null) => (id === null ? 'ro' : `s${ids.indexOf(id) + 1}`)
    const told = async (path: string | null, limit: number | null = null) =>
      (await ask(control, 'log', { layer: 'app', path, limit })).lines.map(
        ({ state, since, change }) =>
          [
            nameOf(state.id),
            nameOf(since),
            change?.mark,
            change?.from && `${change.from} -> ${change.path}`,
            change?.to && `to ${change.to}`,
            change?.after?.size,
            ...Object.entries(change?.counts ?? {}).flatMap(([what, n]) =>
              n > 0 ? [n, what] : [],
            ),
          ]
            .filter(Boolean)
            .join(' '),
      )
    const former = ['s3 s2 M 3', 's1 ro A 2']
    t.same(await told('e/f'), ['s6 s5 D', 's5 s4 attr 3', 's4 s3 R /d/f -> /e/f 3', ...former])
    t.same(await told('d/f'), ['s4 s3 D to /e/f', ...former])
    t.same(await told('e'), [
      's6 s5 M 1 deleted',
      's5 s4 M 1 attributes',
      's4 s3 R /d -> /e',
      's3 s2 M 1 changed',
      's1 ro A 2 added',
    ])
    t.same(
      (await told('/')).map((line) => line.slice(0, 2)),
      ['s6', 's5', 's4', 's3', 's2', 's1'],
    )
    t.same(await told('e/f', 1), ['s6 s5 D'])
    t.same([await told('etc/sub/file'), await told('nothing')], [[], []])
    t.same(await told(null, 2), ['s6 s5', 's5 s4'])

    const answer = await ask(control, 'log', { layer: 'app', path: 'e/f' })
    const rows: (readonly string[])[] = []
    const out = { table: (_: unknown, all: typeof rows) => void rows.push(...all) } as Output
    log.print(answer, out, { layer: 'app', path: 'e/f', limit: null })
    t.same(
      rows.map(([mark, , , , size, why, what]) => [mark, size, why, what]),
      [
        ['D*', '-', 'manual', 'rm e/f'],
        ['m', '3 B', 'manual', 'chmod 640 e/f'],
        ['R', '3 B', 'manual', 'mv d e (d/f -> e/f)'],
        ['M', '3 B', 'manual', 'echo 22 > d/f'],
        ['A', '2 B', 'manual', 'mkdir d; echo 1 > d/f; echo 1 > d/g'],
      ],
    )

    await ask(control, 'state.label', { layer: 'app', state: ids[0]!, label: 'first' })

    // Branches, states that are gone, and another read-only part.
    await ask(control, 'restore', { layer: 'app', state: ids[2]! })
    ids.push((await act('echo 333 > d/f')).id)
    await ask(control, 'state.delete', { layer: 'app', state: ids[1]! })
    t.same(await told('d/f'), ['s7 s3 M 4', 's4 s3 D to /e/f', 's3 s1 M 3', 's1 ro A 2'])
    const drawn = await ask(control, 'timeline', { layer: 'app' })
    const words = (line: string) =>
      line.replace(/[0-9a-f]{10}/, nameOf).replace(/\d{4}-.*just now.*B/, '-')
    t.same(drawTimeline(drawn, 120, plain, Date.now()).map(words), [
      '○    now',
      '●    s7  -  echo 333 > d/f',
      '│ ●  s6  -  rm e/f',
      '│ ●  s5  -  chmod 640 e/f',
      '│ ●  s4  -  mv d e',
      '├─╯',
      '●    s3  -  echo 22 > d/f',
      '┆',
      '●    s1  [first]  -  mkdir d; echo 1 > d/f; echo 1 > d/g',
    ])
    const from = join(throwAway(t), 'other')
    mkdirSync(from)
    writeFileSync(join(from, 'version'), 'two')
    await ask(control, 'layer.replace', { layer: 'app', source: { kind: 'from', paths: [from] } })
    ids.push((await act('echo 4444 > d/f')).id)
    t.same(await told('d/f', 2), ['s8 s7 M 5', 's7 s3 M 4'])
    t.same(await told('version'), ['s8 s7 A 3'])
    t.same(await told('etc/sub/file'), ['s8 s7 D'])

    // A version that is gone is told of with the states that lie over it; the others are there.
    const { catalogue } = control
    const layer = await control.layer('app')
    await catalogue.putLayer({ ...layer, versions: [layer.ro] })
    t.same(await told('d/f'), [
      ...['s8 s7 other', 's7 s3 other', 's6 s5 other', 's5 s4 other'],
      ...['s4 s3 other', 's3 s1 other', 's1 ro other'],
    ])
    ids.push((await act('echo 55555 > d/f')).id)
    t.same((await told('d/f')).slice(0, 2), ['s9 s8 M 6', 's8 s7 other'])
    await t.rejects(ask(control, 'log', { layer: 'app', path: '../x' }), {
      code: 'SVS_PATH_INVALID',
    })
    await t.rejects(ask(control, 'log', { layer: 'ap' }), { code: 'SVS_LAYER_NOT_FOUND' })
  },
)

const plain: Paint = (_, text) => text

/** `c b`: state c came from b; `c ~b` where states between the two are gone. */
function drawnOf(from: string | null, ...lines: readonly string[]): string[] {
  const states = lines.map((line) => {
    const [id = '', parent = ''] = line.split(' ')
    return {
      ...{ id, parent: parent.replace('~', '') || null, dotted: parent.startsWith('~') },
      ...{ time: 0, message: '', label: null, tags: {}, trigger: 'manual', stored: 0 },
    }
  }) as unknown as TimelineState[]
  const answer = { layer: 'app', from, total: states.length, states }
  return drawTimeline(answer, 80, plain, 0).map((line) => line.replace(/ {2}just now {2}0 B$/, ''))
}

t.test('states are drawn on the line of what they came from', async (t) => {
  t.same(drawnOf('a', 'b a', 'a'), ['○    now', '├─●  b', '●    a'])
  t.same(drawnOf(null, 'b a', 'a'), ['○  now', '●  b', '●  a'])
  t.same(drawnOf('c', 'c ~a', 'b', 'a'), ['○    now', '●    c', '┆', '┆ ●  b', '●    a'])
  // Two that were left behind meet the line that another waits on; what is between is crossed.
  t.same(drawnOf('e', 'f c', 'e a', 'd a', 'c b', 'b a', 'a'), [
    '○      now',
    '│ ●    f',
    '● │    e',
    '├─┼─●  d',
    '│ ●    c',
    '│ ●    b',
    '├─╯',
    '●      a',
  ])
})

t.test('a drawing fits the terminal, whatever states are called', async (t) => {
  const state = {
    ...{ id: '0123456789', parent: null, dotted: false, time: 0, label: 'l'.repeat(64) },
    ...{ message: '\x1b[31m'.repeat(60), tags: { a: 'b'.repeat(200) }, trigger: 'scheduled' },
    ...{ pinned: true, current: true, stored: 1e9, status: 'stored' },
  }
  // A hundred roots, each on a line that goes on.
  const states = Array.from({ length: 100 }, (_, at) => ({
    ...state,
    ...{ id: String(at).padStart(10, '0'), parent: `parent ${at}` },
  })) as unknown as TimelineState[]
  const answer = { layer: 'app', from: null, total: 100, states }
  for (const columns of [1, 40, 80, 137, 200, 1000]) {
    const lines = drawTimeline(answer, columns, plain)
    t.equal(lines.length, 101, 'a line each')
    t.ok(Math.max(...lines.map((line) => [...line].length)) <= Math.min(200, Math.max(40, columns)))
    t.ok(
      lines.slice(1).every((line) => / {2}\d{10} {2}/.test(line)) &&
        !lines.join('').includes('\x1b'),
    )
  }
  const coloured = drawTimeline(answer, 80, (_, text) => `<${text}>`)
  t.match(coloured[1], /^● {2,}<0000000000>/)
})

t.test('what a store costs is all that its disk has of it', async (t) => {
  const { control, rw, act, root } = await storeWithLayer(t)
  writeFileSync(join(rw, 'large'), randomBytes(randomOf(3), 300_000))
  sh(rw, 'ln large again; truncate -s 1G sparse; mkdir -p deep/er; chmod 700 deep')
  await act('echo 1 > one')
  await act('echo 2 > two')
  await ask(control, 'sublayer.make', { layer: 'app', sublayer: 'other', state: 'latest' })
  const gone = { layer: 'gone', source: { kind: 'empty' } } as const
  await ask(control, 'layer.create', gone)
  await ask(control, 'layer.delete', { layer: 'gone' })
  const [first, second] = await ask(control, 'snapshots', { layer: 'app', sizes: true })
  const answer = await ask(control, 'du', {})

  const [disk] = sh(root, 'du -s --block-size=1 .').toString().split('\t')
  const files = Number(sh(root, 'find . | wc -l').toString())
  t.same(answer.total, { disk: Number(disk), files })
  t.same([answer.unread, answer.store], [0, root])
  const part = (what: string, name = '') =>
    answer.parts.find((one) => one.what === what && one.name === name)
  t.match(part('read-only', '1'), { layer: 'app', current: true })
  t.match(part('writable', 'main'), { layer: 'app', current: true })
  const large = part('writable', 'main')?.disk ?? 0
  t.ok(large >= 300_000 && large < 500_000, 'two names are one file, and holes are nothing')
  t.match(part('writable', 'other'), { layer: 'app', current: false })
  t.match(part('deleted'), { layer: 'gone', files: Number })
  t.ok((part('catalogue')?.disk ?? 0) > 300_000)

  // By the catalogue: as the list of states has it.
  const [states] = answer.states
  t.equal(states?.own, (first?.sizes?.own ?? 0) + (second?.sizes?.own ?? 0))
  t.equal(states?.states.length, 2)
  t.equal(answer.shared, first?.sizes?.shared)
  t.equal(answer.needed, answer.shared + (states?.own ?? 0))
  await ask(control, 'state.delete', { layer: 'app', state: 'latest' })
  const later = await ask(control, 'du', {})
  t.equal(later.needed, answer.needed - (first?.sizes?.own ?? 0))
  t.equal(later.shared, 0)

  const said: string[] = []
  const table = (_: unknown, rows: readonly (readonly string[])[]) =>
    void said.push(...rows.map((row) => row.slice(2).join(' ')))
  du.print(answer, { table, line: (text = '') => void said.push(text) } as Output, null)
  t.ok(said.includes('app read-only part, version 1'))
  t.ok(said.includes('gone deleted, can be brought back: svsfs undo; svsfs gc --all removes it'))
})
