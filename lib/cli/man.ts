// Pages of the manual in roff, as man(1) shows them.
//
// Rule: text is text. A line never begins with a roff request that was not meant, a backslash is a
// backslash, and a hyphen of an option can be copied.

import { FAILURES } from '../base/failure.ts'
import { EXITS } from './exits.ts'
import { type Entry, type Page, referencePages, type Told, toldOfAll } from './reference.ts'
import { version } from './version.ts'

/** By file name: svsfs.1, svsfs-COMMAND.1, svsfs-errors.7. */
export async function manPages(): Promise<ReadonlyMap<string, string>> {
  const pages = await referencePages()
  const found = new Map([['svsfs.1', overview(pages)]])
  for (const page of pages) found.set(`svsfs-${page.name}.1`, commandPage(page))
  return found.set('svsfs-errors.7', errorsPage())
}

function overview(pages: readonly Page[]): string {
  const headings = [...new Set(pages.map(({ heading }) => heading))]
  const lists = headings.flatMap((heading) => [
    `.SS ${quoted(heading.replace(/:$/, ''))}`,
    ...pages
      .filter((page) => page.heading === heading)
      .flatMap((page) => item(`svsfs-${page.name}(1)`, page.summary)),
  ])
  return roff([
    ...title('SVSFS', 1),
    ...section('NAME', ['svsfs \\- application layers for Linux, and the way back']),
    ...section('SYNOPSIS', ['.B svsfs', escaped('COMMAND [words] [options]')]),
    ...section('DESCRIPTION', [
      escaped(
        'Switches layers of applications on and off while programs run, and puts them back to any earlier state.',
      ),
    ]),
    ...section('COMMANDS', lists),
    ...section('OPTIONS OF ALL COMMANDS', items(toldOfAll())),
    ...exits(),
    ...section('SEE ALSO', ['.BR svsfs\\-errors (7)']),
  ])
}

function commandPage({ name, summary, about, entries, plain }: Page): string {
  const [only] = entries.filter(({ usage }) => usage.split(' ')[0] === name && !isPart(usage))
  const body =
    plain !== null
      ? section('DESCRIPTION', literal(plain.split('\n')))
      : only !== undefined
        ? entryBody(only, section)
        : [
            ...section('DESCRIPTION', text(about)),
            ...section(
              'COMMANDS',
              entries.flatMap((entry) => [
                `.SS ${quoted(`svsfs ${entry.usage}`)}`,
                ...text([`${sentence(entry.summary)}.`, ...entry.about]),
                ...items(entry.options),
                ...literal(entry.examples),
              ]),
            ),
          ]
  const usage = plain === null ? entries.map((entry) => synopsis(entry)) : []
  return roff([
    ...title(`SVSFS-${name.toUpperCase()}`, 1),
    ...section('NAME', [`${escaped(`svsfs-${name}`)} \\- ${escaped(summary)}`]),
    ...(usage.length === 0 ? [] : section('SYNOPSIS', usage.flat().slice(0, -1))),
    ...body,
    ...(plain === null ? section('OPTIONS OF ALL COMMANDS', items(toldOfAll())) : []),
    ...exits(),
    ...section('SEE ALSO', ['.BR svsfs (1),', '.BR svsfs\\-errors (7)']),
  ])
}

/** `layer create <name>`: one of a group. */
const isPart = (usage: string): boolean => /^\S+ [^<[]/.test(usage)

const synopsis = ({ usage, options }: Entry): string[] => {
  const [name = '', ...rest] = usage.split(/ (?=[<[])/)
  const words = [...(options.length > 0 ? ['[options]'] : []), ...rest].join(' ')
  return [`.B ${escaped(`svsfs ${name}`)}`, ...(words === '' ? [] : [escaped(words)]), '.br']
}

type Section = (heading: string, lines: readonly string[]) => string[]

const entryBody = (entry: Entry, section: Section): string[] => [
  ...section('DESCRIPTION', text([`${sentence(entry.summary)}.`, ...entry.about])),
  ...(entry.options.length > 0 ? section('OPTIONS', items(entry.options)) : []),
  ...section('EXAMPLES', literal(entry.examples)),
]

function errorsPage(): string {
  const failures = Object.entries(FAILURES).flatMap(([code, [exit, text]]) =>
    item(`${code} (exit ${exit})`, text.replaceAll('%s', '…')),
  )
  return roff([
    ...title('SVSFS-ERRORS', 7),
    ...section('NAME', ['svsfs\\-errors \\- every failure of svsfs, with its exit status']),
    ...section('DESCRIPTION', [escaped('… stands for what a failure is about.')]),
    ...section('FAILURES', failures),
    ...exits(),
  ])
}

const exits = (): string[] =>
  section(
    'EXIT STATUS',
    EXITS.flatMap(([status, meaning]) => item(String(status), meaning)),
  )

const title = (name: string, chapter: number): string[] => [
  `.TH ${quoted(name)} ${chapter} "" ${quoted(`svsfs ${version()}`)} "svsfs"`,
  // Not broken or spread: what stands in a page is often typed.
  '.nh',
  '.ad l',
]

const section: Section = (heading, lines) =>
  lines.length === 0 ? [] : [`.SH ${heading}`, ...lines]

const text = (paragraphs: readonly string[]): string[] =>
  paragraphs.flatMap((each) => ['.PP', ...each.split('\n').map(escaped)])

const items = (all: readonly Told[]): string[] =>
  all.flatMap(({ term, about }) => item(term, about))

const item = (term: string, about: string): string[] => [
  '.TP',
  `.B ${escaped(term)}`,
  escaped(about),
]

const literal = (lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['.PP', '.nf', ...lines.map(escaped), '.fi']

const sentence = (summary: string): string => summary.charAt(0).toUpperCase() + summary.slice(1)

const quoted = (words: string): string => `"${escaped(words).replaceAll('"', '\\(dq')}"`

/** A line of text. */
export const escaped = (line: string): string =>
  line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replaceAll('`', '\\(ga')
    .replace(/^([.'])/, '\\&$1')

const roff = (lines: readonly string[]): string => `${lines.join('\n')}\n`
