// Configuration: which value wins, what is refused and in which words, and that nothing was done then.

import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import type { Failure } from '../../lib/base/failure.ts'
import { configurationFiles, isConfigured } from '../../lib/cli/config-places.ts'
import { configure, findAll } from '../../lib/cli/configuration.ts'
import { makeProgram } from '../../lib/cli/program.ts'
import { listed, settingsOf, tableOf } from '../../lib/cli/settings.ts'
import { throwAway } from '../daemon/place.ts'
import { svsfs } from './run-cli.ts'

const leavesOf = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)

const all = leavesOf(await makeProgram(() => true))
const commandAt = (table: string): Command => all.find((each) => tableOf(each) === table)!

/** What is set by these texts as files, in order, and by `env`: `table.key` and its value. */
async function set(
  t: Parameters<typeof throwAway>[0],
  texts: readonly string[],
  { commands = all, env = {} }: { commands?: readonly Command[]; env?: NodeJS.ProcessEnv } = {},
): Promise<Record<string, unknown>> {
  const dir = throwAway(t)
  const files = texts.map((text, at) => {
    const file = join(dir, `${at}.toml`)
    writeFileSync(file, text, { mode: 0o600 })
    return file
  })
  const found = await findAll(commands, files, env)
  const name = (table: string, key: string) => (table === '' ? key : `${table}.${key}`)
  return Object.fromEntries(
    found.map(({ setting, value, origin }) => [
      name(setting.table, setting.key),
      [value, origin.replace(`${dir}/`, '')],
    ]),
  )
}

const messageOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
  } catch (err) {
    const { code, message } = err as Failure
    return `${code} ${message}`
  }
  return 'nothing was refused'
}

t.test('a later file wins over an earlier one, a variable over both', async (t) => {
  const system =
    'store = "/a"\n[mount]\nsettle-rate = 1\ntrace = true\n[schedule.add]\nkeep-last = 3'
  const own = 'store = "/b"\n[mount]\nsettle-rate = 2\n[snapshot]\ntag = "x"\nwait = false'
  const env = { SVSFS_MOUNT_SETTLE_RATE: '2.5', SVSFS_STORE: '', SVSFS_SNAPSHOT_TAG: 'a:b=c' }
  t.same(await set(t, [system, own], { env: { ...env, SVSFS_MOUNT_TRACE: '0' } }), {
    store: ['/b', '1.toml'],
    'mount.settle-rate': [2.5, 'SVSFS_MOUNT_SETTLE_RATE'],
    'mount.trace': [false, 'SVSFS_MOUNT_TRACE'],
    'schedule.add.keep-last': [3, '0.toml'],
    'snapshot.tag': [['a', 'b=c'], 'SVSFS_SNAPSHOT_TAG'],
    'snapshot.wait': [false, '1.toml'],
  })
  t.same(await set(t, ['color = true'], { env: { NO_COLOR: '1' } }), { color: [false, 'NO_COLOR'] })
})

t.test('what is wrong in a file is named, with what was probably meant', async (t) => {
  for (const [text, wanted] of [
    ['stroe = "/a"', /0\.toml: there is no setting and no table "stroe".*did you mean store\?/],
    ['[moutn]', /no table "moutn".*did you mean mount\?/],
    ['[schedule.ad]', /there is no table \[schedule\.ad\].*did you mean add\?/],
    ['[mount]\nread_only = true', /no setting "read_only" in \[mount\].*did you mean read-only\?/],
    ['[daemon]\nrecod = true', /no setting "recod" in \[daemon\].*did you mean recode\?/],
    [
      '[mount]\nno-allow-other = true',
      /"no-allow-other" in \[mount\] is written allow-other = false/,
    ],
    ['[mount]\nstore = "/a"', /"store" in \[mount\] must stand above all tables/],
    ['[mount]\nread-only = "yes"', /"read-only" in \[mount\] must be true or false/],
    ['[mount]\nsettle-rate = "64"', /"settle-rate" in \[mount\] must be a number/],
    ['[mount]\nsettle-rate = inf', /must be a number/],
    ['[mount]\ntransport = "pigeon"', /must be one of direct, fuse-native/],
    ['[snapshot]\ntag = [1]', /"tag" in \[snapshot\] must be a list of texts/],
    ['store = "layers"', /"store" must be an absolute path/],
    ['store = 2026-11-20', /"store" must be an absolute path/],
    ['mount = 1', /"mount" must be a table, as \[mount\]/],
    ['[schedule]\nadd = []', /"schedule\.add" must be a table/],
    ['constructor = 1', /there is no setting and no table "constructor"/],
    ['[daemon.__proto__]', /there is no setting "__proto__"/],
    ['quiet = true\nquiet = false', /0\.toml, line 2: /],
    ['\n\n[mount', /0\.toml, line 3: /],
  ] as const)
    t.match(await messageOf(set(t, [text])), wanted, text)
  const odd = set(t, [], { env: { SVSFS_MOUNT_READ_ONLY: 'perhaps' } })
  t.match(await messageOf(odd), /SVS_CONFIG_INVALID SVSFS_MOUNT_READ_ONLY: "perhaps" must be 0, 1/)
})

t.test('what throws away, lets in or skips a question cannot be set, in any command', async (t) => {
  const never = ['force', 'yes', 'all', 'repair', 'replace', 'with-states', 'snapshot', 'restore']
  const unsafe = ['allow-unsigned', 'allow-devices', 'allow-links', 'sign', 'base-writable', 'now']
  const settable = all.flatMap((command) => settingsOf(command).map(({ key }) => key))
  t.same(
    settable.filter((key) => [...never, ...unsafe].includes(key)),
    [],
  )
  for (const [table, key] of [
    ['restore', 'force'],
    ['layer.delete', 'yes'],
    ['reset', 'no-snapshot'],
    ['import', 'allow-unsigned'],
  ] as const) {
    const words = `"${key}" in \\[${table}\\] can be given on the command line alone`
    t.match(await messageOf(set(t, [`[${table}]\n${key} = true`])), new RegExp(words))
  }
  const own = all.flatMap((each) => settingsOf(each).map(({ key }) => `${tableOf(each)}.${key}`))
  t.same(own.sort(), listed().sort(), 'every listed habit is an option of its command')
})

t.test('a command reads its own table alone', async (t) => {
  const text = '[restore]\nnonsense = 1\n[events]\nlast = 5'
  t.same(await set(t, [text], { commands: [commandAt('events')] }), {
    'events.last': [5, '0.toml'],
  })
  t.match(await messageOf(set(t, [text])), /no setting "nonsense" in \[restore\]/)
})

t.test(
  'a file is not obeyed that others can write, and one that cannot be read is named',
  async (t) => {
    const file = join(throwAway(t), 'config.toml')
    t.same(await findAll(all, [file, join(file, 'below')], {}), [], 'none is there')
    writeFileSync(file, 'quiet = true', { mode: 0o600 })
    chmodSync(file, 0o666)
    const read = () => messageOf(findAll(all, [file], {}))
    t.match(await read(), /SVS_CONFIG_REFUSED .*anybody can write to it/)
    writeFileSync(file, Buffer.from([0x61, 0xff]))
    chmodSync(file, 0o600)
    t.match(await read(), /SVS_CONFIG_INVALID .*not UTF-8/)
    t.match(
      await messageOf(findAll(all, [join(file, '..')], {})),
      /SVS_CONFIG_UNREADABLE .*it is no file/,
    )
    if (process.geteuid?.() === 0) {
      chownSync(file, 5, 5)
      t.match(await read(), /SVS_CONFIG_REFUSED .*belongs to another user/)
    } else {
      chmodSync(file, 0)
      t.match(await read(), /SVS_CONFIG_UNREADABLE .*permission denied/)
      t.same(await findAll(all, ['/root/.config/svsfs/config.toml'], {}), [])
    }
  },
)

t.test('files are those of the system and of the user, wherever that has them', async (t) => {
  const [system, own] = configurationFiles({ XDG_CONFIG_HOME: '/c' })
  t.same([system, own], ['/etc/svsfs/config.toml', '/c/svsfs/config.toml'])
  const env = { XDG_CONFIG_HOME: throwAway(t), SVSFS_STORE: '/s' }
  t.equal(isConfigured(env), existsSync('/etc/svsfs/config.toml'), 'nothing is there to be read')
  t.ok(isConfigured({ ...env, SVSFS_MOUNT_TRACE: '1' }))
  t.match(configurationFiles({ XDG_CONFIG_HOME: 'c' })[1], /\/\.config\/svsfs\/config\.toml$/)
})

/** The user's file for this process and for those that it starts. */
function ownFile(t: Parameters<typeof throwAway>[0], text: string): string {
  const dir = throwAway(t)
  mkdirSync(join(dir, 'svsfs'))
  writeFileSync(join(dir, 'svsfs/config.toml'), text, { mode: 0o600 })
  process.env.XDG_CONFIG_HOME = dir
  t.teardown(() => {
    delete process.env.XDG_CONFIG_HOME
  })
  return dir
}

t.test('an option that is given wins, and adds nothing to what is configured', async (t) => {
  ownFile(t, 'store = "/s"\nverbose = true\n[snapshot]\ntag = ["a", "b"]\nwait = false\n')
  const program = await makeProgram((name) => name === 'snapshot')
  const snapshot = program.commands.find((each) => each.name() === 'snapshot')!
  snapshot.action(() => {})
  let verbose = false
  program.hook('preAction', async (_, command) => {
    verbose = await configure(command)
  })
  await program.parseAsync(['--store', '/given', 'snapshot', 'x', '--tag', 'c'], { from: 'user' })
  t.same(snapshot.opts(), { tag: ['c'], wait: false, verbose: true })
  t.same(program.opts(), { store: '/given' })
  t.equal(verbose, true)
})

t.test('a command with a damaged configuration does nothing; its help is there', async (t) => {
  const dir = ownFile(t, 'quiet = tru\n')
  const store = join(dir, 'store')
  const made = svsfs(store, 'layer', 'create', 'a', '--empty')
  t.match(made, { status: 10, out: '', err: /config\.toml, line 1: .*\[SVS_CONFIG_INVALID\]\n$/ })
  t.notOk(existsSync(store))
  t.match(svsfs(store, 'layer', 'create', '--help'), { status: 0, err: '' })
})

t.test('commands obey their configuration, and config show says where it is', async (t) => {
  const dir = ownFile(t, '')
  const [store, file] = [join(dir, 'store'), join(dir, 'svsfs/config.toml')]
  writeFileSync(
    file,
    `store = "${store}"\n[mount]\nread-only = true\nsettle-rate = 1\n[daemon]\nrecode = false\n`,
  )
  t.equal(svsfs('', 'layer', 'create', 'tools', '--empty').status, 0)
  t.ok(existsSync(join(store, 'store.json')))
  const mounted = svsfs('', 'mount', join(dir, 'm'), '--state', 'a@-1', '--writable')
  t.match(mounted.err, /read-only: without --writable \(/, 'what is configured was not given')
  const { out } = svsfs('', 'config', 'show', '--origin', '-q')
  t.equal(
    out,
    `store = "${store}"  # ${file}\nquiet = true  # --quiet\n\n[daemon]\nrecode = false  # ${file}\n
[mount]\nread-only = true  # ${file}\nsettle-rate = 1  # ${file}\n`,
  )
  t.match(JSON.parse(svsfs('/other', 'config', 'show', '--json').out), {
    data: { settings: [{ key: 'store', value: '/other', origin: 'SVSFS_STORE' }] },
  })
  const words = svsfs('', 'completion', '--words', '--', 'snapshot', '').out
  t.match(words, /^tools\t/)
})
