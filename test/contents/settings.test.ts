// Files of settings, read as what they say, and held against each other.

import t from 'tap'
import { settingChanges } from '../../lib/contents/setting-changes.ts'
import { readSettings } from '../../lib/contents/settings.ts'

const read = (name: string, text: string | Uint8Array) =>
  readSettings(name, Buffer.from(text as string))

/** What differs, each as `key: before → after`; absent sides are left out. */
async function told(name: string, before: string, after: string): Promise<string[]> {
  const [was, is] = [await read(name, before), await read(name, after)]
  if (was === null || is === null) return ['no settings']
  const found = settingChanges(was, is)
  return [
    found.format,
    ...found.changes.map((each) =>
      [`${each.key}:`, ...('before' in each ? [each.before] : []), '→', each.after ?? ''].join(' '),
    ),
  ]
}

/** Name, two versions, what is told. */
const CASES: readonly [string, string, string, readonly string[]][] = [
  [
    '/p/prefs.js',
    '// Mozilla\nuser_pref("browser.startup.homepage", "a");\nuser_pref("n", 3);\n',
    '/* other\n */\nuser_pref("browser.startup.homepage", "b\\"\\x41");\nuser_pref("m", true);',
    ['prefs', 'browser.startup.homepage: a → b"A', 'n: 3 →', 'm: → true'],
  ],
  [
    '/settings.json',
    '{"editor.size":12,"a":{"b":[1,2,3],"c":null},"id":9007199254740992}',
    '{\n  // larger\n  "id": 9007199254740993, "editor.size":14, "a":{"b":[1,9,2,3]},\n}',
    [
      'json',
      'editor.size: 12 → 14',
      'a.b[1]: → 9',
      'a.c:  →',
      'id: 9007199254740992 → 9007199254740993',
    ],
  ],
  ['/list.json', '["a","b"]', '["b"]', ['json', '[0]: a →']],
  ['/same.json', '{"a":1,"b":2}', '{ "b": 2, "a": 1 }', ['json']],
  [
    '/app.desktop',
    '[Desktop Entry]\nName=X\nName[de]=Y\nCategories=A;B;\n',
    '# new\n[Desktop Entry]\r\nName=X\r\nCategories=A;C;\r\n\r\n[Desktop Action n]\r\nExec=a=b\r\n',
    [
      'ini',
      'Desktop Entry.Name[de]: Y →',
      'Desktop Entry.Categories: A;B; → A;C;',
      'Desktop Action n.Exec: → a=b',
    ],
  ],
  ['/app.conf', 'a=1\nb=2\n', 'a=1\nb=3\n', ['ini', 'b: 2 → 3']],
  ['/kwinrc', '[A][B]\nx=1\n', '[A][B]\nx=2\n', ['ini', 'A][B.x: 1 → 2']],
  [
    '/x.service',
    '[Service]\nExec=a\nExec=b\n',
    '[Service]\nExec=a\nExec=c\nExec=b\n',
    ['ini', 'Service.Exec[1]: → c'],
  ],
  [
    '/Cargo.toml',
    'a = 1\n[b]\nc = 9223372036854775807\n',
    'a = 1.5\n[b]\nc = 9223372036854775806\n',
    ['toml', 'a: 1 → 1.5', 'b.c: 9223372036854775807 → 9223372036854775806'],
  ],
  [
    '/Info.plist',
    '<?xml version="1.0"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0"><dict><key>A</key><array><string>x</string></array><key>B</key><true/></dict></plist>',
    '<plist version="1.0"><dict><key>A</key><array><string>y</string></array><key>B</key><false/></dict></plist>',
    ['plist', 'A[0]: x → y', 'B: true → false'],
  ],
  [
    '/user.reg',
    'WINE REGISTRY Version 2\n;; \n#arch=win64\n\n[Software\\\\Wine] 123\n#time=1d\n@="d"\n"p\\\\q"="C:\\\\x"\n"h"=hex:00,\\\n  01\n',
    'WINE REGISTRY Version 2\n\n[Software\\\\Wine] 124\n@="d"\n"p\\\\q"="C:\\\\y"\n"h"=hex:00,02\n',
    ['registry', 'Software\\Wine\\p\\q: C:\\x → C:\\y', 'Software\\Wine\\h: hex:00,01 → hex:00,02'],
  ],
]

t.test('what differs is told key by key, whatever the settings are written in', async (t) => {
  for (const [name, before, after, wanted] of CASES)
    t.same(
      (await told(name, before, after)).map((line) => line.trim()),
      wanted,
      name,
    )
  const wide = (text: string) =>
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')])
  const head = 'Windows Registry Editor Version 5.00\r\n\r\n[HKEY_CURRENT_USER\\S]\r\n'
  t.match(await read('a', wide(`${head}"a"=dword:00000001\r\n`)), { format: 'registry' })
})

t.test(
  'a file that comes or goes is each of its keys; above a bound they are counted',
  async (t) => {
    const one = await read('/a.json', '{"a":{"b":1,"c":{}},"d":[2]}')
    const keys = settingChanges(null, one).changes
    t.same(
      keys.map(({ key, path, before, after }) => [key, path, before, after]),
      [
        ['a.b', ['a', 'b'], undefined, 1],
        ['a.c', ['a', 'c'], undefined, '{}'],
        ['d[0]', ['d', 0], undefined, 2],
      ],
    )
    t.match(settingChanges(one, null).changes[0], { key: 'a.b', before: 1, after: undefined })
    const many = await read('/m.json', JSON.stringify(Array.from({ length: 1500 }, (_, at) => at)))
    t.match(settingChanges(null, many), { more: 500, changes: { length: 1000 } })
  },
)

t.test('what is not what it seems to be is no settings, and nothing throws', async (t) => {
  const none: readonly [string, string | Uint8Array][] = [
    ['/a.json', '{"a":'],
    ['/a.json', 'null'],
    ['/a.json', '{"a":1} x'],
    ['/a.json', '['.repeat(200_000)],
    ['/a.json', `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`],
    ['/a.json', Buffer.from([0x7b, 0xff, 0x7d])],
    ['/a.json', Buffer.from('{"a":1}\0')],
    ['/a.toml', 'a = \n'],
    ['/a.toml', `a = ${'['.repeat(50_000)}`],
    ['/prefs.js', 'user_pref("a", 1);\nalert(1);\n'],
    ['/app.js', 'const a = 1\n'],
    ['/a.ini', '[a]\nb=1\nfree text\n'],
    ['/a.conf', 'server {\n  listen 80;\n}\n'],
    ['/script', '#!/bin/sh\nexit 1\n'],
    ['/a.plist', '<html><body/></html>'],
    ['/a.plist', '<plist><dict><key>A</key></plist>'],
    ['/a.plist', Buffer.from('bplist00\xff\xff\xff\xff', 'latin1')],
    ['/a.reg', 'REGEDIT4\n\n"a"="before any key"\n'],
    ['/a', ''],
  ]
  for (const [name, bytes] of none)
    t.equal(await read(name, bytes), null, `${name} ${String(bytes).slice(0, 30)}`)
  const odd = await read('/a.json', '{"__proto__":{"x":1},"constructor":2}')
  t.same(
    settingChanges(null, odd).changes.map(({ key }) => key),
    ['__proto__.x', 'constructor'],
  )
  t.same(Object.keys(Object.prototype), [])
  const laughs = `<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa">${Array.from(
    { length: 20 },
    (_, at) =>
      `<!ENTITY ${String.fromCharCode(98 + at)} "${`&${String.fromCharCode(97 + at)};`.repeat(10)}">`,
  ).join('')}]><plist><dict><key>k</key><string>&u;</string></dict></plist>`
  const read20 = await read('/a.plist', laughs)
  t.ok(JSON.stringify([...(read20?.values ?? [])]).length < 1000, 'no entity grows')
})
