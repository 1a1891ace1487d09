// SQLite databases held against each other, whole, with a log beside them, and damaged.

import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import t from 'tap'
import { databaseChanges } from '../../lib/contents/database.ts'
import { throwAway } from '../daemon/place.ts'

/** A database made by `sql`; `copy` while it is still open, with what its log holds. */
function make(path: string, sql: string, copy: string | null = null): string {
  const base = new sqlite.Database(path)
  base.exec(sql)
  if (copy !== null)
    for (const part of ['', '-wal', '-journal'])
      if (existsSync(path + part)) copyFileSync(path + part, copy + part)
  base.close()
  return path
}

const TABLES = `
  create table moz_bookmarks (id integer primary key, title text, icon blob, g as (title || 1));
  create table pairs (a, b, v, primary key (a, b)) without rowid;
  create table plain (x);
  create table "we""ird" ("a b" text primary key, rowid, oid, _rowid_);
  create view v as select 1;
  insert into moz_bookmarks values (1, 'one', null), (2, 'two', x'00'), (3, 'three', null);
  insert into pairs values ('x', 'y', 1), ('x', 'z', 2);
  insert into plain values (1), (2);
  insert into "we""ird" values ('k', 1, 2, 3);
`

const CHANGES = `
  insert into moz_bookmarks values (9, 'new', null);
  update moz_bookmarks set title = 'TWO', icon = x'0102' where id = 2;
  delete from moz_bookmarks where id = 1;
  update pairs set v = 3 where b = 'z';
  insert into plain values (3);
  update "we""ird" set oid = 7;
`

const WANTED = [
  {
    table: 'moz_bookmarks',
    added: 1,
    removed: 1,
    changed: 1,
    rows: [
      {
        kind: 'added',
        key: { id: 9 },
        cells: [
          { column: 'title', after: 'new' },
          { column: 'icon', after: null },
        ],
      },
      {
        kind: 'removed',
        key: { id: 1 },
        cells: [
          { column: 'title', before: 'one' },
          { column: 'icon', before: null },
        ],
      },
      {
        kind: 'changed',
        key: { id: 2 },
        cells: [
          { column: 'title', before: 'two', after: 'TWO' },
          { column: 'icon', before: { bytes: 1 }, after: { bytes: 2 } },
        ],
      },
    ],
  },
  {
    table: 'pairs',
    added: 0,
    removed: 0,
    changed: 1,
    rows: [
      { kind: 'changed', key: { a: 'x', b: 'z' }, cells: [{ column: 'v', before: 2, after: 3 }] },
    ],
  },
  {
    table: 'plain',
    added: 1,
    removed: 0,
    changed: 0,
    rows: [{ kind: 'added', key: { rowid: 3 }, cells: [{ column: 'x', after: 3 }] }],
  },
  {
    table: 'we"ird',
    added: 0,
    removed: 0,
    changed: 1,
    rows: [
      { kind: 'changed', key: { 'a b': 'k' }, cells: [{ column: 'oid', before: 2, after: 7 }] },
    ],
  },
]

t.test('rows are told by their keys, also those that are in the log alone', async (t) => {
  const dir = throwAway(t)
  const [base, before, after] = ['base', 'before', 'after'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  make(base, `pragma locking_mode = exclusive; pragma journal_mode = wal; ${TABLES}`)
  copyFileSync(base, before)
  const size = statSync(before).size
  const log = 'pragma locking_mode = exclusive; pragma wal_autocheckpoint = 0;'
  make(base, `${log} ${CHANGES}`, after)
  t.ok(statSync(`${after}-wal`).size > 0, 'there is a log')
  t.ok(readFileSync(after).equals(readFileSync(before)), 'and the main file has nothing of it')
  t.same(await databaseChanges({ before, after, rows: 10 }), { schema: [], tables: WANTED })
  t.equal(statSync(before).size, size)

  // The other way round it is what going back would do; alone, all of it came.
  const back = await databaseChanges({ before: after, after: before, rows: 0 })
  t.match(back.tables[0], { added: 1, removed: 1, changed: 1, rows: [] })
  const came = await databaseChanges({ before: null, after, rows: 10 })
  t.match(came, {
    schema: [],
    tables: [{ table: 'moz_bookmarks', added: 3, rows: [] }, {}, {}, {}],
  })
})

t.test(
  'a changed schema is named, and rows that can no longer be matched are counted',
  async (t) => {
    const dir = throwAway(t)
    const before = make(join(dir, 'before'), TABLES)
    const after = make(
      join(dir, 'after'),
      `${TABLES} alter table plain add column y; drop view v; create index i on plain (x);
     drop table pairs; create table pairs (a primary key, b, v); insert into pairs values (1, 2, 3);
     create table new (a); insert into new values (1)`,
    )
    const found = await databaseChanges({ before, after, rows: 10 })
    t.same(
      found.schema,
      [
        { kind: 'view', name: 'v', did: 'removed' },
        { kind: 'column', name: 'plain.y', did: 'added' },
        { kind: 'table', name: 'pairs', did: 'changed' },
        { kind: 'index', name: 'i', did: 'added' },
        { kind: 'table', name: 'new', did: 'added' },
      ].sort((a, b) => order(found.schema, a.name) - order(found.schema, b.name)),
    )
    t.same(found.tables, [
      { table: 'new', added: 1, removed: 0, changed: 0, rows: [] },
      { table: 'pairs', added: 0, removed: 1, changed: 0, rows: [], why: 'it has another key now' },
    ])
  },
)

const order = (all: readonly { name: string }[], name: string) =>
  all.findIndex((each) => each.name === name)

t.test('what is damaged, hostile or takes too long says why, and nothing throws', async (t) => {
  const dir = throwAway(t)
  const before = make(join(dir, 'before'), TABLES)
  const broken = join(dir, 'broken')
  writeFileSync(broken, readFileSync(before).subarray(0, 5000))
  t.match(await databaseChanges({ before, after: broken, rows: 10 }), { why: /malformed|disk/ })
  writeFileSync(broken, Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(9000, 7)]))
  t.match(await databaseChanges({ before, after: broken, rows: 10 }), { why: /not a database/ })
  t.match(await databaseChanges({ before, after: join(dir, 'none', 'x'), rows: 1 }), { why: /./ })
  // Its own function in a column, an index over an order that nobody knows, a view without an end.
  const odd = make(
    join(dir, 'odd'),
    `create table t (id integer primary key, v);
     insert into t values (1, 'a');
     create view endless as with recursive r(n) as (select 1 union all select n + 1 from r) select * from r;
     pragma writable_schema = on;
     update sqlite_schema set sql = 'create table t (id integer primary key, v text collate elsewhere)' where name = 't'`,
  )
  const found = await databaseChanges({ before: odd, after: odd, rows: 1 })
  t.ok(found.why === undefined || found.why.length > 0)
  const patience = await databaseChanges({ before, after: before, rows: 1 }, 0)
  t.match(patience, { why: 'it takes too long' })
})
