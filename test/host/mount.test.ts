// mount(2) and umount2(2) as root: what they do, and how they say no.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bytesOf } from '../../lib/base/path.ts'
import { cloneTree, mountFuse, unmountFuse } from '../../lib/host/mount.ts'
import { sys } from '../../lib/host/sys.ts'

if (process.geteuid?.() !== 0) {
  t.plan(0, 'mounting by mount(2) needs root')
  process.exit(0)
}

const dir = mkdtempSync(join(tmpdir(), 'svsfs-mount-'))
t.teardown(() => rmSync(dir, { recursive: true }))

t.test(
  'a cloned tree shows what was mounted before, and nothing that is mounted later',
  async (t) => {
    const [before, after] = [join(dir, 'before'), join(dir, 'after')]
    for (const place of [before, after]) mkdirSync(place)
    const mount = (place: string) => {
      t.equal(spawnSync('mount', ['-t', 'tmpfs', 'none', place]).status, 0)
      t.teardown(() => spawnSync('umount', [place]))
      writeFileSync(join(place, 'mounted'), '')
    }
    mount(before)
    const fd = cloneTree(bytesOf(dir))
    t.teardown(() => sys.close(fd))
    mount(after)
    const seen = (name: string) => readdirSync(`/proc/self/fd/${fd}/${name}`)
    t.same(seen('before'), ['mounted'])
    t.same(seen('after'), [])
  },
)

t.test('failures say why', async (t) => {
  const request = { source: 'x', readOnly: false, allowOther: false }
  t.throws(() => mountFuse({ ...request, mountPoint: `${dir}/none` }), {
    code: 'SVS_MOUNT_POINT_INVALID',
    message: /does not exist/,
  })
  writeFileSync(join(dir, 'file'), '')
  t.throws(() => mountFuse({ ...request, mountPoint: `${dir}/file` }), {
    message: /not a directory/,
  })
  t.throws(() => cloneTree(`${dir}/none`), { code: 'ENOENT' })
  unmountFuse(bytesOf(dir), false) // not mounted is no failure
})
