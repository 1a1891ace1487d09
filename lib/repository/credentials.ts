// Who we are to a registry: what `docker login` and `podman login` have kept, and the programs that keep
// secrets for them.
//
//   $DOCKER_CONFIG/config.json, ~/.docker/config.json     credHelpers, credsStore, auths
//   $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json      auths alone
//
// Rule: read where the user is (the command), not where the store is; nothing of it is written anywhere.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { plain } from './http.ts'

export const credentialsShape = z.union([
  z.strictObject({ username: z.string().max(1000), secret: z.string().max(20_000) }),
  /** A token that stands for the user, which a token server takes instead of a password. */
  z.strictObject({ token: z.string().max(20_000) }),
])
export type Credentials = z.infer<typeof credentialsShape>

const auth = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
})
const fileShape = z.looseObject({
  auths: z.record(z.string(), auth).optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
})
type AuthFile = z.infer<typeof fileShape>

const helperAnswer = z.looseObject({ Username: z.string(), Secret: z.string() })

/** The key of Docker's own registry, in every one of these files. */
const DOCKER_HUB = 'https://index.docker.io/v1/'
const HELPER = /^[\w.-]{1,100}$/
const MOST_FILE = 1024 * 1024
const HELPER_MS = 30_000

/** What is kept for a registry; null for nothing. Throws SVS_CREDENTIALS. */
export async function credentialsFor(
  host: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Credentials | null> {
  for (const path of placesOf(env)) {
    const file = readAuthFile(path)
    const found = file === null ? null : await inFile(file, host, path, env)
    if (found !== null) return found
  }
  return null
}

function placesOf(env: NodeJS.ProcessEnv): string[] {
  const home = env.HOME ?? homedir()
  const runtime = env.XDG_RUNTIME_DIR
  return [
    join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json'),
    ...(env.REGISTRY_AUTH_FILE ? [env.REGISTRY_AUTH_FILE] : []),
    ...(runtime ? [join(runtime, 'containers/auth.json')] : []),
    join(home, '.config/containers/auth.json'),
  ]
}

function readAuthFile(path: string): AuthFile | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw new Failure('SVS_CREDENTIALS', path, `it cannot be read (${code})`, { cause })
  }
  if (text.length > MOST_FILE) throw new Failure('SVS_CREDENTIALS', path, 'it is too large')
  const read = fileShape.safeParse(parsed(text))
  if (!read.success)
    throw new Failure('SVS_CREDENTIALS', path, 'it is not what docker login writes')
  return read.data
}

async function inFile(
  { auths = {}, credHelpers = {}, credsStore }: AuthFile,
  host: string,
  path: string,
  env: NodeJS.ProcessEnv,
): Promise<Credentials | null> {
  const key = host === 'docker.io' ? DOCKER_HUB : host
  const named = Object.hasOwn(credHelpers, key) ? credHelpers[key] : undefined
  for (const helper of [named, credsStore]) {
    if (helper === undefined || helper === '') continue
    if (!HELPER.test(helper))
      throw new Failure('SVS_CREDENTIALS', path, `it names no program: ${plain(helper)}`)
    const found = await askHelper(helper, key, env)
    if (found !== null) return found
  }
  const kept = Object.entries(auths).find(([each]) => hostOf(each) === hostOf(key))
  return kept === undefined ? null : inEntry(kept[1], path)
}

// `https://registry.example/v1/` is written for `registry.example` by old programs.
const hostOf = (key: string): string => key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')

function inEntry(entry: z.infer<typeof auth>, path: string): Credentials | null {
  if (entry.identitytoken) return { token: entry.identitytoken }
  if (entry.username !== undefined && entry.password !== undefined)
    return { username: entry.username, secret: entry.password }
  // A credential helper leaves an empty entry behind.
  if (!entry.auth) return null
  const text = Buffer.from(entry.auth, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon === -1) throw new Failure('SVS_CREDENTIALS', path, 'an entry of it has no password')
  return { username: text.slice(0, colon), secret: text.slice(colon + 1).replace(/\0+$/, '') }
}

/** Asks `docker-credential-NAME get`. */
async function askHelper(
  helper: string,
  key: string,
  env: NodeJS.ProcessEnv,
): Promise<Credentials | null> {
  const program = `docker-credential-${helper}`
  const child = spawn(program, ['get'], { env, stdio: ['pipe', 'pipe', 'ignore'] })
  const late = setTimeout(() => child.kill('SIGKILL'), HELPER_MS)
  let said = ''
  child.stdout.on('data', (bytes: Buffer) => {
    if (said.length < MOST_FILE) said += bytes.toString()
  })
  // It may end without reading.
  child.stdin.on('error', () => {})
  child.stdin.end(key)
  const [status] = await once(child, 'close')
    .catch((cause: Error) => {
      throw new Failure('SVS_CREDENTIALS', program, cause.message, { cause })
    })
    .finally(() => clearTimeout(late))
  if (status !== 0) {
    // How it says that it has none; all helpers share these words.
    if (/credentials not found/i.test(said)) return null
    throw new Failure('SVS_CREDENTIALS', program, plain(said) || `it ended with ${status}`)
  }
  const read = helperAnswer.safeParse(parsed(said))
  if (!read.success) throw new Failure('SVS_CREDENTIALS', program, 'its answer is none')
  const { Username: username, Secret: secret } = read.data
  return username === '<token>' ? { token: secret } : { username, secret }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
