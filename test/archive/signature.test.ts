// Signatures: whose archives are taken, and that nothing that decides can be changed under one.

import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Archive } from '../../lib/archive/archive.ts'
import { Keys, keyText } from '../../lib/archive/keys.ts'
import type { Signature } from '../../lib/archive/signature.ts'
import { labOf, placeOf } from '../snapshot/fixture.ts'
import { Forgery } from './forge.ts'
import { exportFrom, importInto, keysOf } from './lab.ts'

function keysIn(t: Test): Keys {
  const dir = join(placeOf(t), 'keys')
  mkdirSync(dir, { mode: 0o700 })
  return new Keys(dir)
}

async function signaturesOf(path: string): Promise<readonly Signature[]> {
  const archive = await Archive.open(path)
  await archive.close()
  return archive.signed.signatures
}

t.test('an archive is taken from whom the store trusts, until that is revoked', async (t) => {
  const [maker, taker] = [keysIn(t), keysIn(t)]
  const line = maker.create('office')
  const lab = await labOf(t)
  writeFileSync(join(lab.dirs.rw, 'notes'), 'small\n')
  const state = await lab.snapshot()
  const { path, signers } = await exportFrom(lab, [state], { key: maker.signer(null) })
  const signatures = await signaturesOf(path)
  t.same(signers, ['office'])
  t.same(maker.judge(path, signatures, false), ['office'], 'its own')
  t.throws(() => taker.judge(path, signatures, false), { code: 'SVS_ARCHIVE_UNSIGNED' })
  t.same(taker.judge(path, signatures, true), [], 'nobody is vouched for by an allowance')
  t.throws(() => taker.judge(path, [], false), { code: 'SVS_ARCHIVE_UNSIGNED', message: /nobody/ })
  taker.trust(keyText(line))
  t.same(taker.judge(path, signatures, false), ['office'])
  taker.revoke('office')
  t.throws(() => taker.judge(path, signatures, true), { code: 'SVS_SIGNATURE_REVOKED' })
  taker.trust(keyText(line))
  t.same(taker.judge(path, signatures, false), ['office'], 'and trusted again')
})

t.test(
  'whatever is changed under a signature, the archive is refused, and allowing unsigned ones does not help',
  async (t) => {
    const maker = keysIn(t)
    maker.create('office')
    const [here, there] = [await labOf(t), await labOf(t)]
    writeFileSync(join(here.dirs.rw, 'notes'), 'small\n')
    const state = await here.snapshot('as signed')
    const { path } = await exportFrom(here, [state], { key: maker.signer('office') })
    const evil = join(placeOf(t), 'evil.vpa')
    const before = await keysOf(there)
    const changes: ((forgery: Forgery) => void)[] = [
      (forgery) => forgery.edit('notes', (entry) => Object.assign(entry, { mode: 0o4755 })),
      ({ manifest }) => void (manifest.states[0]!.message = 'as altered'),
      ({ manifest }) => void (manifest.layer.name = 'other'),
      ({ manifest }) => void (manifest.base.digest = 'b'.repeat(64)),
      (forgery) => {
        const signed = JSON.parse(forgery.signature.toString())
        signed.signatures[0].name = 'somebody-else'
        forgery.signature = Buffer.from(JSON.stringify(signed))
      },
      (forgery) => {
        const signed = JSON.parse(forgery.signature.toString())
        signed.signatures[0].key = keysIn(t).create('other').key
        forgery.signature = Buffer.from(JSON.stringify(signed))
      },
    ]
    for (const [at, change] of changes.entries()) {
      const forgery = await Forgery.of(path)
      change(forgery)
      await forgery.write(evil)
      await t.rejects(importInto(there, evil), { code: 'SVS_SIGNATURE_INVALID' }, `change ${at}`)
    }
    t.same(await keysOf(there), before)
  },
)

t.test(
  'a state that is imported and exported again keeps the signature it came with, beside a new one',
  async (t) => {
    const [first, second] = [keysIn(t), keysIn(t)]
    first.create('office')
    second.create('branch')
    const [here, there] = [await labOf(t), await labOf(t)]
    writeFileSync(join(here.dirs.rw, 'notes'), 'small\n')
    const state = await here.snapshot()
    const one = await exportFrom(here, [state], { key: first.signer(null) })
    const [imported] = await importInto(there, one.path)
    const again = await exportFrom(there, [imported!.snapshot], { key: second.signer(null) })
    t.equal(again.payload, one.payload)
    t.same(again.signers, ['office', 'branch'])
    const [original] = await signaturesOf(one.path)
    t.same((await signaturesOf(again.path))[0], original, 'the very same')
  },
)

t.test('keys have names, are made once, and their secret is for the owner alone', async (t) => {
  const dir = placeOf(t)
  const keys = new Keys(dir)
  keys.create('office')
  t.equal(statSync(join(dir, 'office.key')).mode & 0o777, 0o600)
  t.throws(() => keys.create('office'), { code: 'SVS_KEY_EXISTS' })
  for (const name of ['', '../up', 'a/b', '.hidden', 'a b'])
    t.throws(() => keys.create(name), { code: 'SVS_KEY_INVALID' })
  t.throws(() => keys.trust('ssh-ed25519 AAAA me'), { code: 'SVS_KEY_INVALID' })
  t.throws(() => keys.signer('nobody'), { code: 'SVS_KEY_NOT_FOUND' })
  t.throws(() => keys.revoke('nobody'), { code: 'SVS_KEY_NOT_FOUND' })
  keys.revoke('office')
  t.equal(keys.signer(null), null, 'nothing is signed with a revoked one')
})
