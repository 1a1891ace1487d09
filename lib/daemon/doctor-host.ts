// What svsfs needs of a host: Node, the kernel's FUSE, fusermount3, libraries, limits.
//
// Rule: what root needs not is no fault of root's host; what only makes svsfs slower, or a part of it
// unusable, is a warning.

import { readFileSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { Failure } from '../base/failure.ts'
import { INIT, type InitFlag } from '../fuse/protocol.ts'
import { findTool, type Tool } from '../host/tool.ts'
import { type Finding, failing, warning, well } from './doctor.ts'
import { errorWords } from './errors.ts'

const DEVICE = '/dev/fuse'
const LEAST_NODE = [20, 19] as const
/** Open files below which a large mount runs out of them. */
const ENOUGH_FILES = 65_536
/** From here on the kernel can be asked to forget what nobody uses. */
const PRUNES = 45

export async function examineHost(): Promise<Finding[]> {
  return [node(), device(), fusermount(), await kernel(), openFiles(), await zstd(), ...tools()]
}

const isRoot = (): boolean => process.geteuid?.() === 0

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [most, least] = LEAST_NODE
  return major > most || (major === most && minor >= least)
    ? well('node', process.version)
    : failing(
        'node',
        `${process.version}; ${LEAST_NODE.join('.')} is needed`,
        'install a newer Node.js',
      )
}

function device(): Finding {
  const stat = statSync(DEVICE, { throwIfNoEntry: false })
  if (stat === undefined) return failing('/dev/fuse', 'it is missing', 'as root: modprobe fuse')
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0')
  if (!stat.isCharacterDevice())
    return failing(
      DEVICE,
      'it is no device',
      'as root: rm /dev/fuse && modprobe -r fuse && modprobe fuse',
    )
  return (stat.mode & 0o006) === 0o006 || isRoot()
    ? well(DEVICE, `mode ${mode}`)
    : failing(DEVICE, `mode ${mode} keeps you out`, 'as root: chmod 0666 /dev/fuse')
}

function fusermount(): Finding {
  const name = 'fusermount3'
  const mend = 'as root: apt-get install fuse3'
  const path = toolPath('fusermount3')
  if (path === null)
    return isRoot()
      ? well(name, 'not installed; root does without, other users need it')
      : failing(name, 'it is not installed, so you can mount nothing', mend)
  const { mode, uid } = statSync(path)
  if ((mode & 0o4000) !== 0 && uid === 0) return well(name, path)
  const says = `${path} does not run as root, so only root can mount`
  const repair = `as root: chown root ${path} && chmod 4755 ${path}`
  return isRoot() ? warning(name, says, repair) : failing(name, says, repair)
}

/** What a kernel's FUSE may lack, and what that means. */
const MISSING: Partial<Record<InitFlag, string>> = {
  HANDLE_KILLPRIV_V2: 'writes ask more often whether setuid is cleared',
  HAS_EXPIRE_ONLY: 'a switch of layers looks at more names anew',
  WRITEBACK_CACHE: 'small writes are slow',
  PARALLEL_DIROPS: 'lookups in one directory wait for each other',
  DO_READDIRPLUS: 'listing directories is slow',
  MAX_PAGES: 'large reads and writes are cut into 128 KiB',
  CACHE_SYMLINKS: 'symbolic links are read each time',
  POSIX_ACL: 'access lists are not obeyed',
  PASSTHROUGH: 'read-only mounts read through the daemon',
}

async function kernel(): Promise<Finding> {
  const name = 'kernel'
  try {
    const { offeredByKernel } = await import('../fuse/offered.ts')
    const { major, minor, offered } = offeredByKernel()
    const has = `Linux ${release()}, FUSE ${major}.${minor}`
    const lacking = (Object.keys(MISSING) as InitFlag[]).filter((flag) => !offered.has(flag))
    const forgets = minor >= PRUNES ? '' : '; it cannot be asked to forget files that nobody uses'
    const known = `${offered.size} of the ${Object.keys(INIT).length} features that svsfs knows`
    if (lacking.length === 0) return well(name, `${has}, ${known}${forgets}`)
    const what = lacking.map((flag) => `${flag} (${MISSING[flag]})`).join(', ')
    return warning(
      name,
      `${has} lacks ${what}${forgets}`,
      'a newer kernel has it; svsfs works without',
    )
  } catch (err) {
    const { code, message } = errorWords(err)
    const mend =
      code === 'SVS_FUSERMOUNT_MISSING'
        ? 'as root: apt-get install fuse3'
        : 'as root: modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN'
    return failing(name, `Linux ${release()}: ${message}`, mend)
  }
}

function openFiles(): Finding {
  const name = 'open files'
  const line = /^Max open files +\S+ +(\d+|unlimited)/m
  const [, hard = ''] = line.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  const most = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
  const says = `at most ${hard}`
  return most >= ENOUGH_FILES
    ? well(name, says)
    : warning(
        name,
        `${says}; a busy mount may need more`,
        `as root: ulimit -Hn ${ENOUGH_FILES}, or nofile in /etc/security/limits.conf`,
      )
}

async function zstd(): Promise<Finding> {
  const { hasZstd } = await import('../host/zstd.ts')
  return hasZstd()
    ? well('libzstd', 'libzstd.so.1 is there')
    : warning(
        'libzstd',
        'libzstd.so.1 is missing: states that it stored cannot be read, new ones are larger',
        'as root: apt-get install libzstd1',
      )
}

const USES: readonly (readonly [Tool, string])[] = [
  ['bwrap', 'svsfs run'],
  ['tar', 'layers from archives'],
  ['dpkg-deb', 'layers from Debian packages'],
]

const tools = (): Finding[] =>
  USES.map(([tool, what]) => {
    try {
      return well(tool, `${findTool(tool)}, for ${what}`)
    } catch (err) {
      if (!(err instanceof Failure)) throw err
      const [, mend = ''] = err.message.split('; ')
      return warning(tool, `not installed; ${what} needs it`, mend)
    }
  })

function toolPath(tool: Tool): string | null {
  try {
    return findTool(tool)
  } catch (err) {
    if (err instanceof Failure) return null
    throw err
  }
}
