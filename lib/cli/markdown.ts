// The manual in Markdown: reference.md, every command; errors.md, every failure.
//
// Rule: what a reader sees is what help says; characters that Markdown would take are escaped.

import { FAILURES } from '../base/failure.ts'
import { EXITS } from './exits.ts'
import { type Entry, referencePages, type Told, toldOfAll } from './reference.ts'

/** By file name. */
export async function markdownPages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['reference.md', await reference()],
    ['errors.md', errors()],
  ])
}

async function reference(): Promise<string> {
  const pages = await referencePages()
  const headings = [...new Set(pages.map(({ heading }) => heading))]
  const lines = ['# Commands', '']
  for (const heading of headings) {
    lines.push(`- ${heading.replace(/:$/, '')}`)
    for (const { name, summary } of pages.filter((page) => page.heading === heading))
      lines.push(`  - [svsfs ${name}](#svsfs-${name}): ${plain(summary)}`)
  }
  for (const { name, summary, about, entries, plain: words } of pages) {
    lines.push('', `## svsfs ${name}`, '', `${plain(summary)}`)
    for (const paragraph of about) lines.push('', plain(paragraph))
    if (words !== null) lines.push('', '```', words, '```')
    for (const entry of entries) lines.push(...entryLines(entry, entries.length > 1))
  }
  lines.push('', '## Options of all commands', '', ...list(toldOfAll()))
  lines.push('', '## Exit status', '', '| status | means |', '|---|---|')
  for (const [status, meaning] of EXITS) lines.push(`| ${status} | ${plain(meaning)} |`)
  return `${lines.join('\n')}\n`
}

function entryLines({ usage, summary, about, options, examples }: Entry, many: boolean): string[] {
  return [
    ...(many ? ['', `### svsfs ${usage.split(/ (?=[<[])/)[0]}`, '', plain(summary)] : []),
    ...['', '```', `svsfs ${usage}${options.length > 0 ? ' [options]' : ''}`, '```'],
    ...about.flatMap((paragraph) => ['', plain(paragraph)]),
    ...(options.length > 0 ? ['', ...list(options)] : []),
    ...(examples.length > 0 ? ['', '```sh', ...examples, '```'] : []),
  ]
}

function errors(): string {
  const lines = [
    '# Failures',
    '',
    '| code | exit | says (… is what it is about) |',
    '|---|---|---|',
  ]
  for (const [code, [exit, text]] of Object.entries(FAILURES))
    lines.push(`| \`${code}\` | ${exit} | ${plain(text.replaceAll('%s', '…'))} |`)
  return `${lines.join('\n')}\n`
}

const list = (all: readonly Told[]): string[] =>
  all.map(({ term, about }) => `- \`${term}\`: ${plain(about)}`)

const plain = (text: string): string => text.replace(/[\\`*_<>|[\]]/g, '\\$&')
