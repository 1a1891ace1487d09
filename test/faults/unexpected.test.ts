// What a disk cannot read or write, and what is wrong in svsfs itself, costs one request: it gets
// an errno, nothing half-copied shows, and the mount goes on.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { errnoName } from '../../lib/base/errno.ts'
import { Served } from '../behaviour/served.ts'

const MIB = 1024 * 1024
const INJECT = new URL('./inject.js', import.meta.url).href
const LIBC = new URL('../behaviour/libc.js', import.meta.url).href

class Ground {
  readonly root = mkdtempSync(join(tmpdir(), 'svsfs-inject-'))
  served!: Served

  async mount(): Promise<void> {
    for (const name of ['lower', 'up', 'work', 'mnt']) mkdirSync(join(this.root, name))
    for (const name of ['bad', 'good']) {
      writeFileSync(join(this.root, 'lower', `${name}-small`), `${name} small\n`)
      writeFileSync(join(this.root, 'lower', `${name}-large`), Buffer.alloc(3 * MIB, name))
    }
    const options = `lowerdir=${this.root}/lower,upperdir=${this.root}/up,workdir=${this.root}/work`
    const words = ['overlay', 'inject', `${this.root}/mnt`, '-f', '-o', options]
    const env = { NODE_OPTIONS: `--import ${INJECT}`, SVSFS_TEST_FAULTS: join(this.root, 'faults') }
    this.served = await Served.start(words, join(this.root, 'mnt'), env)
  }

  /** What fails from now on; nothing for no lines. */
  faults(...lines: string[]): void {
    writeFileSync(join(this.root, 'faults'), lines.join('\n'))
  }

  at(name: string): string {
    return join(this.root, 'mnt', name)
  }

  get temporary(): string[] {
    return readdirSync(join(this.root, 'work')).filter((name) => name.startsWith('t'))
  }

  async close(): Promise<void> {
    await this.served.end()
    rmSync(this.root, { recursive: true })
  }
}

/** The code of what a call fails with; null where it goes well. */
function codeOf(act: () => unknown): string | null {
  try {
    act()
    return null
  } catch (err) {
    const { errno } = err as NodeJS.ErrnoException
    return errno === undefined ? String(err) : errnoName(-errno)
  }
}

function change(path: string): void {
  const fd = openSync(path, 'r+')
  try {
    writeSync(fd, 'CHANGED', 0)
  } finally {
    closeSync(fd)
  }
}

async function ground(t: { teardown(act: () => Promise<void>): void }): Promise<Ground> {
  const made = new Ground()
  t.teardown(() => made.close())
  await made.mount()
  return made
}

t.test('a file that cannot be read', async (t) => {
  t.setTimeout(60_000)
  const g = await ground(t)
  for (const size of ['small', 'large']) {
    const [bad, good] = [g.at(`bad-${size}`), g.at(`good-${size}`)]
    g.faults('pread EIO bad', 'copyFileRange EIO bad')
    t.equal(
      codeOf(() => readFileSync(bad)),
      'EIO',
      `${size}: reading says so`,
    )
    t.equal(
      codeOf(() => change(bad)),
      'EIO',
      `${size}: so does its copy-up`,
    )
    t.same(g.temporary, [], 'nothing of the copy stays')
    // A large one may be there: by its marks it has no bytes yet, and it reads as before.
    if (size === 'small')
      t.notOk(readdirSync(join(g.root, 'up')).includes('bad-small'), 'nor shows')
    t.equal(
      codeOf(() => change(good)),
      null,
      'others go on',
    )
    t.match(readFileSync(good, 'latin1'), /^CHANGED/)
    g.faults()
    t.match(readFileSync(bad, 'latin1'), /^bad/, 'once it can be read, it is')
    t.equal(
      codeOf(() => change(bad)),
      null,
    )
    t.match(readFileSync(join(g.root, 'up', `bad-${size}`), 'latin1'), /^CHANGED/)
  }
  t.notMatch(g.served.said, /unexpectedly/)
})

t.test(
  'a page that cannot be read is SIGBUS to who has mapped it, and to nobody else',
  async (t) => {
    t.setTimeout(60_000)
    const g = await ground(t)
    change(g.at('bad-large'))
    change(g.at('good-large'))
    // The cache of pages goes with the mount.
    await g.served.end()
    for (const name of ['lower', 'up', 'work', 'mnt'])
      rmSync(join(g.root, name), { recursive: true })
    await g.mount()
    g.faults('pread EIO bad')
    const look = `import { sharedMapping } from ${JSON.stringify(LIBC)}; import { openSync } from 'node:fs'
    const map = sharedMapping(openSync(process.argv[1], 'r+'), 8192); process.exit(map.bytes[4097] > 0 ? 7 : 8)`
    const lookAt = (name: string) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', look, g.at(name)])
    writeFileSync(join(g.root, 'up/bad-own'), Buffer.alloc(MIB, 'x'))
    writeFileSync(join(g.root, 'up/good-own'), Buffer.alloc(MIB, 'x'))
    t.equal(lookAt('bad-own').signal, 'SIGBUS')
    t.equal(lookAt('good-own').status, 7)
  },
)

t.test('bytes that cannot be written', async (t) => {
  t.setTimeout(60_000)
  const g = await ground(t)
  for (const code of ['EIO', 'EDQUOT', 'ENOSPC']) {
    const path = g.at(`bad-${code}`)
    const fd = openSync(path, 'w')
    g.faults(`pwrite ${code} bad`)
    const put = codeOf(() => writeSync(fd, 'lost bytes'))
    t.equal(put ?? codeOf(() => fsyncSync(fd)), code, `fsync says ${code}, or write itself`)
    g.faults()
    closeSync(fd)
    const other = openSync(path, 'w')
    g.faults(`pwrite ${code} bad`)
    const codes = [() => writeSync(other, 'lost bytes'), () => closeSync(other)].map(codeOf)
    t.ok(codes.includes(code), `write or close says ${code}: ${codes}`)
    g.faults()
    await sleep(50)
    t.equal(statSync(path).size, 0, 'the file has what the disk has')
    writeFileSync(path, 'found bytes')
    t.equal(readFileSync(path, 'utf8'), 'found bytes')
  }
})

t.test('a flush that fails, and a name that cannot be given', async (t) => {
  t.setTimeout(60_000)
  const g = await ground(t)
  const fd = openSync(g.at('bad-new'), 'w')
  writeSync(fd, 'bytes')
  g.faults('fsync EIO bad', 'fdatasync EIO bad')
  t.equal(
    codeOf(() => fsyncSync(fd)),
    'EIO',
  )
  closeSync(fd)
  g.faults('renameat2 EDQUOT bad')
  t.equal(
    codeOf(() => change(g.at('bad-small'))),
    'EDQUOT',
  )
  t.same(g.temporary, [])
  t.notOk(readdirSync(join(g.root, 'up')).includes('bad-small'))
  t.equal(readFileSync(g.at('bad-small'), 'utf8'), 'bad small\n')
  g.faults('mkdirat EROFS bad')
  t.equal(
    codeOf(() => mkdirSync(g.at('bad-dir'))),
    'EROFS',
  )
  t.equal(
    codeOf(() => mkdirSync(g.at('good-dir'))),
    null,
  )
  g.faults()
  t.equal(
    codeOf(() => change(g.at('bad-small'))),
    null,
  )
  t.equal(
    codeOf(() => mkdirSync(g.at('bad-dir'))),
    null,
  )
})

t.test('an exception in a handler is EIO, and a line that says what, where and why', async (t) => {
  t.setTimeout(60_000)
  const g = await ground(t)
  const acts: Record<string, (path: string) => unknown> = {
    lookup: (path) => statSync(path),
    open: (path) => closeSync(openSync(path, 'r')),
    read: (path) => readFileSync(path),
    setattr: (path) => writeFileSync(path, 'new'),
  }
  for (const [method, act] of Object.entries(acts)) {
    const path = g.at(`in-${method}/wrong`)
    mkdirSync(join(g.root, 'up', `in-${method}`))
    writeFileSync(join(g.root, 'up', `in-${method}`, 'wrong'), 'some bytes')
    // Its name is known before; a lookup is what fails in the first.
    if (method !== 'lookup') statSync(path)
    g.faults(`${method} throws /in-${method}/wrong`)
    if (method === 'setattr') {
      g.faults(`open throws /in-${method}/wrong`)
      t.equal(
        codeOf(() => act(path)),
        'EIO',
        'open for writing',
      )
    } else
      t.equal(
        codeOf(() => act(path)),
        'EIO',
        method,
      )
    t.equal(
      codeOf(() => readdirSync(g.at(''))),
      null,
      'the mount goes on',
    )
    t.equal(readFileSync(g.at('good-small'), 'utf8'), 'good small\n')
    g.faults()
    t.equal(
      codeOf(() => act(path)),
      null,
      `${method} goes again`,
    )
  }
  // What the daemon said arrives when this process looks.
  await sleep(300)
  const lines = g.served.said.split('\n').filter((line) => line.includes('failed unexpectedly'))
  t.match(
    lines.find((line) => line.includes('LOOKUP')),
    /LOOKUP of \/in-lookup "wrong" failed unexpectedly: TypeError: injected into lookup/,
  )
  t.match(
    lines.find((line) => line.includes('READ')),
    /READ of \/in-read\/wrong .*TypeError: injected into read/,
  )
  unlinkSync(g.at('good-small'))
})
