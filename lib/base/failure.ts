// Failures that a user can meet: a code that never changes, a sentence that says what to do
// next, and the exit status of the command line. Two tables; `svsfs help errors` prints both.
//
// Rule: programming mistakes are plain TypeErrors, without a code.

/** What the program's exit statuses mean. A number never changes its meaning. */
export const EXITS = {
  0: 'done',
  1: 'failed',
  2: 'asked wrongly',
  3: 'not found',
  4: 'exists already',
  5: 'in use',
  6: 'no store, or not one that this svsfs can read',
  7: 'damaged',
  8: 'this host cannot: a tool, a library or a feature of the kernel or disk is missing',
  9: 'refused',
  10: 'bad input: an archive, a manifest, a name',
  11: 'done in part',
  12: 'differences were found (svsfs diff --exit-code)',
  13: 'the store is locked by another process, which is named',
  14: 'no signature that is trusted',
  15: 'wrong base: made for another version of the read-only part, or after a state that is not here',
  16: 'nothing to do',
} as const

export type Exit = keyof typeof EXITS

export const FAILURES = {
  SVS_ALLOW_OTHER_REFUSED: [
    9,
    'other users may not enter your mounts; root permits it by a line user_allow_other in /etc/fuse.conf',
  ],
  SVS_ARCHIVE_BASE: [
    15,
    '%s is for the read-only part %s of layer %s; here is %s; get that from where the archive comes from: svsfs export --with-base brings it',
  ],
  SVS_ARCHIVE_DAMAGED: [10, '%s cannot be used: %s; nothing was changed, fetch it again'],
  SVS_ARCHIVE_DEVICE: [
    9,
    'entry %s of %s is a device; --allow-devices lets it in, if you know who made the archive',
  ],
  SVS_ARCHIVE_ESCAPES: [10, 'entry %s of %s leads out of its tree; do not use this archive'],
  SVS_ARCHIVE_GAP: [
    15,
    '%s comes after the state %s, which in layer %s %s; import the archive that brings that one first',
  ],
  SVS_ARCHIVE_INVALID: [10, '%s cannot be unpacked: %s; fetch it again'],
  SVS_ARCHIVE_NEWER: [10, '%s has format %s, this svsfs knows %s; use a newer svsfs'],
  SVS_ARCHIVE_UNSIGNED: [
    14,
    '%s is signed by %s; svsfs key trust takes a key you know, --allow-unsigned this one archive',
  ],
  SVS_ARCHIVE_UNWRITABLE: [1, 'the archive %s could not be written: %s'],
  SVS_BAD_REQUEST: [2, '%s cannot be asked that way: %s'],
  SVS_CANCELLED: [1, 'nothing was done'],
  SVS_CATALOGUE_DAMAGED: [
    7,
    'the catalogue is damaged at %s: %s; put the store back from a copy, or delete what it names',
  ],
  SVS_CHECK_FAILED: [
    1,
    'the check after the deployment failed on %s (%s); layer %s is there as it was before',
  ],
  SVS_CHUNK_DAMAGED: [7, 'state %s cannot be read at %s: %s; other states may still be whole'],
  SVS_CONFIG_INVALID: [10, '%s: %s; nothing was done, mend it there'],
  SVS_CONFIG_REFUSED: [
    9,
    'the configuration %s is not obeyed: %s; chown and chmod it to be yours, or remove it',
  ],
  SVS_CONFIG_UNREADABLE: [
    1,
    'the configuration %s cannot be read: %s; give it the mode 644, or remove it',
  ],
  SVS_CREDENTIALS: [
    10,
    '%s has no credentials that can be used: %s; docker login or skopeo login makes them anew',
  ],
  SVS_DAEMON_BUSY: [5, 'the daemon of the store cannot hear more at once: %s; try again later'],
  SVS_DAEMON_DIED: [
    1,
    'the daemon ended before it was ready (%s); its log in the store, run/daemon.log, has more',
  ],
  SVS_DAEMON_GONE: [
    1,
    'the daemon ended before it answered (its log in the store: run/daemon.log)',
  ],
  SVS_DAEMON_STOPPING: [5, 'the daemon of the store is ending; try again in a moment'],
  SVS_DEPLOY_BUSY: [
    5,
    'layer %s is being deployed there by somebody else; try again when that is done',
  ],
  SVS_DIRECTORY_INVALID: [3, '%s cannot be used as a directory: %s'],
  SVS_DISK_FULL: [1, 'no room left: %s; free some space and try again'],
  SVS_DISK_UNFIT: [8, 'the disk under %s cannot hold: %s; choose another place with --store'],
  SVS_FILES_OPEN: [
    5,
    'files of layer %s that would change are open in %s; end those, or restore with --force (they keep what they have open)',
  ],
  SVS_FORBIDDEN: [9, 'not permitted: %s; run the command as the user whose it is, or as root'],
  SVS_FREEZE_FAILED: [
    1,
    'the frozen image of %s could not be kept: %s; free some space and snapshot again',
  ],
  SVS_FREEZE_NOT_FOUND: [3, 'there is no freeze %s (svsfs freezes lists them)'],
  SVS_FREEZE_SHOWN: [5, 'freeze %s is shown at %s; unmount that first'],
  SVS_FUSERMOUNT_MISSING: [8, 'fusermount3 is missing; install the package fuse3'],
  SVS_FUSE_NATIVE_MISSING: [8, 'the transport fuse-native cannot be used: %s; %s'],
  SVS_FUSE_UNAVAILABLE: [
    8,
    'FUSE cannot be used: %s (is the module fuse loaded, and /dev/fuse there, with mode 0666?)',
  ],
  SVS_HOST_BASE: [
    15,
    'host %s has not got the read-only part %s of layer %s, but %s; --with-base brings it',
  ],
  SVS_HOST_CODEC: [
    8,
    'host %s cannot read what is stored as %s; install there the package libzstd1, or a newer svsfs',
  ],
  SVS_HOST_EXISTS: [4, 'there is a host %s already; svsfs host remove takes it away first'],
  SVS_HOST_INVALID: [2, '%s cannot be used for a host: %s'],
  SVS_HOST_KEY_CHANGED: [
    9,
    'host %s does not show the key that is known of %s: somebody may be between; if it has a new one, ssh-keygen -R removes the old',
  ],
  SVS_HOST_KEY_UNKNOWN: [
    9,
    'the key of host %s is not known here; compare it, and take it by logging in once: %s',
  ],
  SVS_HOST_LAYER: [3, 'host %s has no layer %s; --with-base brings all of it'],
  SVS_HOST_LOST: [1, 'the link to host %s was cut: %s; the same command goes on where it was'],
  SVS_HOST_MAINTENANCE: [5, 'host %s is in maintenance; svsfs host maintenance %s off ends that'],
  SVS_HOST_NOT_FOUND: [3, 'there is no host or group %s (svsfs host list shows them)'],
  SVS_HOST_REFUSED: [
    9,
    'host %s lets nobody in with the keys there are: %s; svsfs host add --option IdentityFile=FILE names another',
  ],
  SVS_HOST_UNREACHABLE: [1, 'host %s cannot be reached: %s'],
  SVS_HOST_WITHOUT: [
    8,
    'on host %s "%s receive" does not answer as svsfs does: %s; svsfs host add --program says what runs it there',
  ],
  SVS_IMPORT_FAILED: [1, 'importing %s failed: %s; nothing was changed'],
  SVS_INTERNAL: [1, 'unexpected failure: %s (the log in the store under run/ has more)'],
  SVS_IN_PART: [11, 'done: %s; not done: %s'],
  SVS_KEY_EXISTS: [4, 'there is a key %s already; choose another name'],
  SVS_KEY_INVALID: [
    10,
    '%s is no name of a key, nor a line "svsfs-ed25519 KEY NAME", nor a file with one',
  ],
  SVS_KEY_NOT_FOUND: [3, 'there is no key %s (svsfs key list shows them)'],
  SVS_LABEL_TAKEN: [4, 'state %s of layer %s has the label %s already; choose another'],
  SVS_LAYERS_FULL: [4, 'a store holds at most %s layers; delete some first'],
  SVS_LAYER_BUSY: [5, 'layer %s is shown at %s; deactivate it or unmount that first'],
  SVS_LAYER_EXISTS: [
    4,
    'there is a layer named %s already (svsfs layer replace gives it a new read-only part)',
  ],
  SVS_LAYER_FROZEN: [5, 'layer %s has the freeze %s; svsfs thaw ends it'],
  SVS_LAYER_HAS_STATES: [5, 'layer %s has %s; svsfs layer delete --with-states deletes them too'],
  SVS_LAYER_NOT_FOUND: [3, 'no layer named %s (svsfs layer list shows them)'],
  SVS_MANIFEST_INVALID: [10, '%s: %s %s'],
  SVS_MOUNT_BUSY: [5, '%s is in use by a program; end it, or use svsfs umount --lazy'],
  SVS_MOUNT_POINT_BUSY: [5, 'svsfs is mounted at %s already; svsfs umount takes it away'],
  SVS_MOUNT_POINT_INVALID: [3, 'cannot mount at %s: %s'],
  SVS_NAMESPACE_REFUSED: [
    8,
    'this host lets you make no namespaces (%s); as root: sysctl kernel.unprivileged_userns_clone=1',
  ],
  SVS_NAME_INVALID: [
    10,
    'a layer cannot be called "%s": %s; use at most 64 bytes without "@", ":", "/" and ".."',
  ],
  SVS_NOTHING_DEPLOYED: [16, 'nothing of layer %s was deployed there, so there is no way back'],
  SVS_NOTHING_TO_UNDO: [
    16,
    'there is nothing to undo of %s (svsfs undo --list shows what there is)',
  ],
  SVS_NOT_ENABLED: [
    3,
    'no unit of svsfs mounts %s: there is no %s; svsfs enable makes it, --user names those of a user',
  ],
  SVS_NOT_MOUNTED: [3, 'svsfs is not mounted at %s (svsfs status shows the mounts)'],
  SVS_NO_DAEMON: [6, '%s needs the daemon of the store, which svsfs mount starts'],
  SVS_NO_TERMINAL: [2, 'there is no terminal to ask at; pass %s instead'],
  SVS_OPTION_MISSING: [2, 'the option %s is missing'],
  SVS_OPTION_REFUSED: [2, 'the mount option %s cannot be had: %s'],
  SVS_OPTION_UNKNOWN: [2, 'the mount option %s is not one that svsfs knows'],
  SVS_PACKAGES_UNREACHABLE: [
    1,
    'packages could not be fetched: %s; check the network and /etc/apt',
  ],
  SVS_PACKAGE_NOT_FOUND: [3, 'Debian has no package called %s here; check its name, or /etc/apt'],
  SVS_PATH_BLOCKED: [
    4,
    '%s cannot be put back: %s is in the way; move that, or name another place with --to',
  ],
  SVS_PATH_EXISTS: [4, '%s exists already, and is not touched; name another place'],
  SVS_PATH_INVALID: [2, '%s is no path inside a layer'],
  SVS_PATH_NOT_FILE: [2, '%s is no file in state %s, but %s; %s'],
  SVS_PATH_NOT_FOUND: [3, '%s does not exist'],
  SVS_PATH_NOT_IN_STATE: [3, 'state %s shows nothing at %s'],
  SVS_PATH_NOT_MOUNTED: [3, '%s lies in no mount of this store (svsfs status shows the mounts)'],
  SVS_PROGRAM_NOT_FOUND: [3, 'there is no program %s in the view of the layer'],
  SVS_RECIPE_NOT_FOUND: [3, 'no recipe named %s; there are: %s'],
  SVS_REPOSITORY_DENIED: [
    9,
    '%s does not let us in (%s); docker login or skopeo login makes credentials for it',
  ],
  SVS_REPOSITORY_INVALID: [10, '%s has what cannot be used: %s; nothing was changed'],
  SVS_REPOSITORY_NAME: [
    2,
    '"%s" names no repository: %s; write HOST/NAME:TAG, dir:PATH:TAG or https://HOST/PATH:TAG',
  ],
  SVS_REPOSITORY_NOT_FOUND: [3, 'there is no %s in %s; svsfs repo list shows what there is'],
  SVS_REPOSITORY_OTHER: [
    10,
    '%s is %s and nothing of svsfs; a container image becomes a layer by svsfs layer create NAME --from oci:%s',
  ],
  SVS_REPOSITORY_REFUSED: [
    1,
    '%s did not do it: %s; nothing was changed there but what it may clean up itself',
  ],
  SVS_REPOSITORY_UNREACHABLE: [
    1,
    '%s cannot be reached: %s; try again, or see whether the name is right and it speaks https (else --plain-http)',
  ],
  SVS_RESET_NO_ROOM: [
    1,
    'no room left to keep the changes of layer %s as a state first; svsfs reset --no-snapshot throws them away without one',
  ],
  SVS_RESTORE_NO_ROOM: [
    1,
    'no room left to keep what layer %s is now as a state first; free some space, or throw its changes away (svsfs reset %s --no-snapshot), and restore it then',
  ],
  SVS_RESTORE_UNFINISHED: [
    1,
    'the restore of layer %s is not finished: %s; it will be, when the store is opened next',
  ],
  SVS_RO_CHANGED: [
    7,
    'the read-only sublayer was changed or is missing at %s: %s; import the layer again',
  ],
  SVS_SCHEDULE_INVALID: [
    2,
    'the pattern "%s" is no time: %s; like "0 9 * * 1-5" for 9:00 on workdays',
  ],
  SVS_SCHEDULE_NOT_FOUND: [3, 'no schedule %s, or several (svsfs schedule list shows them)'],
  SVS_SIGNATURE_INVALID: [14, '%s was altered after %s had signed it; do not use it'],
  SVS_SIGNATURE_REVOKED: [14, '%s is signed by %s, a key that was revoked here; do not use it'],
  SVS_SOURCE_MIXED: [2, '%s cannot be imported together with others; only Debian packages can'],
  SVS_SOURCE_NOT_FOUND: [3, 'there is nothing to import at %s (%s)'],
  SVS_SOURCE_UNKNOWN: [10, '%s is neither a directory, a tar archive nor a Debian package'],
  SVS_STATE_AMBIGUOUS: [2, '%s stands for several states of %s; give more of its id'],
  SVS_STATE_MISSING: [2, 'which state of %s? Pass one of these, or --pick:%s'],
  SVS_STATE_NONE: [3, 'there is no state of %s yet; svsfs snapshot makes one'],
  SVS_STATE_NOT_FOUND: [3, 'no state %s of layer %s (svsfs snapshots lists them)'],
  SVS_STATE_PINNED: [9, 'state %s is pinned; svsfs state unpin %s first'],
  SVS_STORE_BUSY: [5, 'garbage is being removed in %s already; try again when it is done'],
  SVS_STORE_DAMAGED: [7, '%s is damaged: %s; put the file back from a copy before using the store'],
  SVS_STORE_FOREIGN: [
    4,
    '%s is not empty and is not a store; choose an empty directory with --store',
  ],
  SVS_STORE_LOCKED: [13, 'the store %s is in use by %s; wait for it to end and try again'],
  SVS_STORE_NEWER: [6, 'the store %s has format %s, this svsfs knows %s; use a newer svsfs'],
  SVS_STORE_NOT_FOUND: [
    6,
    'there is no store at %s (svsfs layer create makes one; --store names another)',
  ],
  SVS_STORE_OWNER: [9, 'the store %s belongs to another user; run the command as that user'],
  SVS_SUBLAYER_CURRENT: [
    5,
    'layer %s writes to its sublayer %s; switch to another first (svsfs activate --sublayer)',
  ],
  SVS_SUBLAYER_EXISTS: [4, 'layer %s has a writable sublayer %s already; choose another name'],
  SVS_SUBLAYER_NOT_FOUND: [
    3,
    'layer %s has no writable sublayer %s (svsfs layer sublayers lists them)',
  ],
  SVS_SYSTEMD_FAILED: [1, 'systemctl %s %s failed: %s; systemctl status has more'],
  SVS_TERMINAL_MISSING: [
    8,
    'no terminal emulator was found; set $TERMINAL, or install the package xdg-terminal-exec or xterm',
  ],
  SVS_TOOL_MISSING: [8, '%s is not installed; as root: apt-get install %s'],
  SVS_TRANSPORT_MIXED: [
    5,
    'the daemon of this store mounts by %s; svsfs umount --all ends it, then %s can be used',
  ],
  SVS_TREE_DAMAGED: [7, '%s does not match its read-only sublayer: %s; import the layer again'],
  SVS_TREE_INSIDE_MOUNT: [
    9,
    '%s lies inside %s, which this daemon serves itself; name a directory outside of it',
  ],
  SVS_UNSETTLED: [1, '%s cannot be settled: %s; it shows what it showed, try again later'],
  SVS_USAGE: [2, '%s (svsfs help shows the commands)'],
  SVS_WORKDIR_BUSY: [5, 'workdir %s belongs to a mount; unmount that first'],
  SVS_ZSTD_MISSING: [
    8,
    'what was stored with libzstd.so.1 cannot be read without it; install the package libzstd1',
  ],
} as const satisfies Record<`SVS_${string}`, readonly [exit: Exit, text: string]>

export type FailureCode = keyof typeof FAILURES

export class Failure extends Error {
  readonly code: FailureCode
  readonly exit: number
  /** What to do next, where the sentence ends with that, or what was probably meant. */
  hint: string | null

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
    this.hint = hintOf(
      FAILURES[code][1],
      args.filter((arg) => typeof arg !== 'object'),
    )
  }

  /** The same failure, with a word that was probably meant; null says that there is none. */
  suggesting(word: string | null): this {
    if (word === null) return this
    this.hint = `did you mean ${word}?`
    this.message += `; ${this.hint}`
    return this
  }
}

/** The end of a sentence, behind its last semicolon or in brackets; its %s are the last ones. */
function hintOf(text: string, words: readonly (string | number)[]): string | null {
  const [, behind, within] = /(?:; ([^;]+)| \(([^()]+)\))$/.exec(text) ?? []
  const hint = behind ?? within ?? null
  if (hint === null) return null
  const before = text.slice(0, text.length - hint.length).split('%s').length - 1
  const rest = words.slice(before)
  return hint.replace(/%s/g, () => String(rest.shift() ?? ''))
}
