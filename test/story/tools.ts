// The story's application without a screen: a git repository and an SQLite database that
// must agree, both below /srv/story, which comes with the layer.
//
//   work     a commit of many files, a transaction of many rows, both with the value
//   look     the value of the last commit, which must be the value of the last row
//   check    git fsck, PRAGMA integrity_check
//   wreck    the database cut in half, objects and HEAD of the repository gone

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Application, NOTHING } from './story.ts'
import type { Svsfs } from './svsfs.ts'

const LAYER = 'tools'
const PLACE = 'srv/story'

/** In front of each script: where the data lies, and the wish to stop at the first failure. */
const START = `
set -eu
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=story GIT_AUTHOR_EMAIL=story@localhost
export GIT_COMMITTER_NAME=story GIT_COMMITTER_EMAIL=story@localhost
cd /${PLACE}
last_row() { sqlite3 notes.db 'select value from note order by id desc limit 1'; }
last_commit() { git -C repository log -1 --format=%s; }
look() {
  if [ ! -e notes.db ]; then echo ${NOTHING}; return; fi
  [ "$(last_row)" = "$(last_commit)" ] || { echo "row $(last_row), commit $(last_commit)"; return; }
  last_row
}
`

const WORK = `${START}
look
if [ ! -e repository ]; then
  git init -q -b main repository
  sqlite3 notes.db 'pragma journal_mode = wal; create table note (id integer primary key, value text, text blob)' >&2
fi
for i in $(seq 1 60); do
  mkdir -p "repository/part-$((i % 7))"
  echo "$1 $i" >> "repository/part-$((i % 7))/file-$i"
done
git -C repository add -A
git -C repository commit -q -m "$1"
git -C repository gc -q
sqlite3 notes.db "
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
    insert into note (value, text) select '$1', randomblob(300) from n;
  create index if not exists by_value on note (value);"
`

const WRECK = `${START}
truncate -s 5000 notes.db
rm -rf repository/.git/objects repository/.git/HEAD notes.db-wal notes.db-shm
rm -f repository/part-3/*
`

const CHECK = `${START}
[ "$(sqlite3 notes.db 'pragma integrity_check')" = ok ]
git -C repository fsck --full --strict >&2
[ -z "$(git -C repository status --porcelain)" ]
echo "git: fsck clean, $(git -C repository rev-list --count HEAD) commits; sqlite: integrity ok, $(sqlite3 notes.db 'select count(*) from note') rows"
`

/**
 * `from` is an empty directory, out of which the layer is made. `recipes` bring the programs
 * where the machine has none.
 */
export function tools(svsfs: Svsfs, from: string, recipes: readonly string[] = []): Application {
  const about = join(from, PLACE, 'about.txt')
  mkdirSync(dirname(about), { recursive: true })
  // Made once: its times are in the digest of the layer.
  if (!existsSync(about)) writeFileSync(about, 'A database and a repository live here.\n')
  const script = async (text: string, ...words: string[]) =>
    (await svsfs.mustRun(LAYER, 'sh', '-c', text, 'story', ...words)).trim()
  return {
    layer: LAYER,
    create: ['--from', from],
    recipes,
    program: recipes.length === 0 ? null : `usr/bin/${recipes[0]}`,
    data: `${PLACE}/notes.db`,
    work: (value) => script(WORK, value),
    look: () => script(`${START}\nlook`),
    async wreck() {
      await script(WRECK)
      return 'the database is cut to 5,000 bytes; objects, HEAD and files of the repository are gone'
    },
    async check() {
      const said = await script(CHECK)
      assert.match(said, /fsck clean/)
      return said
    },
  }
}
