// Data for the measurements of states: two browser profiles, as a session leaves them, and two
// builds of one program, made by script, the same on every machine.
//
//   profile/1  profile/2    databases of pages, rewritten session files, caches that come and go
//   build/1    build/2      one C program; in the second some functions are new or changed
//
// Rule: all from one seed, so that two runs measure the same bytes.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Numbers from a seed. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

type Random = (below: number) => number

const WORDS =
  'the session tab window history entry title moz extension storage https www example org index page query value url visit last count frecency hidden typed'.split(
    ' ',
  )

function noise(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length + 4)
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random(0xffff_ffff), at)
  return bytes.subarray(0, length)
}

function words(random: Random, length: number): string {
  let text = ''
  while (text.length < length)
    text += `${WORDS[random(WORDS.length)]}${random(9) === 0 ? random(100_000) : ''} `
  return text.slice(0, length)
}

function put(root: string, path: string, bytes: Buffer | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), bytes)
}

const PAGE = 4096

/** A database: pages of records, part of each empty. */
function database(random: Random, pages: number): Buffer {
  const bytes = Buffer.alloc(pages * PAGE)
  for (let page = 0; page < pages; page++) {
    const used = 1500 + random(2500)
    bytes.write(words(random, used - 200), page * PAGE + PAGE - used, 'latin1')
    noise(random, 200).copy(bytes, page * PAGE + 8)
  }
  return bytes
}

/** The same after use: some pages written, some added, the rest moved as a vacuum moves them. */
function usedDatabase(random: Random, before: Buffer, written: number, moves: number): Buffer {
  const pages: Buffer[] = []
  for (let at = 0; at < before.length; at += PAGE)
    pages.push(Buffer.from(before.subarray(at, at + PAGE)))
  for (let turn = 0; turn < written; turn++)
    pages[random(pages.length)]!.write(words(random, 300), 500 + random(3000), 'latin1')
  for (let turn = 0; turn < moves; turn++) {
    const [moved] = pages.splice(random(pages.length), 1)
    pages.splice(random(pages.length), 0, moved!)
  }
  for (let turn = 0; turn < written / 4; turn++) pages.push(database(random, 1))
  return Buffer.concat(pages)
}

const sessionOf = (random: Random, tabs: number): string[] =>
  Array.from({ length: tabs }, (_, tab) =>
    JSON.stringify({
      tab,
      id: random(1e9),
      url: `https://${words(random, 60)}`,
      state: words(random, 900),
    }),
  )

/** A profile before and after a session. Returns both directories. */
export function makeProfiles(dir: string, used: boolean): [string, string] {
  const random = numbersFrom(4711)
  const [before, after] = [join(dir, 'profile-1'), join(dir, 'profile-2')]
  const session = sessionOf(random, 500)
  const bases = {
    'places.sqlite': 1500,
    'favicons.sqlite': 1300,
    'cookies.sqlite': 130,
    'webappsstore.sqlite': 700,
  }
  for (const [name, pages] of Object.entries(bases)) put(before, name, database(random, pages))
  for (let site = 0; site < 40; site++)
    put(
      before,
      `storage/default/site-${site}/idb/${random(1e9)}.sqlite`,
      database(random, 12 + random(30)),
    )
  put(before, 'sessionstore-backups/recovery.js', `{"windows":[${session.join(',\n')}]}`)
  put(
    before,
    'startupCache/scriptCache.bin',
    Buffer.concat(
      Array.from({ length: 500 }, () =>
        Buffer.concat([Buffer.from(words(random, 8000)), noise(random, 4000)]),
      ),
    ),
  )
  for (let file = 0; file < 700; file++)
    put(
      before,
      `cache2/entries/${noise(random, 20).toString('hex').toUpperCase()}`,
      noise(random, 500 + random(50_000)),
    )
  for (let file = 0; file < 6; file++)
    put(before, `extensions/add-on-${file}.xpi`, noise(random, 1_500_000))
  for (let file = 0; file < 150; file++)
    put(before, `datareporting/archived/${file}.json`, words(random, 300 + random(9000)))
  put(
    before,
    'prefs.js',
    Array.from(
      { length: 600 },
      (_, at) => `user_pref("app.${words(random, 20)}.${at}", ${random(1e6)});`,
    ).join('\n'),
  )
  cpSync(before, after, { recursive: true, preserveTimestamps: true })
  use(random, before, after, session, used)
  return [before, after]
}

function use(
  random: Random,
  before: string,
  after: string,
  session: string[],
  used: boolean,
): void {
  const change = (path: string, edit: (bytes: Buffer) => Buffer | string) =>
    put(after, path, edit(readFileSync(join(before, path))))
  change('places.sqlite', (bytes) => usedDatabase(random, bytes, used ? 120 : 3, used ? 300 : 0))
  change('cookies.sqlite', (bytes) => usedDatabase(random, bytes, used ? 20 : 2, 0))
  change('favicons.sqlite', (bytes) => usedDatabase(random, bytes, used ? 60 : 1, used ? 1000 : 0))
  change('prefs.js', (bytes) => bytes.toString().replace(/app\.(\w+)/, 'app.$1.changed'))
  // The former session is kept under another name, and written anew with its tabs in another order.
  put(
    after,
    'sessionstore-backups/previous.js',
    readFileSync(join(before, 'sessionstore-backups/recovery.js')),
  )
  const later = [...session.slice(40), ...sessionOf(random, used ? 30 : 1), ...session.slice(0, 40)]
  put(after, 'sessionstore-backups/recovery.js', `{"windows":[${later.join(',\n')}]}`)
  change('startupCache/scriptCache.bin', (bytes) => {
    const cut = Math.floor(bytes.length / 3)
    return Buffer.concat([
      bytes.subarray(cut),
      noise(random, used ? 60_000 : 500),
      bytes.subarray(0, cut),
    ])
  })
  const entries = execFileSync('ls', [join(before, 'cache2/entries')])
    .toString()
    .trim()
    .split('\n')
  for (const [at, name] of entries.entries()) {
    const from = join(after, 'cache2/entries', name)
    // The cache is cleaned into another directory; a few entries are new.
    if (at % 7 === 0 && used) rmSync(from)
    else if (at % 5 === 0) {
      mkdirSync(join(after, 'cache2/doomed'), { recursive: true })
      renameSync(from, join(after, 'cache2/doomed', `${at}`))
      // With a head of its own, so that it is no mere copy.
      const bytes = readFileSync(join(after, 'cache2/doomed', `${at}`))
      put(after, `cache2/doomed/${at}`, Buffer.concat([Buffer.from(`doomed ${at}\n`), bytes]))
    }
  }
  for (let file = 0; file < (used ? 60 : 2); file++)
    put(
      after,
      `cache2/entries/${noise(random, 20).toString('hex').toUpperCase()}`,
      noise(random, 500 + random(50_000)),
    )
  for (let file = 150; file < (used ? 200 : 152); file++)
    put(after, `datareporting/archived/${file}.json`, words(random, 300 + random(9000)))
}

/** C functions of one file, which call those of all files; some are other or new in an `edited` one. */
function sourceOf(file: number, files: number, edited: boolean): string {
  const random = numbersFrom(99 + file)
  const all = files * FUNCTIONS
  const lines = [
    '#include <stdio.h>',
    '#include <string.h>',
    'extern volatile long sink; extern char buffer[4096]; extern long state[];',
    ...Array.from({ length: all }, (_, at) => `long f${at}(long a, const char *s);`),
  ]
  for (let at = file * FUNCTIONS; at < (file + 1) * FUNCTIONS; at++) {
    const body = Array.from({ length: 6 + random(10) }, () => statementOf(random, all))
    if (edited && at % 97 === 5) body[2] = `  a ^= ${at * 31}; if (a > ${at}) sink += strlen(s);`
    lines.push(`long f${at}(long a, const char *s) {`, ...body, `  return a + state[${at}];`, '}')
    if (edited && at % 211 === 7)
      lines.push(
        `long g${at}(long a) { return f${at}(a, "new ${at}") * ${at + 3} + state[${at}]; }`,
      )
  }
  return lines.join('\n')
}

const mainOf = (functions: number): string =>
  `#include <stdio.h>
volatile long sink; char buffer[4096]; long state[${functions}] = {1, 2, 3};
long f0(long, const char *);
int main(int c, char **v) { printf("%ld\\n", f0(c, v[0])); return 0; }`

function statementOf(random: Random, functions: number): string {
  const other = random(functions)
  switch (random(6)) {
    case 0:
      return `  if (a & ${1 << random(20)}) a += f${other}(a >> ${1 + random(9)}, "${WORDS[random(WORDS.length)]} ${random(1e5)}");`
    case 1:
      return `  for (long i = a & ${random(64)}; i > 0; i--) state[${other}] += i * ${random(1000)};`
    case 2:
      return `  a = a * ${1 + random(1e6)} + state[${other}];`
    case 3:
      return `  snprintf(buffer, sizeof buffer, "%s %ld ${WORDS[random(WORDS.length)]}", s, a); sink += buffer[a & 255];`
    case 4:
      return `  switch (a % ${3 + random(5)}) { case 0: a ^= ${random(1e6)}; break; case 1: sink = a; break; case 2: a -= state[${other}]; break; }`
    default:
      return `  state[${other}] ^= a + ${random(1e5)}; if (s && s[0] == '${String.fromCharCode(97 + random(26))}') a++;`
  }
}

/** Functions of one C file: compilers take longer for long ones. */
const FUNCTIONS = 200

/** Two builds of a program, stripped. Returns both directories; null without a compiler. */
export function makeBuilds(dir: string, files = 16): [string, string] | null {
  const builds = [join(dir, 'build-1'), join(dir, 'build-2')] as [string, string]
  try {
    for (const [at, build] of builds.entries()) compile(build, files, at === 1)
    return builds
  } catch {
    return null
  }
}

function compile(build: string, files: number, edited: boolean): void {
  put(build, 'main.c', mainOf(files * FUNCTIONS))
  const sources = Array.from({ length: files }, (_, file) => `part-${file}.c`)
  for (const [file, name] of sources.entries()) put(build, name, sourceOf(file, files, edited))
  const flags = ['-O1', '-s', '-w', '-o', 'program', 'main.c', ...sources]
  execFileSync('cc', flags, { cwd: build, stdio: 'ignore' })
  for (const name of ['main.c', ...sources]) rmSync(join(build, name))
}
