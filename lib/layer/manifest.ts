// A manifest: what a layer is beside its files. A recipe (layers/NAME/recipe.json) is a manifest that
// also says which packages the layer is made of; the record of a layer keeps it.
//
// Rule: unknown fields are errors that name the field, so that a misspelt one is not lost.

import picomatch from 'picomatch'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { isLayerName } from './layer.ts'

const text = z.string().min(1).max(1000)

/** A path inside the view, absolute or not, without `..`. */
const place = text.refine(
  (path) => !path.split('/').includes('..') && !path.includes('\0'),
  'must not hold ".." or NUL',
)

const pattern = text.refine(isPattern, 'is no pattern')

const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, 'is no name of a Debian package')

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of a variable')

/** Words of a command line; `{profile}` and `{home}` stand for the places below, and variables.ts for more. */
const command = z.array(z.string().max(1000)).min(1).max(100)

const manifestShape = z.strictObject({
  name: z.string().refine(isLayerName, 'is no name of a layer'),
  summary: text,
  /** Debian packages; what they depend on and the base lacks comes with them. */
  packages: z.array(packageName).max(100).default([]),
  /** picomatch patterns relative to the layer's root: caches, logs, locks. They go to scratch. */
  excludes: z.array(pattern).max(1000).default([]),
  /** Ways to start the application: `default`, `headless`, and others by name. */
  commands: z.record(z.string().regex(/^[a-z][a-z0-9-]*$/), command).default({}),
  /** HOME of programs in the layer; made with it. */
  home: place,
  /** Where the application keeps its data, if that is one place. */
  profile: place.optional(),
  env: z.record(variable, z.string().max(10_000)).default({}),
  /** How it stands in a desktop's menu. */
  desktop: z
    .strictObject({
      name: text.optional(),
      /** The name of an icon that desktops know, or a path on the system. */
      icon: text.optional(),
      categories: z
        .array(text.regex(/^[A-Za-z0-9-]+$/, 'is no category'))
        .max(20)
        .default([]),
    })
    .optional(),
})

export type Manifest = z.infer<typeof manifestShape>

/** Checks foreign data. Throws SVS_MANIFEST_INVALID, which names `origin` and the field. */
export function readManifest(data: unknown, origin: string): Manifest {
  const read = manifestShape.safeParse(data)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const field = issue?.path.join('.') || 'the whole'
  throw new Failure('SVS_MANIFEST_INVALID', origin, field, issue?.message ?? 'is wrong')
}

/** A command of the manifest with the places filled in; null where it has none of that name. */
export function commandOf(manifest: Manifest, name = 'default'): readonly string[] | null {
  const words = Object.hasOwn(manifest.commands, name) ? manifest.commands[name] : undefined
  if (words === undefined) return null
  const home = absolute(manifest.home)
  const profile = absolute(manifest.profile ?? manifest.home)
  return words.map((word) => word.replaceAll('{profile}', profile).replaceAll('{home}', home))
}

/** The place as programs in the view name it. */
export const absolute = (path: string): string => `/${path.replace(/^\/+/, '')}`

/** True for a pattern that excludes may have. */
export function isPattern(glob: string): boolean {
  try {
    picomatch.makeRe(glob)
    return !glob.startsWith('/') && !glob.split('/').includes('..')
  } catch {
    return false
  }
}
