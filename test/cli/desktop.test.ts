// A layer in a desktop's menu: the entry is one that desktops read, and what it runs does its work.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { commandLine, desktopEntry } from '../../lib/cli/desktop-entry.ts'
import { notifyPerson } from '../../lib/host/notification.ts'
import { throwAway } from '../daemon/place.ts'
import { PROGRAM, ready, readyAsk } from './run-cli.ts'
import { KEYS, Terminal } from './terminal.ts'

const ODD = ['plain', 'a b', '"', "'", '\\', '$HOME', '`x`', '100%', '%f', 'ü…', 'a;b', 'new\nline']

/** The words of an Exec value, as the specification says to read it. */
function wordsOf(line: string): string[] {
  const text = line.replace(
    /\\(.)/g,
    (_, letter: string) => ({ n: '\n', t: '\t' })[letter] ?? letter,
  )
  const words = text.match(/"(?:\\.|[^"\\])*"|[^ "]+/gs) ?? []
  return words.map((word) => {
    if (/^%[fFuU]$/.test(word)) return word
    const inner = word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/gs, '$1') : word
    return inner.replaceAll('%%', '%')
  })
}

t.test('every word of a command is one word to a desktop', async (t) => {
  t.same(wordsOf(commandLine(ODD)), ODD)
})

t.test('desktop-file-validate finds nothing wrong, whatever the names are', async (t) => {
  const dir = throwAway(t)
  const odd = 'a "b"\\ %f\n;$x'
  const file = join(dir, 'x.desktop')
  const svsfs = (...words: string[]) => ['/usr/bin/node', '/opt/my apps/svsfs', ...words]
  const wish = { layer: odd, title: odd, comment: `of ${odd}`, svsfs }
  writeFileSync(
    file,
    desktopEntry({
      ...wish,
      icon: 'web',
      categories: ['Network', 'WebBrowser'],
      command: [odd, '%F'],
    }),
  )
  const { stdout, error } = spawnSync('desktop-file-validate', [file], { encoding: 'utf8' })
  if (error === undefined) t.equal(stdout, '')
  else t.match(readFileSync(file, 'utf8'), /\nActions=keep-state;go-back;\n/)
})

/** A directory with programs that write down what they were called with, and the variables that find them. */
function desktop(dir: string): {
  heard: (program: string) => Promise<string>
  env: Record<string, string>
} {
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  for (const name of ['notify-send', 'xdg-terminal-exec']) {
    const line = `printf '%s|' "$@" >'${bin}/${name}.new'; mv '${bin}/${name}.new' '${bin}/${name}.said'`
    writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 })
  }
  return {
    heard: async (program) => {
      const said = join(bin, `${program}.said`)
      for (let i = 0; i < 500 && !existsSync(said); i++) await sleep(20)
      return readFileSync(said, 'utf8')
    },
    env: {
      PATH: `${bin}:${process.env.PATH}`,
      DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nowhere',
      XDG_DATA_HOME: join(dir, 'data'),
      SVSFS_STORE: join(dir, 'store'),
    },
  }
}

t.test(
  'add writes an entry, keep keeps a state, back opens a terminal; a person is told',
  async (t) => {
    const dir = throwAway(t)
    const store = join(dir, 'store')
    const { heard, env } = desktop(dir)
    // Before the first command: the process that is ready has them from its start.
    Object.assign(process.env, env)
    const run = ready
    writeFileSync(join(dir, 'tool'), 'x')
    t.equal((await run('layer', 'create', 'app', '--empty')).status, 0)

    t.match(await run('desktop', 'add', 'app'), { status: 2, err: /no command of its own/ })
    t.match(await run('desktop', 'add', 'app', '--', 'tool', '%F'), { status: 0 })
    const entry = join(dir, 'data/applications/svsfs-app.desktop')
    const lines = readFileSync(entry, 'utf8').split('\n')
    const exec = lines
      .filter((line) => line.startsWith('Exec='))
      .map((line) => wordsOf(line.slice(5)))
    const base = [process.execPath, PROGRAM]
    t.same(exec, [
      [...base, 'run', '--store', store, 'app', '--', 'tool', '%F'],
      [...base, 'desktop', 'keep', '--store', store, 'app'],
      [...base, 'desktop', 'back', '--store', store, 'app'],
    ])

    t.equal((await run(...exec[1]!.slice(2))).status, 0)
    t.match(await heard('notify-send'), /--urgency=normal\|--\|app\|State [0-9a-f]+ is kept/)
    const states = await readyAsk('snapshots', 'app')
    t.match(states, { data: [{ message: 'kept from the menu' }] })

    t.equal((await run(...exec[2]!.slice(2))).status, 0)
    t.equal(await heard('xdg-terminal-exec'), `${exec[2]!.join('|')}|`)
    t.match(await run('desktop', 'keep', 'none'), { status: 3 })

    t.equal((await run('desktop', 'remove', 'app')).status, 0)
    writeFileSync(entry, '[Desktop Entry]\n')
    t.match(await run('desktop', 'add', 'app', '--', 'tool'), { err: /SVS_PATH_EXISTS/ })
    t.match(await run('desktop', 'remove', 'app'), { err: /SVS_PATH_EXISTS/ })
  },
)

t.test('in a terminal, back is the list of states', async (t) => {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  await ready('--store', store, 'layer', 'create', 'app', '--empty')
  await ready('--store', store, 'snapshot', 'app', '-m', 'the only one', '--allow-empty')
  const terminal = new Terminal([PROGRAM, 'desktop', 'back', 'app', '--store', store])
  t.teardown(() => terminal.kill())
  await terminal.until(/the only one/)
  terminal.type(KEYS.interrupt)
  t.equal(await terminal.ended(), 1)
})

t.test('who has no desktop, or wants to hear nothing, is told nothing', async (t) => {
  const { env } = desktop(throwAway(t))
  const notice = { title: 'x', text: 'y' }
  t.equal(notifyPerson(notice, { PATH: env.PATH! }), false)
  for (const off of ['off', '0', 'no'])
    t.equal(notifyPerson(notice, { ...env, SVSFS_NOTIFICATIONS: off }), false)
})
