// Mount options as mount(8), fstab and container engines write them.
// Runs once: no user matters to it.

import t from 'tap'
import { overlayOptions } from '../../lib/daemon/overlay-options.ts'

t.test('the three directories are read, relative ones from where the command runs', async (t) => {
  const read = overlayOptions('lowerdir=/a:b/c,upperdir=u,workdir=/w', '/here')
  t.same(read.lower, ['/a', '/here/b/c'])
  t.equal(read.upper, '/here/u')
  t.equal(read.work, '/w')
  t.equal(read.readOnly, false)
})

t.test('a backslash takes the next character as it is', async (t) => {
  const read = overlayOptions('lowerdir=/a\\:b:/c\\,d\\\\e,upperdir=/u\\,v,workdir=/w', '/')
  t.same(read.lower, ['/a:b', '/c,d\\e'])
  t.equal(read.upper, '/u,v')
})

t.test(
  'without upperdir, and with ro, the mount is read-only; the later of ro and rw counts',
  async (t) => {
    t.equal(overlayOptions('lowerdir=/a').readOnly, true)
    t.equal(overlayOptions('ro,lowerdir=/a,upperdir=/u,workdir=/w').readOnly, true)
    t.equal(overlayOptions('ro,rw,lowerdir=/a,upperdir=/u,workdir=/w').readOnly, false)
  },
)

t.test('what only tunes other programs is ignored', async (t) => {
  const usual =
    'rw,dev,suid,exec,noatime,nodev,nosuid,relatime,_netdev,nofail,defaults,x-systemd.automount,' +
    'userxattr,xino=off,redirect_dir=on,metacopy=on,index=off,volatile,fsync=0,timeout=10,' +
    'threaded=0,clone_fd,max_idle_threads=10,kernel_cache,attr_timeout=1,entry_timeout=1,nonempty,' +
    'context="system_u:object_r:container_file_t:s0:c1,c2",noacl,static_nlink'
  t.doesNotThrow(() => overlayOptions(`${usual},lowerdir=/a`))
})

t.test('flags of the mount point are kept, the later word counts', async (t) => {
  t.same(overlayOptions('nosuid,nodev,lowerdir=/a').flags, ['nosuid', 'nodev'])
  t.same(overlayOptions('nosuid,suid,noexec,lowerdir=/a').flags, ['noexec'])
  t.equal(overlayOptions('allow_other,lowerdir=/a').allowOther, true)
  t.equal(overlayOptions('lowerdir=/a').allowOther, null)
})

t.test('an unknown option is refused by name', async (t) => {
  for (const option of ['surprise', 'lowerdir', 'ro=1x', 'LOWERDIR=/a'])
    t.throws(() => overlayOptions(`${option},lowerdir=/a`), {
      code: 'SVS_OPTION_UNKNOWN',
      exit: 2,
      message: new RegExp(option.split('=')[0]!),
    })
})

t.test('what would change rights or promises is refused with the reason', async (t) => {
  for (const option of ['uidmapping=0:1000:1', 'squash_to_root', 'allow_root', 'remount', 'sync'])
    t.throws(() => overlayOptions(`${option},lowerdir=/a`), {
      code: 'SVS_OPTION_REFUSED',
      exit: 2,
      message: new RegExp(`option ${option} cannot be had: \\w+`),
    })
})

t.test('lowerdir must be there, and hold no empty names', async (t) => {
  t.throws(() => overlayOptions('rw'), { code: 'SVS_OPTION_MISSING' })
  t.throws(() => overlayOptions('lowerdir='), { code: 'SVS_OPTION_MISSING' })
  t.throws(() => overlayOptions('lowerdir=/a::/b'), { code: 'SVS_OPTION_UNKNOWN' })
})
