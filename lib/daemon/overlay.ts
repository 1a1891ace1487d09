// The drop-in mount: one layer made of directories that the caller names, without a store.
//
//   lowerdir=A:B,upperdir=U,workdir=W ─▶ StackSpec of one layer { rw: U, ro: [A, B] } ─▶ engine
//
// Rule: a process of its own serves it and ends with it. The disk's own inode numbers are
// shown where it can keep them; W/svsfs.numbers remembers those of files copied up.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { type Log, logTo } from '../base/log.ts'
import { bytesOf } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { restrictMount } from '../host/restrict-mount.ts'
import { AT_FDCWD, O, sys } from '../host/sys.ts'
import { settleWork } from '../union/intent.ts'
import type { LayerSpec, StackSpec } from '../union/spec.ts'
import { createEngine } from './engine.ts'
import { type Engine, usualDataPath } from './engine-api.ts'
import { freeMountPoint, mayAllowOther, realDirectory } from './mount-point.ts'
import type { OverlayOptions } from './overlay-options.ts'
import { type Settled, settleTree } from './settle.ts'

export interface OverlayOrder {
  readonly source: string
  /** Absolute. */
  readonly mountPoint: string
  readonly options: OverlayOptions
  readonly transport: 'direct' | 'fuse-native'
}

/** A served drop-in mount. */
export interface Overlay {
  /** Resolves when it is unmounted. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

/** Checks the order and makes its directories absolute, without links, before anything is started. */
export async function checkOverlay(order: OverlayOrder): Promise<OverlayOrder> {
  const { options } = order
  if (options.upper !== null && options.work === null)
    throw new Failure('SVS_OPTION_MISSING', 'workdir=DIR (on the disk of upperdir)')
  const real = (path: string) => realDirectory(path, 'SVS_DIRECTORY_INVALID')
  const lower = await Promise.all(options.lower.map(real))
  const upper = options.upper === null ? null : await real(options.upper)
  const work = upper === null || options.work === null ? null : await real(options.work)
  if (upper !== null && work !== null && statSync(upper).dev !== statSync(work).dev)
    throw new Failure('SVS_DIRECTORY_INVALID', work, 'workdir is on another disk than upperdir')
  refuseTwice(lower, upper, work)
  const mountPoint = await freeMountPoint(order.mountPoint)
  return { ...order, mountPoint, options: { ...options, lower, upper, work } }
}

// What is written to one would show in the other, behind the view's back.
function refuseTwice(lower: readonly string[], upper: string | null, work: string | null): void {
  if (upper === null || work === null) return
  const overlap = (a: string, b: string) =>
    `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)
  if (overlap(upper, work))
    throw new Failure('SVS_DIRECTORY_INVALID', work, 'workdir and upperdir lie in each other')
  for (const each of [upper, work])
    if (lower.includes(each))
      throw new Failure('SVS_DIRECTORY_INVALID', each, 'it is named twice, as lowerdir too')
}

/** Mounts, and serves until it is unmounted or stopped. Answers when the mount does. */
export async function serveOverlay(order: OverlayOrder, logFd: number): Promise<Overlay> {
  const log = logTo(logFd, 'overlay')
  takeWork(order.options, log)
  const engine = await createEngine({ log, transport: order.transport })
  try {
    await engine.mount(mountSpec(order))
    if (order.options.flags.length > 0)
      restrictMount(bytesOf(order.mountPoint), order.options.flags)
  } catch (err) {
    await engine.stop()
    throw err
  }
  return served(engine, order, log)
}

// Finishes what an earlier mount that was killed left half done, unless one that lives has the
// directory. The lock lasts as long as the process.
function takeWork(options: OverlayOptions, log: Log): void {
  if (options.work === null || options.readOnly) return
  const fd = sys.openat(AT_FDCWD, bytesOf(options.work), O.RDONLY | O.DIRECTORY)
  if (fd >= 0 && sys.flock(fd, EXCLUSIVE) >= 0) settleWork(overlayStack(options).layers)
  else log.warn(`workdir ${options.work} belongs to another mount; it is used as it is`)
}

/** flock(2): LOCK_EX and LOCK_NB. */
const EXCLUSIVE = 2 | 4

/** How long the engine may take to end before the process ends without it. */
const EXIT_MS = 15_000

function served(engine: Engine, order: OverlayOrder, log: Log): Overlay {
  let end: () => void = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  let stopping: Promise<void> | null = null
  const breakOff = (why: string, cause?: unknown) => {
    log.error(`breaking off: ${why}`, cause)
    unmountFuse(bytesOf(order.mountPoint), true)
    // process.exit would wait for a thread that hangs.
    sys.exit(1)
  }
  const stop = () => (stopping ??= stopEngine())
  const stopEngine = async () => {
    const guard = setTimeout(() => breakOff('something did not end'), EXIT_MS)
    await engine.stop()
    clearTimeout(guard)
    end()
  }
  process.on('uncaughtException', (err) => breakOff('an unexpected failure', err))
  engine.onEvent((event) => {
    if (event.kind === 'trace') return log.info(event.line)
    log.info(`${event.kind}: ${event.reason}`)
    void stop()
  })
  return { ended, stop }
}

const MOUNT_ID = 1

function mountSpec(order: OverlayOrder): Parameters<Engine['mount']>[0] {
  const { options } = order
  return {
    id: MOUNT_ID,
    mountPoint: bytesOf(order.mountPoint),
    stack: overlayStack(options),
    view: {
      readOnly: options.readOnly,
      writeTo: null,
      privateTo: null,
      blocked: [bytesOf(order.mountPoint)],
      privileged: process.geteuid?.() === 0,
      timeout: order.transport === 'direct' ? Number.POSITIVE_INFINITY : 1,
      ...(options.passFrom === null ? {} : { passFrom: options.passFrom }),
      wholeCopies: options.wholeCopies,
      ...(options.settleRate === null ? {} : { settleRate: options.settleRate }),
    },
    source: order.source,
    allowOther: mayAllowOther(options.allowOther),
    transport: order.transport,
    trace: options.trace,
    kernelCap: null,
    dataPath: options.dataPath ?? usualDataPath(options.readOnly),
  }
}

/**
 * Settles what an earlier mount of these directories left unsettled. Throws SVS_WORKDIR_BUSY where
 * one that lives has them.
 */
export async function settleOverlay(options: OverlayOptions): Promise<Settled> {
  const { upper, work } = options
  if (upper === null || work === null)
    throw new Failure('SVS_OPTION_MISSING', 'upperdir=DIR,workdir=DIR')
  const real = (path: string) => realDirectory(path, 'SVS_DIRECTORY_INVALID')
  const lower = await Promise.all(options.lower.map(real))
  const places = { ...options, lower, upper: await real(upper), work: await real(work) }
  const fd = sys.openat(AT_FDCWD, bytesOf(places.work), O.RDONLY | O.DIRECTORY)
  if (fd < 0 || sys.flock(fd, EXCLUSIVE) < 0) throw new Failure('SVS_WORKDIR_BUSY', places.work)
  try {
    const [layer] = overlayStack(places).layers
    settleWork([layer!])
    return await settleTree(layer!)
  } finally {
    sys.close(fd)
  }
}

function overlayStack({ lower, upper, work }: OverlayOptions): StackSpec {
  const layer: LayerSpec = {
    id: '',
    name: 'overlay',
    tag: 0,
    rw: upper === null ? null : bytesOf(upper),
    numbers: work === null ? null : bytesOf(join(work, 'svsfs.numbers')),
    work: work === null ? null : bytesOf(work),
    ro: lower.map((path, at) => ({ path: bytesOf(path), index: null, version: lower.length - at })),
    scratch: null,
    excludes: [],
  }
  return { layers: [layer], base: null }
}
