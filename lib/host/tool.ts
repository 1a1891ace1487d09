// The system's own programs that svsfs calls, and the Debian package that brings each.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Failure } from '../base/failure.ts'

const TOOLS = {
  'apt-get': 'apt',
  bwrap: 'bubblewrap',
  bzip2: 'bzip2',
  'dpkg-deb': 'dpkg',
  fusermount3: 'fuse3',
  gzip: 'gzip',
  'notify-send': 'libnotify-bin',
  systemctl: 'systemd',
  tar: 'tar',
  xz: 'xz-utils',
  zstd: 'zstd',
} as const

export type Tool = keyof typeof TOOLS

/** Looked at after PATH, which a service may have shortened. */
const USUAL = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']

/** Absolute path of a tool. Throws SVS_TOOL_MISSING, which names the package to install. */
export function findTool(tool: Tool): string {
  const places = [...(process.env.PATH ?? '').split(delimiter), ...USUAL]
  for (const place of places) {
    const path = join(place, tool)
    if (place.startsWith('/') && isExecutable(path)) return path
  }
  throw new Failure('SVS_TOOL_MISSING', tool, TOOLS[tool])
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
