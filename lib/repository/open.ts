// The repository that a place names.

import type { Credentials } from './credentials.ts'
import { FileServer } from './file-server.ts'
import { Layout } from './layout.ts'
import type { Place } from './place.ts'
import { Registry } from './registry.ts'
import type { Repository } from './repository.ts'

export interface OpenOptions {
  /** For the host of the place; null for nobody. */
  readonly credentials: Credentials | null
  readonly plainHttp: boolean
  readonly signal: AbortSignal | null
  /** It is to take something: a directory is made. */
  readonly create: boolean
}

export function openRepository(place: Place, options: OpenOptions): Repository {
  const { credentials, plainHttp, signal, create } = options
  switch (place.kind) {
    case 'directory':
      return Layout.open(place.path, create)
    case 'server':
      return new FileServer(place.url, credentials, signal)
    case 'registry': {
      const { host, repository } = place
      return new Registry({ host, repository, credentials, plainHttp, signal })
    }
  }
}

/** The server that a password would be for; null for a directory. */
export function hostOf(place: Place): string | null {
  switch (place.kind) {
    case 'directory':
      return null
    case 'server':
      return new URL(place.url).host
    case 'registry':
      return place.host
  }
}
