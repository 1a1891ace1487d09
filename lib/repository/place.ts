// How people write where layers, states and images are kept: a registry, a directory, a file server.
//
//   ghcr.io/team/firefox:stable     127.0.0.1:5000/firefox@sha256:…     a registry
//   dir:/srv/layers:firefox         ./layers                            a directory (an OCI image layout)
//   https://host/layers:firefox                                         the same directory behind a file server
//
// Rule: what is a path says so: by `dir:`, or by beginning with `/`, `./`, `../`; everything else without
// `://` is a registry's. Names are checked here, before anything is asked of anybody.

import { resolve } from 'node:path'
import { Failure } from '../base/failure.ts'

/** A tag, or the digest of a manifest. */
export type Pick =
  | { readonly tag: string; readonly digest: null }
  | { readonly tag: null; readonly digest: string }

export type Place = { readonly pick: Pick | null } & (
  | {
      readonly kind: 'registry'
      /** As it is written: `docker.io`, `localhost:5000`. */
      readonly host: string
      readonly repository: string
    }
  | { readonly kind: 'directory'; readonly path: string }
  /** `url` ends with `/`. */
  | { readonly kind: 'server'; readonly url: string }
)

const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const LONGEST_NAME = 255
/** The registry that a name without one means, as everywhere. */
const USUAL_HOST = 'docker.io'

export const isTag = (text: string): boolean => TAG.test(text)
export const isDigest = (text: string): boolean => DIGEST.test(text)

/** Reads a place. Relative paths are of `from`. Throws SVS_REPOSITORY_NAME. */
export function placeOf(text: string, from = process.cwd()): Place {
  if (text.includes('\0')) throw refused(text, 'it has a NUL in it')
  if (/^https?:\/\//.test(text)) return serverOf(text)
  if (/^[a-z]+:\/\//.test(text)) throw refused(text, 'only http:// and https:// are known')
  if (text.startsWith('dir:')) return directoryOf(text, text.slice('dir:'.length), from)
  if (/^(?:\/|\.\.?(?:\/|$))/.test(text)) return directoryOf(text, text, from)
  return registryOf(text)
}

/** The text that names it, with absolute paths. */
export function placeText(place: Place): string {
  const { pick } = place
  const end = pick === null ? '' : pick.digest === null ? `:${pick.tag}` : `@${pick.digest}`
  switch (place.kind) {
    case 'registry':
      return `${place.host}/${place.repository}${end}`
    case 'directory':
      return `dir:${place.path}${end}`
    case 'server': {
      const { pathname } = new URL(place.url)
      return `${pathname === '/' ? place.url : place.url.slice(0, -1)}${end}`
    }
  }
}

/** True where a word names a place, not one of the hosts that svsfs knows by a name. */
export const isPlace = (text: string): boolean => /[/:]|^\.\.?$/.test(text)

function registryOf(text: string): Place {
  const [named, pick] = picked(text, text)
  const slash = named.indexOf('/')
  const first = slash === -1 ? '' : named.slice(0, slash)
  const isHost = /[.:[]/.test(first) || first === 'localhost'
  const host = isHost ? first : USUAL_HOST
  const rest = isHost ? named.slice(slash + 1) : named
  const repository = host === USUAL_HOST && !rest.includes('/') ? `library/${rest}` : rest
  if (!HOST.test(host)) throw refused(text, `${host} is no name of a registry`)
  if (!NAME.test(repository) || repository.length > LONGEST_NAME)
    throw refused(text, 'a repository is small letters and digits, with . _ - and / between them')
  return { kind: 'registry', host, repository, pick }
}

function directoryOf(text: string, path: string, from: string): Place {
  const [named, pick] = picked(text, path)
  if (named === '') throw refused(text, 'it has no path')
  return { kind: 'directory', path: resolve(from, named), pick }
}

function serverOf(text: string): Place {
  const start = text.indexOf('/', text.indexOf('://') + 3)
  const [path, pick] = start === -1 ? ['/', null] : picked(text, text.slice(start))
  const authority = start === -1 ? text : text.slice(0, start)
  if (!URL.canParse(authority + path)) throw refused(text, 'it is no address')
  const url = new URL(authority + path)
  if (url.search !== '' || url.hash !== '') throw refused(text, 'it has more than a path')
  if (url.username !== '' || url.password !== '')
    throw refused(text, 'a password in an address is seen by everybody; use the credentials file')
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return { kind: 'server', url: url.href, pick }
}

/** What stands before a tag or digest, and that. */
function picked(text: string, rest: string): [string, Pick | null] {
  const at = rest.lastIndexOf('@')
  if (at !== -1 && rest.slice(at + 1).startsWith('sha256:')) {
    const digest = rest.slice(at + 1)
    if (!DIGEST.test(digest)) throw refused(text, `${digest} is no digest`)
    // A tag beside a digest says nothing more.
    return [picked(text, rest.slice(0, at))[0], { tag: null, digest }]
  }
  const colon = rest.lastIndexOf(':')
  if (colon <= rest.lastIndexOf('/')) return [rest, null]
  const tag = rest.slice(colon + 1)
  if (!TAG.test(tag)) throw refused(text, `${tag} is no tag`)
  return [rest.slice(0, colon), { tag, digest: null }]
}

const refused = (text: string, why: string): Failure =>
  new Failure('SVS_REPOSITORY_NAME', text.slice(0, 300), why)
