// A life of a store that calls every command once: the words of each, in an order in which all of them work.
//
//   { command: 'state pin', words: 'a@clean' }   ─▶   svsfs state pin a@clean --json
//
// Rule: a command of the table has a step here; where it takes a name, answers.test.ts asks it for one that is not
// there too, with the further words of `MISSING`.

export interface Step {
  /** As in the table: `layer create`. */
  readonly command: string
  readonly words: string
  /** What the answer is to be held on to for: the step that follows has it in place of $ID. */
  readonly keeps?: (data: never) => string
  /** Done before. */
  readonly first?: (place: Place) => void
  /** 0 unless it is said. */
  readonly status?: number
}

/** What $DIR, $MOUNT stand for in words. */
export interface Place {
  readonly dir: string
  write(name: string, text: string): void
}

const idOf = (data: { id: string }): string => data.id

export const STEPS: readonly Step[] = [
  { command: 'layer create', words: 'a --from $DIR/tree' },
  { command: 'layer create', words: 'b --empty' },
  { command: 'layer list', words: '' },
  { command: 'layer show', words: 'a' },
  { command: 'layer vars', words: 'a' },
  { command: 'activate', words: 'a b' },
  { command: 'priority', words: 'a 5' },
  { command: 'mount', words: '$DIR/mount' },
  { command: 'status', words: '' },
  { command: 'top', words: '--interval 0.1' },
  { command: 'which', words: '$DIR/mount/old' },
  {
    command: 'snapshot',
    words: 'a -m first --label clean --tag x=1',
    first: (place) => place.write('mount/file', 'one'),
  },
  {
    command: 'snapshot',
    words: 'a',
    first: (place) => {
      place.write('mount/file', 'two')
      place.write('mount/set.json', '{"a":1}')
    },
  },
  { command: 'snapshots', words: 'a --sizes' },
  { command: 'timeline', words: 'a' },
  { command: 'state label', words: 'a@latest second' },
  { command: 'state tag', words: 'a@second y' },
  { command: 'state pin', words: 'a@clean' },
  { command: 'state unpin', words: 'a@clean' },
  {
    command: 'diff',
    words: 'a second --patch --exit-code',
    first: (place) => place.write('mount/set.json', '{"a":2}'),
    status: 12,
  },
  { command: 'log', words: 'a' },
  { command: 'log', words: 'a file' },
  { command: 'cat', words: 'a@clean file' },
  { command: 'freeze', words: 'a', keeps: idOf },
  { command: 'freezes', words: '' },
  { command: 'thaw', words: '$ID' },
  { command: 'restore', words: 'a@clean --dry-run' },
  { command: 'restore', words: 'a@clean' },
  { command: 'restore', words: 'a@clean --to $DIR/copy' },
  { command: 'restore', words: 'a@clean --as other' },
  { command: 'layer sublayers', words: 'a' },
  { command: 'undo', words: '--list' },
  { command: 'undo', words: 'a' },
  { command: 'schedule add', words: 'a --every 1h --keep-last 3', keeps: idOf },
  { command: 'schedule list', words: '' },
  { command: 'schedule pause', words: '$ID' },
  { command: 'schedule resume', words: '$ID' },
  { command: 'schedule remove', words: '$ID' },
  { command: 'forget', words: 'a --keep-last 1 --dry-run' },
  { command: 'recode', words: 'a' },
  { command: 'run', words: 'a -- true' },
  { command: 'update', words: 'a -- true' },
  {
    command: 'key create',
    words: 'me',
    keeps: (data: { text: string }) => data.text.split(' ')[1]!,
  },
  { command: 'key list', words: '' },
  { command: 'key export', words: 'me' },
  { command: 'export', words: 'a latest -o $DIR/a.vpa --key me' },
  { command: 'inspect', words: '$DIR/a.vpa' },
  { command: 'import', words: '$DIR/a.vpa' },
  { command: 'push', words: 'a dir:$DIR/repository:a' },
  { command: 'repo list', words: 'dir:$DIR/repository' },
  { command: 'pull', words: 'dir:$DIR/repository:a' },
  { command: 'snapshot', words: 'a --allow-empty --to dir:$DIR/repository:b' },
  { command: 'export', words: 'a --oci dir:$DIR/images:a' },
  { command: 'host check', words: '' },
  { command: 'host add', words: 'h ssh://nobody@127.0.0.1:1 --group g' },
  { command: 'host list', words: '' },
  { command: 'host maintenance', words: 'h on' },
  { command: 'deploy', words: 'a --group g' },
  { command: 'rollback', words: 'a --group g' },
  { command: 'host remove', words: 'h' },
  { command: 'desktop add', words: 'a -- true' },
  { command: 'desktop remove', words: 'a' },
  { command: 'desktop keep', words: 'a' },
  { command: 'desktop back', words: 'a' },
  { command: 'key trust', words: 'svsfs-ed25519 $ID else' },
  { command: 'key revoke', words: 'me' },
  { command: 'umount', words: '--all' },
  { command: 'reset', words: 'a' },
  { command: 'layer replace', words: 'a --from $DIR/tree' },
  { command: 'settle', words: '' },
  { command: 'deactivate', words: 'b' },
  { command: 'layer rename', words: 'b c' },
  { command: 'layer delete', words: 'c --yes' },
  { command: 'state delete', words: 'a@clean --yes' },
  { command: 'du', words: '' },
  { command: 'gc', words: '--dry-run' },
  { command: 'verify', words: '' },
  { command: 'events', words: '' },
  { command: 'doctor', words: '' },
  { command: 'config show', words: '' },
  { command: 'completion', words: 'fish' },
  { command: 'enable', words: '$DIR/mount --root $DIR' },
  { command: 'disable', words: '$DIR/mount --root $DIR' },
  { command: 'help errors', words: '' },
  { command: 'help exits', words: '' },
  { command: 'help json', words: 'layer create' },
]

/** Commands that serve until they are ended: their answers are looked at where they are. */
export const SERVING: readonly string[] = ['daemon', 'repo serve']

/** Commands that speak to another svsfs in words of their own (test/deploy). */
export const SPEAKING: readonly string[] = ['receive']

/** Of a command that takes a name: the further words with which one that is not there is asked for. */
export const MISSING: Readonly<Record<string, string>> = {
  'layer replace': '--empty',
  'layer rename': 'other',
  'layer delete': '--yes',
  priority: '1',
  'state label': 'word',
  'state tag': 'word',
  'state delete': '--yes',
  forget: '--keep-last 1',
  'schedule add': '--every 1h',
  update: '-- true',
  run: '-- true',
  restore: 'latest',
  cat: 'file',
  export: '-o $DIR/none',
  push: 'dir:$DIR/none',
  'desktop add': '-- true',
  'layer create': '--from /nowhere',
}

/** Commands whose names are of something else than a layer, and what they say of one that is not there. */
export const OTHERS: Readonly<Record<string, string>> = {
  'layer create': 'SVS_SOURCE_NOT_FOUND',
  undo: 'SVS_NOTHING_TO_UNDO',
  'desktop remove': 'SVS_PATH_NOT_FOUND',
  'key revoke': 'SVS_KEY_NOT_FOUND',
  'key export': 'SVS_KEY_NOT_FOUND',
  'key trust': 'SVS_KEY_INVALID',
  thaw: 'SVS_FREEZE_NOT_FOUND',
  'schedule remove': 'SVS_SCHEDULE_NOT_FOUND',
  'schedule pause': 'SVS_SCHEDULE_NOT_FOUND',
  'schedule resume': 'SVS_SCHEDULE_NOT_FOUND',
}
