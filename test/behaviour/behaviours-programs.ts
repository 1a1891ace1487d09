// What real programs ask of a filesystem: shared mappings, locks, databases, scripts.

import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { O } from '../../lib/host/sys.ts'
import { has, put, refuses, text, using, whole } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { NotHere, type Place } from './place.ts'
import { BIG, pattern } from './start.ts'

export const PROGRAMS: Behaviours = {
  'a shared mapping changes the file'(place) {
    place.needs('kernel')
    using(place.open('big', O.RDWR), (file) => {
      const mapped = file.map(BIG)
      assert.equal(mapped.latin1Slice(1000, 1016), pattern(BIG).slice(1000, 1016))
      mapped.write('through the mapping', 1000)
    })
    assert.equal(text(place, 'big').slice(1000, 1019), 'through the mapping')
  },

  'a shared mapping sees what is written'(place) {
    place.needs('kernel')
    using(place.open('big', O.RDWR), (file) => {
      const mapped = file.map(4096)
      file.pwrite('written', 10)
      assert.equal(mapped.latin1Slice(10, 17), 'written')
      using(place.open('big', O.RDWR), (other) => other.pwrite('by another', 100))
      assert.equal(mapped.latin1Slice(100, 110), 'by another')
    })
  },

  'a mapping of a removed file stays whole'(place) {
    place.needs('kernel')
    using(place.open('big', O.RDWR), (file) => {
      const mapped = file.map(BIG)
      place.unlink('big')
      mapped.write('still here', 50_000)
      assert.equal(file.pread(10, 50_000).latin1Slice(), 'still here')
      assert.equal(mapped.latin1Slice(BIG - 16, BIG), pattern(BIG).slice(-16))
    })
  },

  'a script that lies there runs'(place) {
    place.needs('kernel')
    const said = execFileSync(place.path('run.sh'), ['a', 'b'], { encoding: 'utf8' })
    assert.equal(said, 'ran a b\n')
  },

  'a script that is written runs at once'(place) {
    place.needs('kernel')
    put(place, 'new.sh', '#!/bin/sh\necho new\n', 0o755)
    assert.equal(execFileSync(place.path('new.sh'), { encoding: 'utf8' }), 'new\n')
  },

  'cp, mv, tar and find keep a tree whole'(place) {
    place.needs('kernel')
    shell(place, 'cp -a dir copy && mv copy moved && tar cf t.tar moved && rm -r moved')
    assert.equal(has(place, 'moved'), false)
    shell(place, 'tar xf t.tar && find moved -type f | sort > listed')
    assert.equal(
      text(place, 'listed'),
      'moved/a\nmoved/b\nmoved/c\nmoved/deep/er/y\nmoved/deep/x\n',
    )
    assert.equal(place.stat('moved/deep').mode, 0o750)
  },

  'sed -i edits a file in place'(place) {
    place.needs('kernel')
    shell(place, 'sed -i s/read/wrote/ readme')
    assert.equal(text(place, 'readme'), 'wrote me\n')
  },

  'flock and record locks exclude other processes'(place) {
    place.needs('kernel')
    tool('flock')
    const status = (command: string) =>
      spawnSync('sh', ['-c', command], { cwd: place.path() }).status
    assert.equal(status('flock -n readme true'), 0)
    assert.equal(status('flock readme flock -n readme true'), 1)
    assert.equal(status('flock readme flock -n dir/a true'), 0)
  },

  'SQLite works on a database that it makes'(place) {
    place.needs('kernel')
    tool('sqlite3')
    for (const mode of ['delete', 'wal']) {
      sql(place, `new-${mode}.db`, `pragma journal_mode=${mode}; create table t(n, s);`)
      sql(place, `new-${mode}.db`, inserts(0, 200))
      assert.equal(sql(place, `new-${mode}.db`, 'select count(*), sum(n) from t;'), '200|19900')
      assert.equal(sql(place, `new-${mode}.db`, 'pragma integrity_check;'), 'ok')
      sql(place, `new-${mode}.db`, 'delete from t where n % 2; vacuum;')
      assert.equal(sql(place, `new-${mode}.db`, 'select count(*) from t;'), '100')
    }
  },

  'SQLite works on a database that was there before'(place) {
    place.needs('kernel')
    tool('sqlite3')
    assert.equal(sql(place, 'base.db', 'select count(*), sum(n) from t;'), '300|44850')
    sql(place, 'base.db', inserts(300, 500))
    sql(place, 'base.db', 'pragma journal_mode=wal; update t set s = s || char(33) where n < 100;')
    assert.equal(sql(place, 'base.db', 'select count(*), sum(n) from t;'), '500|124750')
    assert.equal(sql(place, 'base.db', 'select s from t where n = 42;'), 'row 42!')
    assert.equal(sql(place, 'base.db', 'pragma integrity_check;'), 'ok')
    assert.equal(has(place, 'base.db-wal'), false)
  },

  'a reader keeps its bytes while a program replaces the file'(place) {
    const reader = place.open('readme')
    put(place, 'new', 'replaced')
    place.rename('new', 'readme')
    assert.equal(whole(reader), 'read me\n')
    assert.equal(text(place, 'readme'), 'replaced')
    reader.close()
  },

  async 'a program that runs cannot be written'(place) {
    place.needs('kernel')
    shell(place, 'cp /bin/sleep sleeper')
    const running = spawn(place.path('sleeper'), ['30'], { stdio: 'ignore' })
    try {
      refuses('ETXTBSY', () => place.open('sleeper', O.RDWR))
      place.unlink('sleeper')
    } finally {
      running.kill('SIGKILL')
      await once(running, 'exit')
    }
  },
}

function shell(place: Place, command: string): string {
  return execFileSync('sh', ['-ec', command], { cwd: place.path(), encoding: 'utf8' })
}

function tool(name: string): void {
  if (spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0)
    throw new NotHere(`needs ${name}, which is not installed`)
}

const sql = (place: Place, file: string, text: string): string =>
  execFileSync('sqlite3', [place.path(file)], { input: text, encoding: 'utf8' })
    .trim()
    .split('\n')
    .at(-1)!

function inserts(from: number, to: number): string {
  let text = 'begin;'
  for (let n = from; n < to; n++) text += `insert into t values(${n}, 'row ${n}');`
  return `${text}commit;`
}
