// Failures that a user can meet: a code that never changes, a sentence that says what to do
// next, and the exit status of the command line. One table; `svsfs help errors` prints it.
//
// Exit status: 1 failed, 2 usage, 3 not found, 4 exists or nothing to do, 5 in use,
// 6 no store or store locked, 7 damaged, 8 this host cannot, 9 refused, 10 bad input.
//
// Rule: programming mistakes are plain TypeErrors, without a code.

export const FAILURES = {
  SVS_BAD_REQUEST: [2, '%s cannot be asked that way: %s'],
  SVS_DAEMON_GONE: [
    1,
    'the daemon ended before it answered (its log in the store: run/daemon.log)',
  ],
  SVS_DIRECTORY_INVALID: [3, '%s cannot be used as a directory: %s'],
  SVS_DISK_FULL: [1, 'no room left: %s; free some space and try again'],
  SVS_DISK_UNFIT: [8, 'the disk under %s cannot hold: %s; choose another place with --store'],
  SVS_FORBIDDEN: [9, 'not permitted: %s'],
  SVS_FREEZE_FAILED: [
    1,
    'the frozen image of %s could not be kept: %s; free some space and snapshot again',
  ],
  SVS_FUSERMOUNT_MISSING: [8, 'fusermount3 is missing; install the package fuse3'],
  SVS_INTERNAL: [1, 'unexpected failure: %s (the log in the store under run/ has more)'],
  SVS_LAYER_BUSY: [5, 'layer %s is shown at %s; deactivate it or unmount that first'],
  SVS_LAYER_NOT_FOUND: [3, 'no layer named %s (svsfs layer list shows them)'],
  SVS_MOUNT_BUSY: [5, '%s is in use by a program; end it, or use svsfs umount --lazy'],
  SVS_MOUNT_POINT_BUSY: [5, 'svsfs is mounted at %s already; svsfs umount takes it away'],
  SVS_MOUNT_POINT_INVALID: [3, 'cannot mount at %s: %s'],
  SVS_NAME_INVALID: [
    10,
    'a layer cannot be called "%s": %s; use at most 64 bytes without "@", ":", "/" and ".."',
  ],
  SVS_NO_DAEMON: [6, '%s needs the daemon of the store, which svsfs mount starts'],
  SVS_OPTION_MISSING: [2, 'the option %s is missing'],
  SVS_OPTION_UNKNOWN: [2, 'the mount option %s is not one that svsfs knows'],
  SVS_STORE_DAMAGED: [7, '%s is damaged: %s; put the file back from a copy before using the store'],
  SVS_STORE_FOREIGN: [
    4,
    '%s is not empty and is not a store; choose an empty directory with --store',
  ],
  SVS_STORE_LOCKED: [6, 'the store %s is in use by %s; wait for it to end and try again'],
  SVS_STORE_NEWER: [6, 'the store %s has format %s, this svsfs knows %s; use a newer svsfs'],
  SVS_STORE_NOT_FOUND: [
    6,
    'there is no store at %s (svsfs layer create makes one; --store names another)',
  ],
  SVS_STORE_OWNER: [9, 'the store %s belongs to another user; run the command as that user'],
  SVS_TREE_DAMAGED: [7, '%s does not match its read-only sublayer: %s; import the layer again'],
} as const satisfies Record<`SVS_${string}`, readonly [exit: number, text: string]>

export type FailureCode = keyof typeof FAILURES

export class Failure extends Error {
  readonly code: FailureCode
  readonly exit: number

  /** `args` fill the text's %s in order; a last `{ cause }` is kept as the cause. */
  constructor(code: FailureCode, ...args: (string | number | { cause: unknown })[]) {
    const last = args.at(-1)
    const cause = typeof last === 'object' ? last : undefined
    const words = args.filter((arg) => typeof arg !== 'object')
    super(
      FAILURES[code][1].replace(/%s/g, () => String(words.shift() ?? '')),
      cause,
    )
    this.name = 'Failure'
    this.code = code
    this.exit = FAILURES[code][0]
  }
}
