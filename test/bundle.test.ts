// The program in one file: it answers as the compiled tree does, and is taken only while it is the newer one.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { directory, throwAway } from './daemon/place.ts'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..')
const program = join(dist, 'bin', 'svsfs.js')
const whole = join(dist, 'whole', 'svsfs.cjs')

const node = (...words: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

t.test('what it prints and how it ends are the same as of the compiled tree', async (t) => {
  const current = existsSync(whole) && statSync(whole).mtimeMs >= statSync(program).mtimeMs
  if (!current) t.match(node(join(dist, 'test', 'bundle.js')), { status: 0, stderr: '' })
  t.ok(existsSync(`${whole}.compiled`))
  const dir = throwAway(t)
  const tree = join(dir, 'tree.mjs')
  writeFileSync(
    tree,
    `import { main } from ${JSON.stringify(join(dist, 'lib/cli/main.js'))}\nawait main(process.argv)`,
  )
  const store = join(dir, 'store')
  for (const line of [
    '--help',
    'help errors',
    'layer create a --empty',
    'snapshot a',
    'restore a --at 2020-01-01',
    'diff a --json',
  ]) {
    const words = [...line.split(' '), '--store', store]
    if (!line.startsWith('layer create a') && line !== 'snapshot a')
      t.same(node(program, ...words), node(tree, ...words), line)
    else t.match(node(program, ...words), { status: 0 }, line)
  }
})

t.test('an older file is left alone, and what V8 made of another is no harm', async (t) => {
  const dir = throwAway(t)
  for (const each of ['bin', 'whole', 'lib', 'lib/cli']) directory(dir, each)
  const start = join(dir, 'bin/svsfs.js')
  copyFileSync(program, start)
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  writeFileSync(join(dir, 'lib/cli/main.js'), 'export const main = () => console.log("tree")')
  t.equal(node(start).stdout, 'tree\n')
  const file = join(dir, 'whole/svsfs.cjs')
  writeFileSync(file, 'exports.main = ([, at, word]) => console.log("whole", word)')
  t.equal(node(start, 'a').stdout, 'whole a\n')
  writeFileSync(`${file}.compiled`, 'nonsense')
  t.same(node(start, 'a'), { status: 0, stdout: 'whole a\n', stderr: '' })
  symlinkSync(start, join(dir, 'link'))
  t.equal(node(join(dir, 'link'), 'b').stdout, 'whole b\n')
  utimesSync(file, 1, 1)
  t.equal(node(start).stdout, 'tree\n')
})
