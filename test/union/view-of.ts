// A view without a mount: layers drawn as data, on temporary directories.
//
//   const view = viewOf(t, { layers: [{ name: 'app', ro: { 'etc/a': 'one' } }], base: { 'etc/b': 'two' } })
//   view.read('etc/a')        and what the kernel would be told: view.told
//
// Layers top first. A text is a file, null a directory.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { silent } from '../../lib/base/log.ts'
import { relPath } from '../../lib/base/path.ts'
import {
  type Caller,
  FATTR,
  type HandleId,
  type NodeId,
  type Notification,
  Parked,
  type SetattrRequest,
} from '../../lib/fuse/filesystem.ts'
import { copyData } from '../../lib/host/copy.ts'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD, O, sys } from '../../lib/host/sys.ts'
import { publishIndex } from '../../lib/layer/index-file.ts'
import { Pool } from '../../lib/union/pool.ts'
import { prepareRestack } from '../../lib/union/restack.ts'
import type { LayerSpec, StackSpec, ViewOptions } from '../../lib/union/spec.ts'
import { View } from '../../lib/union/view.ts'

export type Drawing = Readonly<Record<string, string | null>>

export interface DrawnLayer {
  readonly name: string
  readonly ro?: Drawing
  readonly excludes?: readonly string[]
}

export const CALLER: Caller = { uid: 0, gid: 0, pid: 1, finished: null }
/** A SETATTR that sets nothing yet. */
export const NOTHING: SetattrRequest = {
  valid: 0,
  handle: null,
  size: 0,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
  mode: 0,
  uid: 0,
  gid: 0,
}
const privileged = process.geteuid?.() === 0

export function draw(dir: string, drawing: Drawing): void {
  mkdirSync(dir, { recursive: true })
  for (const [path, content] of Object.entries(drawing)) {
    const at = join(dir, path)
    mkdirSync(content === null ? at : dirname(at), { recursive: true })
    if (content !== null) writeFileSync(at, content)
  }
}

/** Layers on disk, in a directory that goes with the test. */
export class Layers {
  readonly dir = mkdtempSync(join(tmpdir(), 'svsfs-union-'))
  readonly pool = new Pool(privileged)
  readonly peers = new Set<View>()
  readonly specs = new Map<string, LayerSpec>()
  base: string | null = null
  #tag = 1

  async add({ name, ro = {}, excludes = [] }: DrawnLayer): Promise<LayerSpec> {
    const at = join(this.dir, name)
    for (const part of ['rw', 'work', 'scratch']) mkdirSync(join(at, part), { recursive: true })
    draw(join(at, 'ro/1'), ro)
    await publishIndex(join(at, 'ro/1'), join(at, 'ro/1.index'), new Map())
    const spec: LayerSpec = {
      id: name,
      name,
      tag: this.#tag++,
      rw: join(at, 'rw'),
      numbers: join(at, 'rw.numbers'),
      work: join(at, 'work'),
      ro: [{ path: join(at, 'ro/1'), index: join(at, 'ro/1.index'), version: 1 }],
      scratch: excludes.length > 0 ? join(at, 'scratch') : null,
      excludes,
    }
    this.specs.set(name, spec)
    return spec
  }

  stack(...names: string[]): StackSpec {
    const base = this.base === null ? null : { path: this.base, writable: false, timeout: 1 }
    return { layers: names.map((name) => this.specs.get(name)!), base }
  }

  view(
    names: string[],
    options: Partial<ViewOptions> = {},
    stack: StackSpec = this.stack(...names),
  ): Seen {
    const told: Notification[] = []
    const view = new View({
      pool: this.pool,
      peers: this.peers,
      stack,
      view: {
        readOnly: false,
        writeTo: null,
        privateTo: null,
        blocked: [],
        privileged,
        timeout: Number.POSITIVE_INFINITY,
        ...options,
      },
      announce(batch, done) {
        told.push(...batch)
        done()
      },
      log: silent,
    })
    return new Seen(view, told)
  }

  /** Text of a file in a layer's writable sublayer. */
  inRw(name: string, path: string): string {
    return readFileSync(join(this.dir, name, 'rw', path), 'utf8')
  }

  namesInRw(name: string, path = ''): string[] {
    return readdirSync(join(this.dir, name, 'rw', path)).sort()
  }

  close(): void {
    for (const view of [...this.peers]) view.destroy()
    removeTree(AT_FDCWD, this.dir)
  }
}

/** A view as a program's calls would reach it: by path, every lookup counted. */
export class Seen {
  readonly view: View
  readonly told: Notification[]

  constructor(view: View, told: Notification[]) {
    this.view = view
    this.told = told
  }

  /** The node of a path, as the kernel learns it by LOOKUP; 0 where it is absent. */
  id(path: string): NodeId {
    let at = 1 as NodeId
    for (const name of relPath(path) === '' ? [] : relPath(path).split('/')) {
      at = this.view.lookup(CALLER, at, name).node
      if (at === 0) return at
    }
    return at
  }

  has(path: string): boolean {
    return this.id(path) !== 0
  }

  ino(path: string): number {
    return this.view.getattr(CALLER, this.id(path), null).attr.ino
  }

  read(path: string): string {
    const id = this.id(path)
    this.open(id, O.RDONLY)
    const text = this.readOpen(id)
    this.view.release(CALLER, id, 0 as HandleId)
    return text
  }

  open(id: NodeId, flags: number): void {
    this.run(() => this.view.open(CALLER, id, flags, false))
  }

  readOpen(id: NodeId): string {
    const into = Buffer.alloc(65536)
    return into.toString(
      'utf8',
      0,
      this.view.read(CALLER, id, { handle: 0 as HandleId, offset: 0, flags: 0 }, into),
    )
  }

  write(path: string, text: string): void {
    const [dir, name] = split(path)
    let id = this.id(path)
    if (id === 0) {
      const request = { name, flags: O.RDWR, mode: 0o100644, umask: 0o022 }
      id = this.view.create(CALLER, this.id(dir), request).entry.node
    } else {
      this.open(id, O.WRONLY | O.TRUNC)
    }
    this.writeOpen(id, text)
    this.view.release(CALLER, id, 0 as HandleId)
  }

  writeOpen(id: NodeId, text: string, offset = 0): void {
    this.view.write(CALLER, id, {
      handle: 0 as HandleId,
      offset,
      data: Buffer.from(text),
      killPriv: false,
      fromCache: false,
    })
  }

  mkdir(path: string): void {
    const [dir, name] = split(path)
    this.view.mkdir(CALLER, this.id(dir), { name, mode: 0o755, umask: 0o022 })
  }

  unlink(path: string): void {
    const [dir, name] = split(path)
    this.view.unlink(CALLER, this.id(dir), name)
  }

  rmdir(path: string): void {
    const [dir, name] = split(path)
    this.view.rmdir(CALLER, this.id(dir), name)
  }

  rename(from: string, to: string): void {
    const [dir, name] = split(from)
    const [newDir, newName] = split(to)
    const request = { name, newParent: this.id(newDir), newName, flags: 0 }
    this.run(() => this.view.rename(CALLER, this.id(dir), request))
  }

  list(path: string): string[] {
    const names: string[] = []
    const id = this.id(path)
    const { handle } = this.view.opendir(CALLER, id, 0)
    this.view.readdir(CALLER, id, handle, 0, {
      wantsPlus: false,
      plain: (name) => names.push(name) > 0,
      plus: () => false,
      hasRoom: () => true,
    })
    this.view.releasedir(CALLER, id, handle)
    return names.filter((name) => name !== '.' && name !== '..').sort()
  }

  restack(spec: StackSpec): void {
    prepareRestack(this.view, spec).apply(() => {})
    this.view.behind.finish()
  }

  /** Names the kernel was told to ask for again, as `parent id/name`. */
  get expired(): string[] {
    return this.told.flatMap((one) => (one.kind === 'entry' ? [one.name] : []))
  }

  chmod(path: string, mode: number): void {
    this.chmodOpen(this.id(path), mode)
  }

  chmodOpen(id: NodeId, mode: number): void {
    const request = { ...NOTHING, valid: FATTR.MODE, mode }
    this.run(() => this.view.setattr(CALLER, id, request))
  }

  // What an io thread would do, done at once.
  run<T>(act: () => T): T {
    for (;;) {
      try {
        return act()
      } catch (err) {
        if (!(err instanceof Parked)) throw err
        const { job } = err
        if (job.kind === 'copy') copyData(job.from, job.to, job.size)
        else if (job.kind === 'fsync') sys.fsync(job.fd)
        job.done = true
      }
    }
  }
}

function split(path: string): [string, string] {
  const at = path.lastIndexOf('/')
  return [path.slice(0, Math.max(at, 0)), path.slice(at + 1)]
}

/** Layers, a base and one view of all of them, top first. */
export async function viewOf(
  t: { teardown(act: () => void): void },
  drawn: { layers: DrawnLayer[]; base?: Drawing; options?: Partial<ViewOptions> },
): Promise<{ layers: Layers; view: Seen }> {
  const layers = new Layers()
  t.teardown(() => layers.close())
  if (drawn.base !== undefined) {
    layers.base = join(layers.dir, 'base')
    draw(layers.base, drawn.base)
  }
  for (const layer of drawn.layers) await layers.add(layer)
  const names = drawn.layers.map(({ name }) => name)
  return { layers, view: layers.view(names, drawn.options) }
}
