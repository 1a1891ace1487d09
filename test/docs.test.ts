// README and docs/ held against the program: every command line in them is one, and every link leads somewhere.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import t from 'tap'
import { FAILURES } from '../lib/base/failure.ts'
import { manPages } from '../lib/cli/man.ts'
import { overlayWords } from '../lib/cli/overlay-command.ts'
import { makeProgram } from '../lib/cli/program.ts'
import { COMMANDS } from '../lib/cli/table.ts'
import { overlayOptions } from '../lib/daemon/overlay-options.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const readme = readFileSync(join(project, 'README.md'), 'utf8')

/** Pages that people have written, by their path from the project. */
const pages = new Map(
  [
    'README.md',
    'layers/README.md',
    ...readdirSync(join(project, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ].map((name) => [name, readFileSync(join(project, name), 'utf8')]),
)

/** Of a line of a shell: the words of what follows `svsfs` in each of its commands. */
function commandsIn(line: string): string[][] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|\\.|[^\s"'|;&<>])+|[|;&<>]+/g) ?? []
  const commands: string[][] = [[]]
  for (const word of words) {
    if (/^[|;&<>]/.test(word)) commands.push([])
    else if (word.startsWith('#')) break
    else commands.at(-1)!.push(word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'))
  }
  return commands.flatMap((each) => {
    const at = each.indexOf('svsfs')
    const before = each.slice(0, at)
    return at !== -1 && before.every((word) => /^(sudo|\w+=.*)$/.test(word))
      ? [each.slice(at + 1)]
      : []
  })
}

const commandLines = [...pages].flatMap(([page, text]) =>
  [...text.matchAll(/^```(?:sh|console)\n([\s\S]*?)^```|^ {4}(svsfs .*)$/gm)]
    .flatMap(([, block, line]) => (block ?? line ?? '').replace(/\\\n/g, ' ').split('\n'))
    .flatMap(commandsIn)
    .map((words) => ({ page, words })),
)

/** What is wrong with the words, as the program itself says it; null where it would act on them. */
async function faultOf(words: readonly string[]): Promise<string | null> {
  try {
    if (words[0] === 'overlay') {
      const read = overlayWords(words.slice(1))
      if (typeof read === 'object') overlayOptions(read.options)
      return null
    }
    const program = await makeProgram((name) => words.slice(0, 2).includes(name))
    quiet(program)
    await program.parseAsync(words, { from: 'user' })
    return null
  } catch (err) {
    const { code, message } = err as Error & { code?: string }
    return /^commander\.(helpDisplayed|version)$/.test(code ?? '') ? null : message
  }
}

/** Commands that do nothing, and print nothing. */
function quiet(command: Command): void {
  if (command.commands.length === 0) command.action(() => {})
  command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} })
  for (const each of command.commands) quiet(each)
}

t.test('every command line of README and docs is one that the program takes', async (t) => {
  t.ok(commandLines.length > 60, `${commandLines.length} command lines were found`)
  for (const { page, words } of commandLines) {
    const fault = await faultOf(words)
    if (fault !== null) t.fail(`${page}: svsfs ${words.join(' ')}: ${fault}`)
  }
})

t.test('a command line that the program does not take is seen', async (t) => {
  for (const line of [
    'svsfs mout /x',
    'svsfs mount /x --sideways',
    'svsfs layer create',
    'A=1 svsfs restore "a b" c d e',
    'true | svsfs overlay m -o lowerdir=/a,surprise',
  ])
    t.not(await faultOf(commandsIn(line)[0] ?? []), null, line)
  t.same(commandsIn('sudo svsfs run a -- sh -c "x | y" | head # svsfs z'), [
    ['run', 'a', '--', 'sh', '-c', 'x | y'],
  ])
})

t.test('what is named in the text as a command, with its options, exists', async (t) => {
  const program = await makeProgram(() => true)
  const faults = [...pages].flatMap(([page, text]) =>
    [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`svsfs ([^`]+)`/g)].flatMap(([, line]) => {
      const words = (line ?? '').split(/\s+/)
      let command: Command | undefined = program
      let at = 0
      for (; /^[a-z]+$/.test(words[at] ?? '') && command.commands.length > 0; at++) {
        const next: Command | undefined = command.commands.find((each) => each.name() === words[at])
        if (next === undefined) break
        command = next
      }
      if (command === program && /^[a-z]/.test(words[0] ?? '')) return [`${page}: svsfs ${line}`]
      const options = words.slice(at).filter((word) => /^--?[a-z]/.test(word))
      const known = command.helpInformation()
      return ['overlay', 'help', 'run', 'update'].includes(command.name())
        ? []
        : options
            .filter((word) => !known.includes(word.replace(/=.*/, '')))
            .map((word) => `${page}: svsfs ${line}: ${word}`)
    }),
  )
  t.same(faults, [])
})

/** As hosts of repositories make them of headings. */
const anchorsIn = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('every link within the project leads to what is there', async (t) => {
  const lost = [...pages].flatMap(([page, text]) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const file = path === '' ? page : join(dirname(page), path)
        if (!existsSync(join(project, file))) return true
        return (
          anchor !== undefined &&
          !anchorsIn(readFileSync(join(project, file), 'utf8')).includes(anchor)
        )
      })
      .map((link) => `${page}: ${link}`),
  )
  t.same(lost, [])
})

t.test('package.json installs every page of the manual', async (t) => {
  const { man } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    man: string[]
  }
  const made = [...(await manPages()).keys()].sort().map((name) => `dist/man/${name}`)
  t.same(man, made, 'its list "man" has a line for each, in order')
})

t.test('every code that docs name is one of the program', async (t) => {
  const named = [...pages.values()].join('').match(/SVS_[A-Z_]+/g) ?? []
  t.ok(named.length > 90)
  t.same(
    named.filter((code) => !(code in FAILURES)),
    [],
  )
})

t.test('every page of docs can be reached from its list', async (t) => {
  const list = pages.get('docs/README.md') ?? ''
  const missing = [...pages.keys()].filter(
    (page) =>
      page.startsWith('docs/') &&
      page !== 'docs/README.md' &&
      !list.includes(`](${page.slice(5)})`),
  )
  t.same(missing, [])
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

t.test('every file that README and docs name is there', async (t) => {
  const files = [
    ...[...pages.values()].join('').matchAll(/`((?:lib|layers|test|bin|bench)\/[\w./-]+)`/g),
  ].map(([, file]) => file!)
  t.ok(files.length > 3)
  t.same(
    files.filter((file) => !file.includes('/ID/') && !existsSync(join(project, file))),
    [],
  )
})

t.test('the README has what a newcomer needs, in order', async (t) => {
  const wanted = [
    'Two commands',
    'Five minutes',
    'What it is good for',
    'How it compares',
    'Commands',
    'Documentation',
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

t.test('what docs/speed.md says is what bench/results has', async (t) => {
  const bench = join(project, 'dist/bench/bench.js')
  const check = spawnSync(process.execPath, [bench, 'readme', '--check'], { encoding: 'utf8' })
  t.equal(check.status, 0, `npm run bench -- readme makes it anew ${check.stderr}`)
})
