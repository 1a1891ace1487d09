// What this kernel's FUSE offers, found out by a mount that nobody sees.
//
//   mount on a new directory ─▶ read INIT ─▶ close the device, unmount
//
// Rule: INIT is never answered, and the device is closed before the mount is taken away: whoever
// looks at the directory in between gets an error, and does not wait.

import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cursor } from '../base/cursor.ts'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { mountFuse, unmountFuse } from '../host/mount.ts'
import { must, sys } from '../host/sys.ts'
import { type InitRequest, readInit } from './init.ts'
import { REQUEST_HEADER } from './protocol.ts'

const OPCODE_INIT = 26
/** The kernel hands requests to nobody with less room than this. */
const ROOM = 64 * 1024
const POLLIN = 1
const PATIENCE_MS = 5000

/** Throws a Failure that says why nothing can be mounted here. */
export function offeredByKernel(): InitRequest {
  const place = mkdtempSync(join(tmpdir(), 'svsfs-probe-'))
  try {
    return offeredAt(bytesOf(place))
  } finally {
    rmdirSync(place)
  }
}

function offeredAt(mountPoint: string): InitRequest {
  const device = mountFuse({ mountPoint, source: 'svsfs-probe', readOnly: true, allowOther: false })
  try {
    return readFrom(device)
  } finally {
    sys.close(device)
    unmountFuse(mountPoint, true)
  }
}

// struct pollfd {fd s32, events s16, revents s16}
function readFrom(device: number): InitRequest {
  const wait = Buffer.alloc(8)
  wait.writeInt32LE(device, 0)
  wait.writeInt16LE(POLLIN, 4)
  must(sys.poll(wait, 1, PATIENCE_MS), 'poll')
  const request = Buffer.alloc(ROOM)
  const length = must(sys.read(device, request, request.length), 'read')
  if (length < REQUEST_HEADER || request.readUInt32LE(4) !== OPCODE_INIT)
    throw new Failure('SVS_FUSE_UNAVAILABLE', 'the kernel began with something else than INIT')
  return readInit(new Cursor(request).reset(REQUEST_HEADER, length))
}
