// The disk that a store lies on, or would lie on, and the store itself.
//
//   daemon answers?  yes ─▶ it says what it has
//                    no  ─▶ the catalogue is read in a copy (peek.ts)
//
// Rule: the store's own files are only read.

import { existsSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { mountTable } from '../host/mount-table.ts'
import { ownPrefix } from '../layer/marks.ts'
import type { Catalogue } from '../snapshot/catalogue.ts'
import { Client } from './client.ts'
import { type Finding, failing, warning, well } from './doctor.ts'
import { errorWords } from './errors.ts'
import { storeExists } from './store.ts'
import { type StorePlaces, storePlaces } from './store-path.ts'
import { lackingOn, sharesBlocks } from './store-probe.ts'
import { plural, size } from './text.ts'

const LITTLE = 1024 ** 3
const TOO_LITTLE = 32 * 1024 ** 2
const FORGETFUL = ['tmpfs', 'ramfs', 'devtmpfs']
const REMOTE = ['nfs', 'nfs4', 'cifs', 'smb3', '9p', 'ceph', 'fuse.sshfs']
const WEEK_MS = 7 * 24 * 3600 * 1000

/** The disk under a store; where there is none yet, under the nearest directory that exists. */
export function examineDisk(root: string): Finding[] {
  const place = nearest(root)
  const type = diskType(place)
  const { bsize, bavail } = statfsSync(place)
  const free = bsize * bavail
  const move = 'choose another place with --store'
  return [
    FORGETFUL.includes(type)
      ? warning('disk', `${place}: ${type}; a restart of the machine loses all states`, move)
      : REMOTE.includes(type)
        ? warning('disk', `${place}: ${type}; a store on another machine may be lost to it`, move)
        : well('disk', `${place}: ${type}`),
    free < TOO_LITTLE
      ? failing(
          'space',
          `${size(free)} left`,
          'free some space; svsfs gc removes what no state needs',
        )
      : free < LITTLE
        ? warning('space', `${size(free)} left`, 'svsfs gc removes what no state needs')
        : well('space', `${size(free)} left`),
    ...trials(place, move),
  ]
}

function trials(place: string, move: string): Finding[] {
  try {
    const lacking = lackingOn(place)
    return [
      lacking.length === 0
        ? well('disk features', 'whiteouts, extended attributes, exact times, locks')
        : failing('disk features', `missing: ${lacking.join(', ')}`, move),
      sharesBlocks(place)
        ? well('reflink', 'files share blocks')
        : well('reflink', 'none here: copies are made byte by byte'),
    ]
  } catch (err) {
    const { message } = errorWords(err)
    return [warning('disk features', `they could not be tried in ${place}: ${message}`, move)]
  }
}

function nearest(path: string): string {
  let at = resolve(path)
  while (!existsSync(at)) at = dirname(at)
  return at
}

/** `ext4`, as the table of mounts has it for the device of a directory. */
function diskType(place: string): string {
  const within = (mountPoint: string) =>
    mountPoint === '/' || `${bytesOf(place)}/`.startsWith(`${mountPoint}/`)
  const found = mountTable().filter(({ mountPoint }) => within(mountPoint))
  const longest = Math.max(...found.map(({ mountPoint }) => mountPoint.length))
  return found.findLast(({ mountPoint }) => mountPoint.length === longest)?.type ?? 'unknown'
}

/** The store: whose it is, who has it, whether its records can be read, when garbage was removed. */
export async function examineStore(root: string): Promise<Finding[]> {
  if (!storeExists(root))
    return [well('store', `there is none at ${root} yet; svsfs layer create makes one`)]
  const places = storePlaces(root)
  if (statSync(root).uid !== process.geteuid?.())
    return [failing('store', `${root} belongs to another user`, 'run the command as that user')]
  const wrong = wrongWithJson(places)
  if (wrong !== null)
    return [
      failing('store', `${places.json} is damaged: ${wrong}`, 'put the file back from a copy'),
    ]
  const client = await Client.connect(places)
  if (client === null) return atRest(places)
  try {
    return await served(client)
  } finally {
    client.close()
  }
}

function wrongWithJson(places: StorePlaces): string | null {
  try {
    const { format, marks } = JSON.parse(readFileSync(places.json, 'utf8')) as {
      format?: unknown
      marks?: unknown
    }
    if (typeof format !== 'number') return 'it has no format'
    return marks === ownPrefix() ? null : 'its marks are not those of this user'
  } catch (err) {
    return err instanceof SyntaxError ? 'not JSON' : errorWords(err).message
  }
}

async function served(client: Client): Promise<Finding[]> {
  const { store, daemon, layers, mounts } = await client.call('status', {})
  const has = `${store.path}: ${plural(layers.length, 'layer')}, ${plural(mounts.length, 'mount')}`
  return [
    well('store', `${has}, served by process ${daemon?.pid}`),
    well('transport', daemon?.transport ?? 'direct'),
    collected(store.collected),
  ]
}

async function atRest(places: StorePlaces): Promise<Finding[]> {
  const { peek } = await import('./peek.ts')
  try {
    return await peek(places, (catalogue) => readRecords(places, catalogue))
  } catch (err) {
    const { code, message } = errorWords(err)
    return code === 'SVS_STORE_LOCKED'
      ? [warning('store', message, 'wait for it to end')]
      : [failing('store', message, MEND)]
  }
}

const MEND = 'svsfs verify --repair, or put the store back from a copy'

async function readRecords(places: StorePlaces, catalogue: Catalogue): Promise<Finding[]> {
  const { checkRecords } = await import('../snapshot/record-check.ts')
  const layers = await catalogue.layers()
  const bad = (await Promise.all(layers.map(({ id }) => checkRecords(catalogue, id)))).flat()
  const has = `${places.root}: ${plural(layers.length, 'layer')}`
  const [first] = bad
  return [
    first === undefined
      ? well('store', `${has}, every record can be read; no daemon runs`)
      : failing('store', `${has}; ${bad.length} damaged, ${first.at}: ${first.why}`, MEND),
    well('transport', 'direct, once something is mounted'),
    collected(await catalogue.swept()),
  ]
}

/** When garbage was last looked for. A daemon does it each day; commands alone never. */
function collected(at: number): Finding {
  const name = 'garbage'
  if (at === 0) return well(name, 'not looked for since something was deleted, or never')
  const says = `last looked for ${new Date(at).toISOString().slice(0, 10)}`
  return Date.now() - at < WEEK_MS ? well(name, says) : warning(name, says, 'svsfs gc')
}
