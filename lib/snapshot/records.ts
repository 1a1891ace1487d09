// What the catalogue holds, as types and as the schemas that every record is read with.
//
//   SnapshotRecord ─▶ Piece[] ─▶ Entry[] ─▶ Content ─▶ Part[] ─▶ chunks
//   one state         its list    a name     a file      a frame   bytes
//
// All are JSON. Names, paths and link targets are bytes as latin1 text. Fields that this version does not
// know are kept as they are, so that a later one may add some; what an older program must
// not misread needs a higher catalogue version.
//
// Rule: nothing of a record is used before its schema has passed it; numbers are bounded here.

import { z } from 'zod'
import { type RelPath, relPath } from '../base/path.ts'

const count = z.number().int().nonnegative()
const seconds = z.number().int()
const nanoseconds = z.number().int().min(0).max(999_999_999)
const id32 = z.number().int().min(0).max(0xffff_ffff)
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const path = z.string().transform((text, context): RelPath => {
  try {
    const clean = relPath(text)
    if (clean === text) return clean
  } catch {
    // Said below, like a path that is not in its plain form.
  }
  context.addIssue({ code: 'custom', message: 'not a path inside a layer' })
  return z.NEVER
})

/** One read-only sublayer that a layer has or had. */
const readOnlyVersion = z.looseObject({
  version: count,
  /** SHA-256 in hex over all that the tree holds; '' where nobody computed it. */
  digest: z.string(),
  entries: count,
  bytes: count,
})

/** A writable sublayer that is kept beside the current one. */
const sublayer = z.looseObject({
  name: z.string().min(1),
  /** Its number. */
  rw: count,
  /** The read-only sublayer that it lies over. */
  ro: readOnlyVersion,
  /** Milliseconds since 1970. */
  made: count,
  /** The state that it came from; null for none. */
  head: z.string().nullable(),
})
export type Sublayer = z.infer<typeof sublayer>

/** A layer, as the store knows it. */
export const layerRecord = z.looseObject({
  id: z.string().min(1).max(64),
  name: z.string().min(1),
  /** Upper part of the inode numbers of its files: 1..8000, unique in the store. */
  tag: z.number().int().min(1).max(8000),
  /** Milliseconds since 1970. */
  created: count,
  /** The current read-only sublayer. */
  ro: readOnlyVersion,
  /** All that are on the disk, the current one among them; states need the one they were made on. */
  versions: z.array(readOnlyVersion),
  /** Number of the current writable sublayer. */
  rw: count,
  /** Its name, where it has another than the first, and when it was made. */
  sublayer: z.string().min(1).optional(),
  sublayerMade: count.optional(),
  /** Those that svsfs activate --sublayer switches to. */
  sublayers: z.array(sublayer).optional(),
  active: z.boolean(),
  /** The higher, the nearer to the top. */
  priority: z.number().int(),
  excludes: z.array(z.string()),
  /** What the recipe or the manifest says; whoever reads it checks it. */
  manifest: z.record(z.string(), z.unknown()),
})
export type LayerRecord = z.infer<typeof layerRecord>
export type ReadOnlyVersion = z.infer<typeof readOnlyVersion>

export const KINDS = [
  'file',
  'dir',
  'symlink',
  'fifo',
  'socket',
  'char',
  'block',
  'whiteout',
] as const
export type Kind = (typeof KINDS)[number]

const marks = z.looseObject({
  opaque: z.literal(true).optional(),
  redirect: path.optional(),
  metacopy: z.literal(true).optional(),
  veil: z.literal(true).optional(),
  base: path.optional(),
  origin: path.optional(),
})
/** The marks of a file or directory of a writable sublayer (lib/layer/marks.ts), those that are set. */
export type EntryMarks = z.infer<typeof marks>

/** One name of a state. */
export const entry = z.looseObject({
  path,
  kind: z.enum(KINDS),
  /** Permission bits, without the type. */
  mode: z.number().int().min(0).max(0o7777),
  uid: id32,
  gid: id32,
  atime: seconds,
  atimeNsec: nanoseconds,
  mtime: seconds,
  mtimeNsec: nanoseconds,
  /** Inode number toward programs (st_ino); 0 where none was given yet. */
  number: count,
  /** Files only. */
  size: count.optional(),
  /** Files only: id of the Content; absent for an empty file and where the data lies below. */
  content: digest.optional(),
  /** Symlinks only. */
  target: z.string().min(1).max(4096).optional(),
  /** Devices only, in the 32-bit form of the FUSE protocol. */
  rdev: id32.optional(),
  /** Base64 values by name; without marks. */
  xattrs: z.record(z.string(), z.string()).optional(),
  marks: marks.optional(),
  /** First name of a file that may have further ones. */
  linked: z.literal(true).optional(),
  /** Further names of a hard-linked file: path of its first name, which comes earlier. */
  link: path.optional(),
})
export type Entry = z.infer<typeof entry>

/** A stretch of another content, given to the decoder before a part's frame. */
export const reference = z.looseObject({
  /** `ro`: a file of the read-only sublayer whose digest the content is kept under. */
  source: z.enum(['ro', 'content']),
  /** For `ro`. */
  path: path.optional(),
  /** For `content`: its id, kept under the same digest. */
  content: digest.optional(),
  offset: count,
  length: count,
  /** SHA-256 of the stretch, to tell a changed reference from a damaged chunk; '' = not kept. */
  digest: z.union([digest, z.literal('')]),
})
export type Reference = z.infer<typeof reference>

export const part = z.looseObject({
  /**
   * `hole`: zeros that take no room. `raw`: chunks as they are. `zstd`, `brotli`: the chunks make one
   * frame. `patch`: they make a patch of what is referred to (patch.ts). `slice`: a stretch of the one
   * content referred to, and no chunks. `over`: the one stretch referred to, with `runs` in place of
   * what it has there (over.ts).
   */
  codec: z.enum(['hole', 'raw', 'zstd', 'brotli', 'patch', 'slice', 'over']),
  /** Bytes of the file that it makes. */
  length: count,
  chunks: z.array(digest).optional(),
  /** Bytes that the frame makes, where other files share it, and those to skip before this one's. */
  frame: count.optional(),
  skip: count.optional(),
  /** Holes within it: offset from its begin, length, and so on; the frame has zeros there. */
  holes: z.array(count).optional(),
  /** Of `over`: offset from its begin and length of each run; the frame makes them, one after the other. */
  runs: z.array(count).optional(),
  /** Of `over`, how the runs are stored; `delta`: zstd with what lies below them as its prefix. */
  packed: z.enum(['raw', 'zstd', 'brotli', 'delta']).optional(),
  /** The frame's prefix: these, in this order, one after the other. */
  references: z.array(reference).optional(),
})
export type Part = z.infer<typeof part>

/** How to make the content of a file: its parts, one after the other. */
export const content = z.looseObject({
  size: count,
  /** How many contents one after the other must be made to make this one; 0 without any. */
  depth: count,
  /** Bytes in its own chunks. */
  stored: count,
  parts: z.array(part),
})
export type Content = z.infer<typeof content>

/** Of a content what it needs alone: long lists of them are followed (reached.ts). */
export const contentNeeds = z.object({
  parts: z.array(
    z.object({
      chunks: part.shape.chunks,
      references: z.array(reference.pick({ content: true })).optional(),
    }),
  ),
})

/** A whole frame that another one is compressed against (frames.ts): its chunks, and the bytes it makes. */
const frameBelow = z.looseObject({ chunks: z.array(digest), bytes: count })

/** A run of entries: one chunk of compressed JSON, and one of stamps (tree.ts). */
const piece = z.looseObject({
  /** Path of its first entry. */
  first: z.string(),
  entries: count,
  /** Length of the JSON before compression. */
  bytes: count,
  /** How list and stamps are compressed; zstd where nothing is said. */
  codec: z.enum(['zstd', 'brotli']).optional(),
  list: z.array(digest),
  /** What the list is compressed against, where it is not whole; `of`: SHA-256 of its JSON. */
  listOn: frameBelow.extend({ of: digest.optional() }).optional(),
  /** What the files looked like to the disk then; only a hint, empty where dropped. */
  stamps: z.array(digest),
  stampsOn: frameBelow.optional(),
  /** What its entries add to a state's totals; absent in lists of earlier versions. */
  totals: z
    .looseObject({
      /** Bytes of files, each counted at its first name. */
      bytes: count,
      users: z.array(id32),
      groups: z.array(id32),
      /** True where a renamed directory of the base is among them. */
      base: z.boolean(),
      /** True where a name of a file with several names is among them. */
      links: z.boolean(),
    })
    .optional(),
})
export type Piece = z.infer<typeof piece>
export const pieces = z.array(piece)

const TRIGGERS = [
  'manual',
  'before-restore',
  'before-update',
  'before-deploy',
  'scheduled',
] as const
export type Trigger = (typeof TRIGGERS)[number]

/** A state as lists show it; the long part (its pieces) lies beside it. */
export const snapshotRecord = z.looseObject({
  id: z.string().regex(/^[0-9a-f]{10,64}$/),
  layer: z.string().min(1),
  /** Milliseconds since 1970; of two states of a layer the later has the higher. */
  time: count,
  message: z.string(),
  label: z.string().nullable(),
  tags: z.record(z.string(), z.string()),
  trigger: z.enum(TRIGGERS),
  pinned: z.boolean(),
  /** The state that the sublayer came from. */
  parent: z.string().nullable(),
  ro: z.looseObject({ version: count, digest: z.string() }),
  /** The writable sublayer it was taken of. */
  rw: count,
  entries: count,
  /** Bytes of its files, and bytes that this state added to the catalogue. */
  bytes: count,
  stored: count,
  /** Against the parent; for a first state, against the read-only sublayer. */
  counts: z.looseObject({
    added: count,
    changed: count,
    deleted: count,
    attributes: count,
    /** Neither deleted nor added; absent in states of before, which counted them as both. */
    renamed: count.optional(),
  }),
  /** Where the change journal stood; null without one. */
  journal: count.nullable(),
  /** True where a renamed directory of the base belongs to it. */
  dependsOnBase: z.boolean(),
  /** Names of the owners by uid and gid, as the machine knew them; of an imported state, as its archive has them. */
  owners: z.looseObject({
    users: z.record(z.string(), z.string()),
    groups: z.record(z.string(), z.string()),
  }),
  /** Version of the pieces' format. */
  format: z.literal(1),
  /** Of an imported one: the payload of its archive, and who had signed that (lib/archive/signature.ts). */
  archive: z
    .looseObject({
      payload: digest,
      signatures: z.array(
        z.looseObject({ key: z.string(), name: z.string(), at: count, signature: z.string() }),
      ),
      /** What it changes against the state `from`, in the numbers of the archive. */
      changes: z
        .looseObject({
          from: z.string().nullable(),
          added: count,
          changed: count,
          deleted: count,
          attributes: count,
        })
        .optional(),
      /** What owners have for numbers in the archive, by those that they have here (lib/archive/owners.ts). */
      owners: z
        .looseObject({ users: z.record(z.string(), id32), groups: z.record(z.string(), id32) })
        .optional(),
    })
    .optional(),
})
export type SnapshotRecord = z.infer<typeof snapshotRecord>

/** What lists show of a state, and what it is deleted by: all that is checked where there are thousands. */
export const listedState = snapshotRecord.pick({
  id: true,
  layer: true,
  time: true,
  message: true,
  label: true,
  tags: true,
  trigger: true,
  pinned: true,
  ro: true,
  entries: true,
  bytes: true,
  stored: true,
  counts: true,
})
export type ListedState = z.infer<typeof listedState>

/** Of a state what leads to its chunks. */
export const stateRoot = z.object({
  layer: z.string(),
  id: snapshotRecord.shape.id,
  ro: z.object({ digest: z.string() }),
})

/** A layer that was deleted, and can be brought back until gc takes it away. */
export const removedLayer = z.looseObject({
  record: layerRecord,
  /** When, in milliseconds since 1970. */
  at: count,
})
export type RemovedLayer = z.infer<typeof removedLayer>

/** What the last operation on a layer replaced: what undoing it needs. */
export const undoRecord = z.looseObject({
  /** Milliseconds since 1970; later for every later one. */
  at: count,
  what: z.enum(['restore', 'reset', 'activate', 'deactivate', 'sublayer', 'replace', 'delete']),
  /** Id and name of the layer. */
  layer: z.string().min(1),
  name: z.string().min(1),
  /** The state that holds what was replaced; null where that is no state. */
  state: z.string().nullable(),
  /** The layer's record as it was. */
  before: layerRecord.nullable(),
  /** The only paths that were changed; absent for the whole layer. */
  paths: z.array(path).optional(),
})
export type UndoRecord = z.infer<typeof undoRecord>

/** Which states a policy keeps; what is absent keeps none. */
export const keepPolicy = z.looseObject({
  last: count.optional(),
  hourly: count.optional(),
  daily: count.optional(),
  weekly: count.optional(),
  monthly: count.optional(),
  /** `KEY` or `KEY=VALUE`. */
  tags: z.array(z.string().min(1)).optional(),
})
export type KeepPolicy = z.infer<typeof keepPolicy>

/** When the daemon takes states of a layer by itself. */
export const schedule = z.looseObject({
  id: z.string().regex(/^[0-9a-f]{10,64}$/),
  layer: z.string().min(1),
  /** Milliseconds between two states, or a cron pattern in local time. */
  when: z.union([
    z.looseObject({ every: z.number().int().positive() }),
    z.looseObject({ cron: z.string().min(1) }),
  ]),
  keep: keepPolicy.nullable(),
  paused: z.boolean(),
  created: count,
  /** When it last ran, and what came of it: a state's id, '' where nothing had changed, or what failed. */
  last: z.looseObject({ at: count, state: z.string(), failure: z.string().nullable() }).nullable(),
})
export type Schedule = z.infer<typeof schedule>

/** A machine that layers are deployed to. What its fields mean is said, and checked, in lib/deploy/host.ts. */
export const hostRecord = z.looseObject({
  name: z.string().min(1).max(64),
  url: z.string().max(400),
  group: z.string().min(1).max(64).nullable(),
  /** Of ssh: IdentityFile and the like. */
  options: z.record(z.string(), z.string().max(1000)),
  /** What runs svsfs there, as its shell reads it. */
  program: z.string().min(1).max(1000),
  /** The store there; null for that user's own. */
  store: z.string().max(4095).nullable(),
  maintenance: z.boolean(),
  added: count,
  /** What it was when it was last asked. */
  seen: z
    .looseObject({
      at: count,
      state: z.enum(['online', 'unreachable']),
      version: z.string().nullable(),
      arch: z.string().nullable(),
      /** Why it is unreachable. */
      why: z.string().nullable(),
    })
    .nullable(),
})
export type HostRecord = z.infer<typeof hostRecord>

/** The last deployment of a layer to this store, from another machine. */
export const deployment = z.looseObject({
  layer: z.string().min(1),
  at: count,
  /** Who sent it, as that machine says. */
  from: z.string(),
  payload: digest,
  /** The state that came; null for a layer without. */
  state: z.string().nullable(),
  /** The state that holds what was replaced; null where the layer was made. */
  before: z.string().nullable(),
  wasActive: z.boolean(),
  /** Whoever sent it has not said yet whether it stays: where they go, it does not. */
  pending: z.boolean(),
  rolledBack: z.boolean(),
})
export type Deployment = z.infer<typeof deployment>

// A redo plan's steps are described where they are applied: redo.ts.
const time = { atime: seconds, atimeNsec: nanoseconds, mtime: seconds, mtimeNsec: nanoseconds }
const redoStep = z.discriminatedUnion('op', [
  z.looseObject({ op: z.literal('remove'), path, trash: z.string().regex(/^t\d+$/) }),
  z.looseObject({
    op: z.literal('place'),
    path,
    staged: z.string().regex(/^s\d+$/),
    ino: count,
    number: count,
  }),
  z.looseObject({
    op: z.literal('rewrite'),
    path,
    staged: z.string().regex(/^s\d+$/),
    ino: count,
    number: count,
    size: count,
    /** What the file is then, and where that comes from: for who finds it changed after a crash. */
    content: digest,
    state: z.string(),
    version: count,
    scope: z.union([digest, z.literal('')]),
  }),
  z.looseObject({
    op: z.literal('attrs'),
    path,
    mode: z.number().int().min(0).max(0o7777),
    uid: id32,
    gid: id32,
    ...time,
    setXattrs: z.record(z.string(), z.string()),
    removeXattrs: z.array(z.string()),
    ino: count,
    number: count,
    /** Of a directory that goes on showing what it shows. */
    shallow: z.literal(true).optional(),
  }),
])
export const redoPlan = z.looseObject({
  id: z.string().regex(/^[0-9a-f]{10,64}$/),
  layer: z.string().min(1),
  /** The state that the layer becomes. */
  state: z.string(),
  rw: count,
  steps: z.array(redoStep),
})
export type RedoStep = z.infer<typeof redoStep>
/** What turns the current writable sublayer into a state. */
export type RedoPlan = z.infer<typeof redoPlan>
