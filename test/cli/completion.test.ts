// Completion: what the shells get to choose from, with the shells themselves where they are there.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { complete } from '../../lib/cli/completing.ts'
import { SCRIPTS } from '../../lib/cli/completion-scripts.ts'
import { throwAway } from '../daemon/place.ts'
import { ask, PROGRAM, svsfs } from './run-cli.ts'

const words = async (...line: string[]) => (await complete(line)).candidates.map(({ word }) => word)

t.test('commands, options and directories are offered where they may stand', async (t) => {
  const first = await complete([''])
  t.match(
    first.candidates.find(({ word }) => word === 'restore'),
    { about: /put a layer back/ },
  )
  t.ok((await words('layer', '')).includes('sublayers'))
  t.ok((await words('restore', '--pa')).includes('--path'))
  t.match(await complete(['restore', 'a', '-1', '--to', '']), { also: 'directories' })
  t.match(await complete(['mount', '/m']), { also: 'directories' })
  t.match(await complete(['inspect', '']), { also: 'files' })
  t.same(await words('completion', ''), ['bash', 'zsh', 'fish'])
  t.same(await words('snapshot', 'a', 'more', ''), [])
})

t.test(
  'bash completes layers, states and directories, and no store is taken or made',
  async (t) => {
    const dir = throwAway(t)
    const store = join(dir, 'store')
    mkdirSync(join(dir, 'mount point'))
    writeFileSync(join(dir, 'mount file'), '')
    mkdirSync(join(dir, 'bin'))
    writeFileSync(
      join(dir, 'bin/svsfs'),
      `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`,
      {
        mode: 0o755,
      },
    )
    const script = svsfs(store, 'completion', 'bash').out
    const typed = (line: string): string[] => {
      const act = `${script}\nCOMP_LINE=$1 COMP_POINT=\${#1}; _svsfs; printf '%s\\n' "\${COMPREPLY[@]}"`
      const ran = spawnSync('bash', ['-c', act, 'bash', line], {
        cwd: dir,
        encoding: 'utf8',
        env: {
          ...process.env,
          SVSFS_STORE: store,
          PATH: `${join(dir, 'bin')}:${process.env.PATH}`,
        },
      })
      t.equal(ran.stderr, '')
      return ran.stdout.split('\n').filter((one) => one !== '')
    }
    t.same(typed('svsfs snapshot '), [])
    t.notOk(existsSync(store))
    svsfs(store, 'layer', 'create', 'firefox', '--empty')
    const { id } = ask(store, 'snapshot', 'firefox', '--label', 'clean').data as { id: string }
    t.same(typed('svsfs snapshot fi'), ['firefox'])
    t.same(typed('svsfs restore firefox@cl'), ['clean'])
    t.same(typed(`svsfs restore firefox ${id.slice(0, 4)}`), [id])
    t.same(typed('svsfs mount mou'), ['mount point'])
  },
)

for (const shell of ['bash', 'zsh', 'fish'])
  t.test(`what is printed for ${shell} is a script that it can read`, async (t) => {
    const script = SCRIPTS[shell] ?? ''
    t.match(script, 'svsfs completion --words')
    const ran = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' })
    if ((ran.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      t.comment(`${shell} is not installed here`)
    else t.match(ran, { status: 0, stderr: '' })
  })
