// The units of systemd that bring mounts back at boot: what stands in them.
//
//   svsfs-mnt-app.service ──requires──▶ svsfs-daemon@srv-layers.service ──▶ the store /srv/layers
//   one for each mount                  one template for all stores
//
// Rule: a unit has no option that gives it a mount namespace of its own (PrivateTmp, ProtectSystem and
// their like): nobody else would see what it mounts.

import { dirname } from 'node:path'
import { commandWord, unitName, unitWord } from './unit-name.ts'

/** Whose manager runs them. */
export type Manager = 'system' | 'user'

export interface UnitWish {
  readonly manager: Manager
  readonly mountPoint: string
  readonly store: string
  /** The tree below, which must be there first. */
  readonly base: string | null
  /** Words of `svsfs mount` behind the directory. */
  readonly options: readonly string[]
  /** The words that start this program. */
  readonly program: readonly string[]
}

export interface Unit {
  readonly name: string
  readonly text: string
}

/** The first line of every unit that is ours. */
export const MADE = '# Made by svsfs enable; svsfs disable removes it.'
export const DAEMON_UNIT = 'svsfs-daemon@.service'

const TARGETS: Readonly<Record<Manager, string>> = {
  system: 'multi-user.target',
  user: 'default.target',
}

export const mountUnitName = (mountPoint: string): string => unitName('svsfs-', mountPoint)

export const daemonOf = (store: string): string => unitName('svsfs-daemon@', store)

/** The link that makes a manager start the unit at boot, below the directory of units. */
export const wantedBy = (manager: Manager): string => `${TARGETS[manager]}.wants`

export function mountUnit(wish: UnitWish): Unit {
  const { manager, mountPoint, store, base, options } = wish
  const svsfs = (...words: string[]) => [...wish.program, ...words].map(commandWord).join(' ')
  const places = [dirname(mountPoint), store, ...(base === null ? [] : [base])]
  const daemon = daemonOf(store)
  const umount = ['umount', mountPoint, '--store', store]
  return {
    name: mountUnitName(mountPoint),
    text: `${MADE}
[Unit]
Description=svsfs: the active layers at ${described(mountPoint)}
Documentation=man:svsfs-mount(1)
RequiresMountsFor=${[...new Set(places)].map(unitWord).join(' ')}
# Stopped and restarted with the daemon that serves it, also after that was killed.
Requires=${daemon}
After=${daemon}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${svsfs('mount', mountPoint, '--store', store, ...options)}
# Where programs still use it, they keep what they have open.
ExecStop=-${svsfs(...umount)}
ExecStopPost=-${svsfs(...umount, '--lazy', '-q')}
TimeoutStartSec=5min

[Install]
WantedBy=${TARGETS[manager]}
`,
  }
}

export function daemonUnit({ manager, program }: Pick<UnitWish, 'manager' | 'program'>): Unit {
  const start = [...program, 'daemon', '--store'].map(commandWord).join(' ')
  return {
    name: DAEMON_UNIT,
    text: `${MADE}
[Unit]
Description=svsfs: the daemon of the store %f
Documentation=man:svsfs-daemon(1)
RequiresMountsFor=%f
# It is started by the mounts that need it, and ends when the last of them is stopped.
StopWhenUnneeded=yes

[Service]
Type=notify
ExecStart=${start} %f
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec=1min
LimitNOFILE=1048576
${manager === 'system' ? '# Whoever uses its mounts would hang or fail without it.\nOOMScoreAdjust=-800\n' : ''}`,
  }
}

// Specifiers are read here too; a line ends where its text does.
const described = (path: string): string =>
  path.replace(/[\0-\x1f\x7f]/g, '?').replaceAll('%', '%%')
