// The manual as pages: what help, man pages and the reference in Markdown are all made from.
//
//   table ─┬▶ rows ─▶ Page for each command ─▶ man.ts       svsfs-mount.1, …
//   EXITS ─┘                                └▶ markdown.ts  reference.md
//
// Rule: nothing is said here that the table, a row or EXITS does not say.

import { Option } from 'commander'
import { commonOptions } from './command.ts'
import { groupOf } from './help-groups.ts'
import { type AnyRow, COMMANDS, type Leaf } from './table.ts'

/** What `svsfs help COMMAND` tells, in its parts. */
export interface Entry {
  /** `layer create <name>` */
  readonly usage: string
  readonly summary: string
  /** Paragraphs. */
  readonly about: readonly string[]
  readonly options: readonly Told[]
  readonly examples: readonly string[]
}

export interface Told {
  readonly term: string
  readonly about: string
}

/** A command, with those that it consists of where it is a group. */
export interface Page {
  readonly name: string
  readonly heading: string
  readonly summary: string
  readonly about: readonly string[]
  readonly entries: readonly Entry[]
  /** Text as it is, of a command that reads its own words. */
  readonly plain: string | null
}

/** All of them, in the order of the table. */
export async function referencePages(): Promise<readonly Page[]> {
  const pages: Page[] = []
  for (const each of COMMANDS) {
    const leaves = 'row' in each ? [each] : each.commands
    const before = 'row' in each ? '' : `${each.usage} `
    const entries = await Promise.all(leaves.map((leaf) => entryOf(leaf, before)))
    const about = 'row' in each ? [] : paragraphs(each.about)
    const name = each.usage.split(' ')[0]!
    pages.push({ ...headed(name, each.summary), about, entries, plain: null })
  }
  const { OVERLAY_HELP } = await import('./overlay-command.ts')
  const summary = 'mount directories over each other, without a store'
  pages.push({ ...headed('overlay', summary), about: [], entries: [], plain: OVERLAY_HELP })
  return pages
}

const headed = (name: string, summary: string) => ({ name, summary, heading: groupOf(name) })

async function entryOf({ usage, summary, row }: Leaf, before: string): Promise<Entry> {
  const { about, options, examples }: AnyRow = await row()
  return {
    usage: before + usage,
    summary,
    about: paragraphs(about ?? ''),
    options: told(options ?? []),
    examples,
  }
}

/** Those that every command has. */
export const toldOfAll = (): readonly Told[] =>
  told([...commonOptions(), new Option('-h, --help', 'show help: -h in short, --help all of it')])

const told = (options: readonly Option[]): Told[] =>
  options
    .filter(({ hidden }) => !hidden)
    .map(({ flags, description, argChoices }) => ({
      term: flags,
      about: argChoices ? `${description}: ${argChoices.join(', ')}` : description,
    }))

const paragraphs = (text: string): string[] => text.split('\n\n').filter((each) => each !== '')
