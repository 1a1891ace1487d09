// The README held against the program: its command lines exist, with the options it names.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import t from 'tap'
import { makeProgram } from '../lib/cli/program.ts'
import { COMMANDS } from '../lib/cli/table.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const readme = readFileSync(join(project, 'README.md'), 'utf8')

/** Command lines of the code blocks, as words, without their remarks. */
const commandLines = [...readme.matchAll(/^```sh\n([\s\S]*?)^```/gm)]
  .flatMap(([, block]) => (block ?? '').split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line.startsWith('svsfs '))
  .map((line) => line.split(' -- ')[0]!.split(/\s+/).slice(1))

/** `layer create` or `mount`: the words in front that name the command. */
const commandOf = (words: readonly string[]): string[] =>
  COMMANDS.some((each) => !('row' in each) && each.usage === words[0])
    ? words.slice(0, 2)
    : words.slice(0, 1)

/** What `svsfs help COMMAND` prints; null where there is no such command. */
function helpOf(program: Command, words: readonly string[]): string | null {
  let command: Command | undefined = program
  for (const word of words) command = command?.commands.find((each) => each.name() === word)
  let text = ''
  command?.configureOutput({ writeOut: (more) => void (text += more) }).outputHelp()
  return command === undefined ? null : text
}

t.test('every command line of the README names a command and options that exist', async (t) => {
  t.ok(commandLines.length > 10, 'command lines were found')
  const program = await makeProgram(() => true)
  for (const words of commandLines) {
    const command = commandOf(words)
    const manual = helpOf(program, command)
    if (manual === null) {
      t.fail(`svsfs help ${command.join(' ')}`)
      continue
    }
    const unknown = words
      .filter((word) => /^--?[a-z]/.test(word))
      .filter((option) => !new RegExp(`(^|[\\s,])${option}\\b`, 'm').test(manual))
    t.same(unknown, [], `svsfs ${words.join(' ')}`)
  }
})

t.test("the README's table of commands is the program's own, both ways", async (t) => {
  const section = readme.split('\n## Commands\n')[1]?.split('\n## ')[0] ?? ''
  const cells = [...section.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) => cell ?? '')
  // `layer create`, `list`, …: those of a group follow its name.
  const named = cells.flatMap((cell) => {
    const names = [...cell.matchAll(/`([a-z ]+)`/g)].map(([, name]) => name ?? '')
    const group = names[0]?.includes(' ') === true ? `${names[0].split(' ')[0]} ` : ''
    return names.map((name, at) => (at === 0 ? name : group + name))
  })
  const nameOf = (usage: string): string => usage.split(' ')[0] ?? ''
  const known = COMMANDS.flatMap((each) =>
    'row' in each
      ? [nameOf(each.usage)]
      : each.commands.map(({ usage }) => `${nameOf(each.usage)} ${nameOf(usage)}`),
  )
  t.same(named.sort(), [...known, 'overlay'].sort())
})

t.test('every file that the README names is there', async (t) => {
  const files = [...readme.matchAll(/`((?:lib|layers|test|bin|bench)\/[\w./-]+)`/g)].map(
    ([, file]) => file!,
  )
  t.ok(files.length > 3)
  t.same(
    files.filter((file) => !existsSync(join(project, file))),
    [],
  )
})

t.test('the README has what a newcomer needs, in order', async (t) => {
  const wanted = [
    'Two commands',
    'Five minutes',
    'Commands',
    'What differs',
    'The store',
    'Security',
    'Licence',
  ]
  const at = wanted.map((title) => readme.indexOf(`\n## ${title}`))
  t.notOk(at.includes(-1), 'every part is there')
  t.same(
    at,
    at.toSorted((a, b) => a - b),
  )
})

t.test('what the README says of speed is what bench/results has', async (t) => {
  const bench = join(project, 'dist/bench/bench.js')
  const check = spawnSync(process.execPath, [bench, 'readme', '--check'], { encoding: 'utf8' })
  t.equal(check.status, 0, `npm run bench -- readme makes it anew ${check.stderr}`)
})
