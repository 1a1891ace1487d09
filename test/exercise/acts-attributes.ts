// Acts on attributes: modes, owners, times, extended attributes, access lists, capabilities.

import fc from 'fast-check'
import type { Place, Time } from '../behaviour/place.ts'
import { type At, onFile, onName } from './act.ts'
import { MODES } from './acts-names.ts'
import { sayMoment, showPath } from './answer.ts'
import type { Names } from './names.ts'
import { FILE_SLOTS } from './side.ts'
import { ACL, CAPABILITY, GROUP_ACL, PLAIN_ACL } from './start-tree.ts'
import type { Weighed } from './vocabulary.ts'

const mode = fc.constantFrom(...MODES, 0o6755, 0o6775, 0o2070)
const owner = fc.constantFrom(-1, 0, 1234, 2345)
const slot = fc.nat(FILE_SLOTS - 1)
const moment = fc.constantFrom<Time>(
  'now',
  'keep',
  1_000_000_000_123_456_789n,
  -5_000_000_001n,
  4_000_000_000_000_000_007n,
  0n,
)

const VALUES: readonly (readonly [string, string])[] = [
  ['user.a', 'one'],
  ['user.a', ''],
  ['user.b', '\0\xff'],
  ['user.colour', 'v'.repeat(1000)],
  ['user.', 'x'],
  [`user.${'n'.repeat(250)}`, 'long'],
  [`user.${'n'.repeat(251)}`, 'too long'],
  ['trusted.t', 'root only'],
  ['security.s', 'seen'],
  ['system.unknown', 'x'],
  ['plain', 'x'],
  ['security.capability', CAPABILITY],
  ['system.posix_acl_access', ACL],
  ['system.posix_acl_access', GROUP_ACL],
  ['system.posix_acl_access', PLAIN_ACL],
  ['system.posix_acl_default', GROUP_ACL],
  ['system.posix_acl_default', ACL],
  ['system.posix_acl_access', 'nonsense'],
]
const value = fc.constantFrom(...VALUES)

export function actsOnAttributes(names: Names): Weighed[] {
  return [...modesAndOwners(names), ...times(names), ...xattrs(names), ...byDescriptor()]
}

function modesAndOwners({ any, old }: Names): Weighed[] {
  return [
    {
      weight: 4,
      arbitrary: fc
        .tuple(any, mode)
        .map(([at, bits]) =>
          onName(`chmod ${bits.toString(8)}`, at, (place, path) => place.chmod(path, bits)),
        ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(old, owner, owner, fc.boolean()).map(([at, uid, gid, follow]) =>
        onName(`${follow ? 'chown' : 'lchown'} ${uid}:${gid}`, at, (place, path) => {
          if (follow) place.chown(path, uid, gid)
          else place.lchown(path, uid, gid)
        }),
      ),
    },
  ]
}

function times({ old }: Names): Weighed[] {
  return [
    {
      weight: 3,
      arbitrary: fc
        .tuple(old, moment, moment, fc.boolean())
        .map(([at, atime, mtime, follow]) =>
          onName(
            `${follow ? 'utimens' : 'lutimens'} ${atime} ${mtime}`,
            at,
            (place, path) => setTimes(place, path, [atime, mtime], follow),
            { needs: at.folder === null ? ['times'] : ['times', 'kernel'] },
          ),
        ),
    },
  ]
}

function setTimes(place: Place, path: string, [atime, mtime]: [Time, Time], follow: boolean) {
  if (follow) place.utimens(path, atime, mtime)
  else place.lutimens(path, atime, mtime)
  const facts = follow ? place.stat(path) : place.lstat(path)
  // Reading moves the atime of a plain file: what was kept is not compared.
  return [atime === 'keep' ? '' : sayMoment(facts.atime), sayMoment(facts.mtime)]
}

function xattrs({ old }: Names): Weighed[] {
  const needs = (at: At, name: string) => ({
    needs: [
      ...(at.folder === null ? [] : (['kernel'] as const)),
      // Whether a name is known at all, and what a mode list means, is the kernel's to say.
      ...(name.startsWith('user.') && name.length < 20 && name !== 'user.'
        ? []
        : (['kernel'] as const)),
    ],
  })
  return [
    {
      weight: 4,
      arbitrary: fc
        .tuple(old, value, fc.constantFrom(0, 0, 0, 1, 2))
        .map(([at, [name, text], flags]) =>
          onName(
            `setxattr ${showPath(name)}=${showPath(text)} flags ${flags}:`,
            at,
            (place, path) => place.setxattr(path, name, text, flags),
            { ...needs(at, name), looseTimes: name.startsWith('system.') },
          ),
        ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(old, value).map(([at, [name]]) =>
        onName(
          `removexattr ${showPath(name)}:`,
          at,
          (place, path) => place.removexattr(path, name),
          // Of a list that was not there: the kernel of a mount moves the ctime all the same.
          { ...needs(at, name), looseTimes: name.startsWith('system.') },
        ),
      ),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(old, value)
        .map(([at, [name]]) =>
          onName(
            `getxattr ${showPath(name)}:`,
            at,
            (place, path) => place.getxattr(path, name) ?? 'not set',
            needs(at, name),
          ),
        ),
    },
  ]
}

function byDescriptor(): Weighed[] {
  return [
    {
      weight: 2,
      arbitrary: fc
        .tuple(slot, mode)
        .map(([n, bits]) =>
          onFile(n, `fchmod ${bits.toString(8)}`, (side) => side.file(n).chmod(bits)),
        ),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(slot, owner, owner)
        .map(([n, uid, gid]) =>
          onFile(n, `fchown ${uid}:${gid}`, (side) => side.file(n).chown(uid, gid)),
        ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(slot, moment, moment).map(([n, atime, mtime]) =>
        onFile(
          n,
          `futimens ${atime} ${mtime}`,
          (side) => {
            side.file(n).utimens(atime, mtime)
            return sayMoment(side.file(n).stat().mtime)
          },
          { needs: ['times'] },
        ),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(slot, value).map(([n, [name, text]]) =>
        onFile(n, `fsetxattr ${showPath(name)}`, (side) => side.file(n).setxattr(name, text), {
          needs: ['kernel'],
          looseTimes: name.startsWith('system.'),
        }),
      ),
    },
  ]
}
