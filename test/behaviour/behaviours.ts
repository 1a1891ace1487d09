// Every behaviour that a view shares with a plain directory: a title that is true when it
// holds, and what shows it. Grouped by subject, one file each; all together here.

import { ATTRIBUTES } from './behaviours-attributes.ts'
import { DELETION } from './behaviours-deletion.ts'
import { FILES } from './behaviours-files.ts'
import { IDENTITY } from './behaviours-identity.ts'
import { LINKS } from './behaviours-links.ts'
import { LISTING } from './behaviours-listing.ts'
import { NAMES } from './behaviours-names.ts'
import { OPEN } from './behaviours-open.ts'
import { PROGRAMS } from './behaviours-programs.ts'
import { RENAME } from './behaviours-rename.ts'
import { SPECIAL } from './behaviours-special.ts'
import { XATTRS } from './behaviours-xattrs.ts'
import type { Place } from './place.ts'

export type Behaviour = (place: Place) => void | Promise<void>

export type Behaviours = Readonly<Record<string, Behaviour>>

export const BEHAVIOURS: Behaviours = {
  ...NAMES,
  ...FILES,
  ...OPEN,
  ...LINKS,
  ...ATTRIBUTES,
  ...XATTRS,
  ...RENAME,
  ...DELETION,
  ...LISTING,
  ...SPECIAL,
  ...IDENTITY,
  ...PROGRAMS,
}
