// Differences as people see them, and the names by which they call states.

import { execFileSync } from 'node:child_process'
import t from 'tap'
import { relPath } from '../../lib/base/path.ts'
import type { Difference } from '../../lib/snapshot/diff.ts'
import { differenceNow, differenceOfStates } from '../../lib/snapshot/restore.ts'
import { findState } from '../../lib/snapshot/state-name.ts'
import { comparePaths } from '../../lib/snapshot/tree.ts'
import { type Lab, labOf } from './fixture.ts'

const sh = (cwd: string, script: string, env = {}) =>
  execFileSync('sh', ['-ec', script], { cwd, env: { ...process.env, ...env } })

const seen = (found: readonly { path: string; mark: string }[]): string[] =>
  found.map(({ path, mark }) => `${mark} ${path}`)

async function between(lab: Lab, a: number | null, b: number): Promise<string[]> {
  const states = await lab.catalogue.snapshots('l1')
  const before = a === null ? null : states[a]!
  return seen(await differenceOfStates(lab.catalogue, before, states[b]!, lab.dirs.ro))
}

t.test('added, changed, deleted, attributes', async (t) => {
  const lab = await labOf(t)
  const { rw, ro } = lab.dirs
  sh(ro[0]!, 'mkdir -p etc usr; echo 1 > etc/conf; echo 2 > etc/other; echo 3 > usr/bin')
  // A directory brought up for one file, a changed file, a new one, a deleted one.
  sh(rw, 'mkdir etc; echo changed > etc/conf; echo new > etc/new; mknod etc/other c 0 0')
  const first = await lab.snapshot()
  t.same(await between(lab, null, 0), ['M etc/conf', 'A etc/new', 'D etc/other'])
  t.match(first.counts, { added: 1, changed: 1, deleted: 1, attributes: 0 })

  sh(rw, 'rm etc/other etc/new; echo back > etc/other; chmod 600 etc/conf; ln -s x link')
  const second = await lab.snapshot()
  t.same(await between(lab, 0, 1), ['attr etc/conf', 'D etc/new', 'A etc/other', 'A link'])
  t.match(second.counts, { added: 2, changed: 0, deleted: 1, attributes: 1 })
  t.equal(second.parent, first.id)

  const { catalogue, layer, dirs } = lab
  sh(rw, 'rm link; echo more >> etc/conf')
  const now = await differenceNow({ catalogue, layer, snapshot: second, dirs })
  t.same(seen(now), ['M etc/conf', 'D link'])
  t.same(seen(await differenceNow({ catalogue, layer, snapshot: first, dirs })), [
    'M etc/conf',
    'D etc/new',
    'A etc/other',
  ])
})

t.test('what was brought up and left as it was is no difference, nor counted as one', async (t) => {
  const lab = await labOf(t)
  const { rw, ro } = lab.dirs
  sh(ro[0]!, 'for n in same touched written; do echo $n > $n; done; ln -s same link')
  sh(rw, 'cp -a "$RO"/. .; touch -d 2020-01-01 touched; echo WRITTEN > written', { RO: ro[0] })
  const first = await lab.snapshot()
  t.match(first.counts, { added: 0, changed: 1, deleted: 0, attributes: 1 })
  const wanted = ['attr touched', 'M written']
  t.same(await between(lab, null, 0), wanted)
  const { catalogue, layer, dirs } = lab
  const now = (snapshot: typeof first | null) =>
    differenceNow({ catalogue, layer, snapshot, dirs }).then(seen)
  t.same(await now(null), wanted)
  // And back: what lies below shows again.
  sh(rw, 'rm *')
  t.same(await now(first), wanted)
  const second = await lab.snapshot()
  t.match(second.counts, { added: 0, changed: 1, deleted: 0, attributes: 1 })
  t.same(await between(lab, 0, 1), wanted)
})

/** As `git diff --name-status` has it. */
const told = (found: readonly Difference[]): string[] =>
  found.map(({ path, mark, from, also = '' }) =>
    from === undefined ? `${mark} ${path}` : `R${also} ${path} < ${from}`,
  )

t.test('renamed is told from deleted and added', async (t) => {
  const lab = await labOf(t)
  const { rw, ro } = lab.dirs
  sh(ro[0]!, 'mkdir usr; echo below > usr/below')
  sh(rw, 'mkdir -p d/sub; for n in d/a d/b d/sub/c one two three; do echo $n > $n; done')
  await lab.snapshot()
  // Moved with what lies in it, moved and changed, moved alone, copied and gone, another in its place.
  sh(rw, 'mv d moved; echo more >> moved/b; rm moved/sub/c; echo new > moved/new; mv one eins')
  sh(rw, 'cp two zwei; rm two; rm three; echo other > drei')
  const second = await lab.snapshot()
  const states = await lab.catalogue.snapshots('l1')
  const wanted = [
    'A drei',
    'R eins < one',
    'R moved < d',
    'M moved/b',
    'A moved/new',
    'Rattr zwei < two',
  ]
  const both = told(await differenceOfStates(lab.catalogue, states[0]!, second, ro))
  t.same(both.sort(), [...wanted, 'D d/sub/c', 'D three'].sort())
  t.match(second.counts, { renamed: 3, changed: 1 })

  // The same of the layer as it is now, from the state before.
  const { catalogue, layer, dirs } = lab
  const now = told(await differenceNow({ catalogue, layer, snapshot: states[0]!, dirs }))
  for (const line of ['R eins < one', 'R moved < d', 'M moved/b'])
    t.ok(now.includes(line), `now: ${line}`)
  t.notOk(now.includes('M moved/a'))

  // From the read-only part: a whiteout, and what says where it lay.
  sh(
    rw,
    'mkdir usr; mknod usr/below c 0 0; echo below > usr/elsewhere; touch -r "$RO" usr/elsewhere',
    {
      RO: `${ro[0]}/usr/below`,
    },
  )
  t.same(
    told(await differenceNow({ catalogue, layer, snapshot: second, dirs })).sort(),
    ['A usr/elsewhere', 'D usr/below'],
    'alike is not the same',
  )
  // Only some paths, and their bytes.
  const job = {
    paths: [relPath('moved')],
    contents: { each: 100, all: 100 },
  }
  const some = await differenceOfStates(catalogue, states[0]!, second, ro, job)
  t.same(told(some), ['R moved < d', 'M moved/b', 'A moved/new'])
  const bytes = some.find(({ path }) => path === 'moved/b')
  t.equal(Buffer.from(bytes?.before?.bytes ?? []).toString(), 'd/b\n')
  t.equal(Buffer.from(bytes?.after?.bytes ?? []).toString(), 'd/b\nmore\n')
})

t.test('states are called by id, label and place', async (t) => {
  const lab = await labOf(t)
  for (let round = 0; round < 3; round++) await lab.snapshot(`round ${round}`)
  const states = await lab.catalogue.snapshots('l1')
  await lab.catalogue.putSnapshot({ ...states[1]!, label: 'good' })
  const all = await lab.catalogue.snapshots('l1')
  const app = { id: 'l1', name: 'app' }
  const called = async (text: string) => (await findState(lab.catalogue, app, text)).message
  t.equal(await called('latest'), 'round 2')
  t.equal(await called('-1'), 'round 1')
  t.equal(await called('-2'), 'round 0')
  t.equal(await called('good'), 'round 1')
  t.equal(await called(all[0]!.id.slice(0, 8)), 'round 0')
  await t.rejects(called('-3'), { code: 'SVS_STATE_NOT_FOUND' })
  await t.rejects(called('no such'), { code: 'SVS_STATE_NOT_FOUND' })
  await t.rejects(called(''), { code: 'SVS_STATE_NOT_FOUND' })
  const alike = `${all[0]!.id.slice(0, 9)}${all[0]!.id.endsWith('f') ? 'e' : 'f'}`
  await lab.catalogue.batch([{ type: 'put', key: `id/l1/${alike}`, value: Buffer.from('0') }])
  await t.rejects(called(all[0]!.id.slice(0, 5)), { code: 'SVS_STATE_AMBIGUOUS' })
  t.ok(all[0]!.time < all[1]!.time && all[1]!.time < all[2]!.time)
})

t.test('paths sort as a walk meets them', async (t) => {
  const walk = ['', 'a', 'a/b', 'a/b/c', 'a/z', 'a.b', 'a0', 'b']
  t.same([...walk].reverse().sort(comparePaths), walk)
})
