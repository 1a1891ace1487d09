// What the disk below a test says that it is, wherever the test's directories lie.
//
//   diskIs(t, 'tmpfs')     before the layers are made; until the test ends

import type { Test } from 'tap'
import { libc } from '../../lib/host/libc.ts'

/** linux/magic.h. */
const TYPES = { ext4: 0xef53, tmpfs: 0x01021994 } as const

export function diskIs(t: Test, type: keyof typeof TYPES): void {
  const table = libc as { fstatfs: (fd: number, into: Buffer) => number }
  const real = table.fstatfs
  t.teardown(() => {
    table.fstatfs = real
  })
  table.fstatfs = (fd, into) => {
    const done = real(fd, into)
    into.writeUInt32LE(TYPES[type], 0)
    return done
  }
}
