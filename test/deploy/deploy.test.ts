// Deploying to hosts over a real ssh, on loopback: what goes there, what stays as it was, the way back.

import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mountSmallDisk, unmountSmallDisk } from '../faults/small-disk.ts'
import { PROGRAM } from '../story/svsfs.ts'
import { landOf, type Store, WITHOUT_SSHD, write } from './hosts-of.ts'

const statesOf = async (store: Store): Promise<string[]> =>
  ((await store.ask('snapshots', 'app')) as { id: string }[]).map(({ id }) => id)

t.test(
  'hosts are named, looked at in one go, and each says why it cannot be reached',
  { skip: WITHOUT_SSHD },
  async (t) => {
    const land = await landOf(t)
    const { here, sshd } = land
    const [known] = sshd.options.filter((each) => each.startsWith('UserKnownHostsFile='))
    const others = sshd.options.filter((each) => each !== known)
    const none = join(land.dir, 'none')
    writeFileSync(none, '')
    const wrong = join(land.dir, 'wrong')
    const stranger = readFileSync(`${sshd.stranger}.pub`, 'utf8')
    writeFileSync(wrong, `[127.0.0.1]:${sshd.port} ${stranger}`)
    await land.host('good')
    await here.ask(
      ...land.words('moved', none, { options: [`UserKnownHostsFile=${wrong}`, ...others] }),
    )
    await here.ask(
      ...land.words('new', none, { options: [`UserKnownHostsFile=${none}`, ...others] }),
    )
    const key = sshd.options.find((each) => each.startsWith('IdentityFile='))!
    const keyless = sshd.options.filter((each) => each !== key)
    const asStranger = [`IdentityFile=${sshd.stranger}`, ...keyless]
    await here.ask(...land.words('shut', none, { options: asStranger }))
    await here.ask(...land.words('off', none, { port: 1 }))
    await here.ask(...land.words('bare', none), '--program', '/nowhere/svsfs')
    await t.rejects(here.ask(...land.words('good', none)), /SVS_HOST_EXISTS/)
    await t.rejects(here.ask('host', 'add', 'x', 'ssh://-oProxyCommand=id'), /SVS_HOST_INVALID/)
    const { status, data } = await land.answer('host', 'check')
    const results = (data as unknown as { host: string; error: { code: string } | null }[]).map(
      ({ host, error }) => [host, error?.code ?? null],
    )
    t.same(Object.fromEntries(results), {
      good: null,
      moved: 'SVS_HOST_KEY_CHANGED',
      new: 'SVS_HOST_KEY_UNKNOWN',
      shut: 'SVS_HOST_REFUSED',
      off: 'SVS_HOST_UNREACHABLE',
      bare: 'SVS_HOST_WITHOUT',
    })
    t.equal(status, 11, 'some could')
    await here.ask('host', 'maintenance', 'good', 'on')
    await here.ask('host', 'remove', 'bare')
    const listed = (await here.ask('host', 'list')) as { name: string; state: string }[]
    t.same(
      listed.map(({ name, state }) => `${name} ${state}`),
      [
        'good maintenance',
        'moved unreachable',
        'new unreachable',
        'off unreachable',
        'shut unreachable',
      ],
    )
    await t.rejects(here.ask('deploy', 'app', '--to', 'good'), /SVS_HOST_MAINTENANCE/)
  },
)

t.test(
  'a state goes to a host that shows it, then only what is new, and back again',
  { skip: WITHOUT_SSHD },
  async (t) => {
    const land = await landOf(t)
    const { here } = land
    const desk = await land.host('desk')
    const at = join(land.dir, 'mount')
    mkdirSync(at)
    await desk.ask('mount', at)
    const from = land.tree('source', { 'etc/app': 'as installed', program: 'code '.repeat(50_000) })
    await here.ask('layer', 'create', 'app', '--from', from)
    await write(here, 'app', { notes: 'one', big: randomBytes(400_000) })
    await here.ask('snapshot', 'app')
    const lacks = await land.answer('deploy', 'app', '--to', 'desk')
    t.match(lacks, { status: 3, data: { results: [{ error: { code: 'SVS_HOST_LAYER' } }] } })
    const words = ['deploy', 'app', '--to', 'desk', '--with-base', '--activate']
    const unsigned = await land.answer(...words)
    t.match(unsigned.data.results, [{ error: { code: 'SVS_ARCHIVE_UNSIGNED' } }])
    t.same(await desk.ask('layer', 'list'), [], 'nothing of it is there')
    const { text } = (await here.ask('key', 'create', 'office')) as { text: string }
    await desk.ask('key', 'trust', text)
    const would = await land.answer(...words, '--dry-run')
    const first = await land.answer(...words)
    t.equal(first.status, 0)
    t.match(first.data.results, [{ ok: true, data: { done: 'switched', before: null } }])
    t.equal(would.data.results[0]!.data!.bytes, first.data.results[0]!.data!.bytes, 'as it said')
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'one', 'mounts show it')
    t.equal(readFileSync(join(at, 'etc/app'), 'utf8'), 'as installed')
    t.same(await statesOf(desk), await statesOf(here), 'and before it there was nothing to keep')

    await write(here, 'app', { notes: 'two' })
    await here.ask('snapshot', 'app')
    writeFileSync(join(at, 'local'), 'made on the host')
    // The store can be asked while the check runs.
    const check = `'${process.execPath}' '${PROGRAM}' cat app notes | grep two`
    const second = await land.answer('deploy', 'app', '--to', 'desk', '--check', check)
    t.match(second.data.results, [{ ok: true, data: { done: 'switched', from: /^[0-9a-f]+$/ } }])
    t.ok(second.data.results[0]!.data!.bytes < 5000, 'what the host had is not sent')
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'two')
    t.notOk(existsSync(join(at, 'local')))
    t.match(await land.answer('rollback', 'app', '--host', 'desk'), {
      data: { results: [{ data: { done: 'restored' } }] },
    })
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'one')
    t.equal(readFileSync(join(at, 'local'), 'utf8'), 'made on the host', 'that too')
    t.match(await land.answer('rollback', 'app', '--host', 'desk'), {
      status: 0,
      data: { results: [{ data: { done: 'none' } }] },
    })
    const checked = await land.answer('deploy', 'app', '--to', 'desk', '--check', 'echo no; false')
    t.match(checked.data.results, [{ error: { code: 'SVS_CHECK_FAILED', message: /no/ } }])
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'one')
    t.same(
      readdirSync(join(desk.store, 'incoming')).filter((name) => !name.endsWith('.lock')),
      [],
    )

    const there = (await here.ask('snapshots', 'app', '--host', 'desk')) as { id: string }[]
    t.same(
      there.map(({ id }) => id),
      await statesOf(desk),
      'a command on the host',
    )
    writeFileSync(join(at, "a 'b'"), '')
    t.match(await here.ask('status', '--host', 'desk'), { store: { path: desk.store } })
    t.match(JSON.stringify(await here.ask('diff', 'app', '--host', 'desk')), /a 'b'/)
    await here.ask('snapshot', 'app', '-m', `it's "here" $(x)`, '--host', 'desk')
    t.match(await desk.ask('snapshots', 'app', '--last', '1'), [{ message: `it's "here" $(x)` }])
    await write(here, 'app', { notes: 'three' })
    const kept = (await here.ask('snapshot', 'app', '--to', 'desk')) as { id: string }
    t.ok((await statesOf(desk)).includes(kept.id))
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'one', 'kept, not shown')
    await here.ask('restore', 'app', kept.id, '--host', 'desk')
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'three')
    await here.ask('undo', 'app', '--host', 'desk')
    t.equal(readFileSync(join(at, 'notes'), 'utf8'), 'one')

    const file = join(land.dir, 'app.vpa')
    await here.ask('export', 'app', '-o', file, '--with-base')
    const named = await land.answer('deploy', file, '--as', 'other', '--to', 'desk')
    t.match(named.data.results, [{ ok: true, data: { done: 'switched', before: null } }])
    const names = async () =>
      ((await desk.ask('layer', 'list')) as { name: string }[]).map(({ name }) => name).sort()
    t.same(await names(), ['app', 'other'])
    t.match(await land.answer('rollback', 'other', '--host', 'desk'), {
      data: { results: [{ data: { done: 'removed' } }] },
    })
    t.same(await names(), ['app'], 'it was not there before')
    await here.ask('undo', 'other', '--host', 'desk')
    t.same(await names(), ['app', 'other'])
  },
)

t.test(
  'a link that is cut leaves the host as it was, and goes on where it was',
  { skip: WITHOUT_SSHD },
  async (t) => {
    const land = await landOf(t)
    const { here } = land
    const cut = await land.cutAfter(6_000_000)
    const desk = await land.host('desk', cut.port)
    const from = land.tree('source', { 'etc/app': 'as installed' })
    for (const store of [here, desk]) await store.ask('layer', 'create', 'app', '--from', from)
    await write(here, 'app', { big: randomBytes(9_000_000) })
    await write(desk, 'app', { own: 'of the host' })
    await here.ask('snapshot', 'app')
    const words = ['deploy', 'app', '--to', 'desk', '--allow-unsigned']
    const broken = await land.answer(...words)
    // Of what was under way ssh loses the two MiB that it takes ahead.
    t.match(broken.data.results, [{ error: { code: 'SVS_HOST_LOST' } }])
    t.same(await statesOf(desk), [])
    cut.mend()
    const [done] = (await land.answer(...words)).data.results
    t.match(done, { ok: true, data: { done: 'switched' } })
    t.ok(done!.data!.bytes < 8_000_000, `${done!.data!.bytes} bytes were left`)
    t.equal((await statesOf(desk)).length, 2, 'and what was there is a state')
    // The check ends the receiver: nobody says any more that it stays.
    await write(here, 'app', { big: 'small' })
    await here.ask('snapshot', 'app')
    const killed = await land.answer(...words, '--check', 'kill -9 $PPID')
    t.match(killed.data.results, [{ error: { code: 'SVS_HOST_LOST' } }])
    const { places } = (await desk.ask('layer', 'show', 'app')) as { places: { rw: string } }
    t.equal(readFileSync(join(places.rw, 'big')).length, 9_000_000, 'it was taken back')
    // What nobody went on with for a week is garbage.
    const left = (name: string) => join(desk.store, 'incoming', name)
    for (const name of ['old', 'young']) {
      mkdirSync(left(name))
      writeFileSync(join(left(name), 'pack'), 'x')
    }
    const then = Date.now() / 1000 - 8 * 24 * 3600
    utimesSync(join(left('old'), 'pack'), then, then)
    const { parts } = (await desk.ask('du')) as { parts: { what: string; files: number }[] }
    t.ok(parts.some(({ what, files }) => what === 'incoming' && files >= 4))
    t.match(await desk.ask('gc', '--dry-run'), { directories: ['incoming/old'] })
    t.ok(existsSync(left('old')))
    await desk.ask('gc')
    t.notOk(existsSync(left('old')))
    t.ok(existsSync(left('young')))
  },
)

t.test('of two that deploy a layer at once one is refused', { skip: WITHOUT_SSHD }, async (t) => {
  const land = await landOf(t)
  const { here } = land
  const desk = await land.host('desk')
  const from = land.tree('source', { 'etc/app': 'as installed' })
  await here.ask('layer', 'create', 'app', '--from', from)
  const other = land.tree('other', { 'etc/app': 'another version' })
  await desk.ask('layer', 'create', 'app', '--from', other)
  await write(here, 'app', { notes: 'one' })
  await here.ask('snapshot', 'app')
  const words = ['deploy', 'app', '--to', 'desk', '--allow-unsigned']
  const based = await land.answer(...words)
  t.match(
    based.data.results,
    [{ error: { code: 'SVS_HOST_BASE' } }],
    'and one needs the other base',
  )
  const mark = join(land.dir, 'checking')
  const check = `touch ${mark}; while [ -e ${mark} ]; do sleep 0.05; done`
  const first = land.answer(...words, '--with-base', '--check', check)
  while (!existsSync(mark)) await new Promise((resolve) => setTimeout(resolve, 20))
  const second = await land.answer(...words)
  t.match(second.data.results, [{ error: { code: 'SVS_DEPLOY_BUSY' } }])
  t.equal(second.status, 5)
  unlinkSync(mark)
  t.match((await first).data.results, [{ ok: true, data: { done: 'switched' } }])
  t.equal((await statesOf(desk)).length, 2)
})

t.test(
  'a host whose disk is full says so, and is as it was',
  {
    skip: WITHOUT_SSHD || (process.geteuid?.() === 0 ? false : 'only root can mount a small disk'),
  },
  async (t) => {
    const land = await landOf(t, (dir) => {
      mountSmallDisk('tmpfs', join(dir, 'disk'), 'blocks', 48 * 1024 * 1024)
    })
    land.atEnd.push(() => unmountSmallDisk(join(land.dir, 'disk')))
    const { here } = land
    const desk = await land.host('disk/desk')
    const from = land.tree('source', { 'etc/app': 'as installed' })
    for (const store of [here, desk]) await store.ask('layer', 'create', 'app', '--from', from)
    await write(here, 'app', { big: randomBytes(60_000_000) })
    await here.ask('snapshot', 'app')
    const full = await land.answer('deploy', 'app', '--to', 'desk', '--allow-unsigned')
    t.match(full.data.results, [{ error: { code: 'SVS_DISK_FULL' } }])
    t.same(await statesOf(desk), [])
    await write(here, 'app', { big: 'small' })
    await here.ask('snapshot', 'app')
    const fits = await land.answer('deploy', 'app', '--to', 'desk', '--allow-unsigned')
    t.match(fits.data.results, [{ ok: true }], 'and what had come is gone')
  },
)
