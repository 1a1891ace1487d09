// A file of configuration: held against who may have written it, and read as TOML.
//
//   file ─▶ none?  whose?  ─▶ bytes ─▶ smol-toml ─▶ table
//
// Rule: what others than root and the caller can write is not obeyed. The parser is loaded for a file
// that is there.

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from 'node:fs'
import { Failure } from '../base/failure.ts'
import { OF_SYSTEM } from './config-places.ts'

const LARGEST = 1 << 20

export type Table = Readonly<Record<string, unknown>>

/** What a file says; null where there is none. */
export async function readConfiguration(file: string): Promise<Table | null> {
  const text = textOf(file)
  if (text === null) return null
  const { parse, TomlError } = await import('smol-toml')
  try {
    return parse(text)
  } catch (err) {
    if (!(err instanceof TomlError)) throw err
    const [said = ''] = err.message.split('\n')
    const what = said.replace(/^Invalid TOML document: /, '')
    throw new Failure('SVS_CONFIG_INVALID', `${file}, line ${err.line}`, what, { cause: err })
  }
}

function textOf(file: string): string | null {
  let fd: number
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (err) {
    if (isAbsent(err, file)) return null
    throw unreadable(file, (err as Error).message, err)
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw unreadable(file, 'it is no file')
    if (stat.size > LARGEST) throw unreadable(file, 'it is larger than any configuration')
    refuseForeign(file, stat)
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(fd))
  } catch (err) {
    if (err instanceof Failure) throw err
    if (err instanceof TypeError) throw new Failure('SVS_CONFIG_INVALID', file, 'it is not UTF-8')
    throw unreadable(file, (err as Error).message, err)
  } finally {
    closeSync(fd)
  }
}

// Behind a folder that this user may not enter, as with another's $HOME, nothing is theirs.
function isAbsent(err: unknown, file: string): boolean {
  const { code } = err as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return true
  if (code !== 'EACCES') return false
  try {
    statSync(file)
    return false
  } catch {
    return true
  }
}

const unreadable = (file: string, why: string, cause: unknown = null): Failure =>
  new Failure('SVS_CONFIG_UNREADABLE', file, why, ...(cause === null ? [] : [{ cause }]))

/** Below /etc the system says who may write; elsewhere root and the caller alone. */
function refuseForeign(file: string, { uid, mode }: Stats): void {
  if ((mode & 0o002) !== 0) throw new Failure('SVS_CONFIG_REFUSED', file, 'anybody can write to it')
  if (file === OF_SYSTEM || uid === 0 || uid === process.geteuid?.()) return
  throw new Failure('SVS_CONFIG_REFUSED', file, 'it belongs to another user')
}
