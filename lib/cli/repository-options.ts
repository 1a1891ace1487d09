// What commands that reach a repository have in common: how a place is written, and who we are there.
//
// Rule: credentials are read here, as the user who runs the command, and go to the daemon with the one
// request that needs them.

import type { Params } from '../daemon/api.ts'
import { credentialsFor } from '../repository/credentials.ts'
import { hostOf } from '../repository/open.ts'
import { placeOf, placeText } from '../repository/place.ts'
import { option, type Words } from './command.ts'

export const PLACES = `A place is HOST/NAME:TAG of an OCI registry (ghcr.io/team/firefox:stable, localhost:5000/firefox; without a host it is Docker's own), dir:PATH:TAG or a path for a directory, which is an OCI image layout, or http(s)://HOST/PATH:TAG where a web server has such a directory. NAME@sha256:… is one artifact for ever.`

export const CREDENTIALS = `Credentials are those of docker login, podman login and skopeo login: ~/.docker/config.json ($DOCKER_CONFIG) with its helpers, then $REGISTRY_AUTH_FILE and the auth.json of Podman.`

export const plainHttp = option(
  '--plain-http',
  'speak to the registry without TLS, as always to localhost',
)

/** A place as the user wrote it, in full. */
export interface Wished {
  readonly place: string
  readonly plainHttp: boolean
}

export const wishedPlace = (text: string, words: Words): Wished => ({
  place: placeText(placeOf(text)),
  plainHttp: words.flag('plainHttp'),
})

/** The place, and who we are there. */
export async function atPlace(wish: Wished): Promise<Params<'repo.list'>> {
  const host = hostOf(placeOf(wish.place))
  return { ...wish, credentials: host === null ? null : await credentialsFor(host) }
}
