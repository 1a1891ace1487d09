// Words of the command line whose bytes are no UTF-8: paths go through whole.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { bytesOf, textOf } from '../../lib/base/path.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, PROGRAM } from './run-cli.ts'

t.setTimeout(120_000)

t.test('bytes become text and the same bytes again, whatever they are', async (t) => {
  const every = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('')
  const half = Buffer.from('grün 日本 🙂').subarray(0, -1).toString('latin1')
  for (const bytes of [
    '',
    'plain',
    bytesOf('grün 日本 🙂'),
    every,
    half,
    '\xed\xa0\x80',
    '\xc0\x80',
  ])
    t.equal(bytesOf(textOf(bytes)), bytes)
  t.equal(textOf(bytesOf('grün 日本 🙂')), 'grün 日本 🙂')
})

t.test('a layer is made from a directory whose name is no UTF-8', async (t) => {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  const line = `
    set -e
    name=$(printf 'n\\377\\200')
    mkdir "$1/$name"; echo x >"$1/$name/file"
    "$2" "$3" layer create a --from "$1/$name"
    ! "$2" "$3" layer create "$name" --empty`
  const ran = spawnSync('sh', ['-c', line, 'sh', dir, process.execPath, PROGRAM], {
    env: { ...process.env, SVSFS_STORE: store },
    encoding: 'utf8',
  })
  t.equal(ran.status, 0, ran.stderr)
  t.match(ran.stderr, /SVS_NAME_INVALID/)
  t.match(ask(store, 'layer', 'list'), { data: [{ name: 'a', entries: 2 }] })
})
