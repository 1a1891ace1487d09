// The drop-in mount served through fuse-native, the second transport.

import t from 'tap'
import { nativeTree } from './native-tree.ts'
import { START } from './start.ts'
import { dropIn } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

const because = (reason: string, ...titles: string[]): [string, string][] =>
  titles.map((title) => [title, reason])

const differs = Object.fromEntries([
  ...because(
    'names travel as UTF-8 text',
    'odd names are found, read, written and removed',
    'every byte but slash and NUL can be a name',
    'a symbolic link may hold any bytes and any length up to the limit',
    'extended attributes that were there before show',
    'an attribute of a lower file can be removed and stays removed',
    'attributes survive writes, chmod and renames',
  ),
  ...because(
    'times are milliseconds since 1970, and setting one sets both',
    'a change in a directory moves its mtime and ctime, and no other does',
    'a file that is changed for the first time leaves its directory as it was',
    'a removed open file still takes every change',
    'chmod of a directory keeps what is in it',
    'chown changes user, group, or either alone',
    'times are kept to the nanosecond',
    'times before 1970 and after 2038 are kept',
    'one time can be set and the other kept',
    'times set through a descriptor outlive its close',
    'the times of a link are its own',
    'a rename keeps mtime',
    'setting an attribute keeps mtime and moves ctime',
    'a fifo that is changed stays a fifo',
  ),
  ...because(
    'the package has no such operation',
    'SEEK_DATA and SEEK_HOLE find the parts of a file with holes',
    'SEEK_DATA and SEEK_HOLE know what was written a moment ago',
    'fallocate makes a file longer',
    'a punched hole reads as zeros',
    'open files follow an exchange',
    'RENAME_NOREPLACE spares what is there',
    'RENAME_EXCHANGE swaps two files',
    'RENAME_EXCHANGE swaps two directories',
    'RENAME_EXCHANGE swaps a file and a directory',
    'RENAME_EXCHANGE swaps a new and an old directory',
    'a nameless file works and leaves nothing',
    'a nameless file can be given a name',
    'a nameless file takes a deleted name, and not one that is there',
    'a nameless file that its owner may not open works',
  ),
  ...because(
    'libfuse 2 knows files by path: a change shows under other names within a second',
    'a hard link is the same file under another name',
    'hard links that were there before have one inode number and one count',
    'hard links that were there before survive the first write',
    'hard links that were there before survive chmod and a rename',
    'removing one of three hard links leaves a count of two',
    'a fourth hard link joins three that were there before',
    'hard links below are one file, whichever name is used first',
    'removing hard links below counts down to none',
    'a hard link below that is replaced is counted no more',
    'an open file sees a write through another hard link',
    'a symbolic link can have two names',
    'a renamed hard link leaves the others',
    'of several hard links the one that is named is renamed',
    'a file has one name more for each link and one less for each unlink',
    'hard links below are one file, whichever name is used first',
    'removing hard links below counts down to none',
    'a hard link below that is replaced is counted no more',
  ),
  ...because(
    'libfuse 2 hides an open file under another name until it is closed',
    'a tree is removed while a file in it is open',
  ),
  ...because('the package does not tell who asks', 'what is new belongs to who makes it'),
  ...because(
    'lists carry neither kinds nor inode numbers',
    'a list tells the kind and the inode number that stat tells',
    'kinds and inode numbers are also right after first changes',
    'a directory of 10,000 entries lists them all and is removed',
  ),
])

await behavesLikePosix(
  t,
  dropIn({
    name: 'mount through fuse-native',
    transport: 'fuse-native',
    tree: nativeTree(START),
    changeable: ['ino'],
    compareEvery: 10,
    differs,
  }),
)
