// Tar archives as containers have them: ustar headers, with an extended one (pax) before a member that
// needs it.
//
// Rule: names are bytes; what a ustar header cannot say is said in the extended one, and nothing twice
// in two ways. The same members make the same bytes.

const BLOCK = 512
/** Largest numbers of a ustar header: 7 and 11 octal digits. */
const MOST_ID = 0o7777777
const MOST_SIZE = 0o77777777777

export interface TarMember {
  /** Bytes as latin1 text, relative. */
  readonly path: string
  readonly kind: 'file' | 'dir' | 'symlink' | 'fifo' | 'char' | 'block' | 'link'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  readonly mtimeNsec: number
  readonly size: number
  /** Of links, both kinds. */
  readonly target: string
  readonly major: number
  readonly minor: number
  readonly xattrs: ReadonlyMap<string, Buffer>
}

const TYPES = { file: '0', link: '1', symlink: '2', char: '3', block: '4', dir: '5', fifo: '6' }

/** What stands before a member's data. */
export function tarHeader(member: TarMember): Buffer {
  const records = recordsOf(member)
  if (records.length === 0) return header(member, TYPES[member.kind])
  const text = Buffer.concat(records)
  const extended = header({ ...member, ...EXTENDED, size: text.length }, 'x')
  return Buffer.concat([extended, text, padding(text.length), header(member, TYPES[member.kind])])
}

const EXTENDED = {
  path: 'PaxHeaders/of',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  target: '',
} as const

/** What stands after so many bytes of data. */
export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

/** What stands at the end. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * BLOCK)

function recordsOf(member: TarMember): Buffer[] {
  const { target, uid, gid, size, mtime, mtimeNsec, xattrs } = member
  const said: [string, Buffer][] = []
  const say = (key: string, text: string) => said.push([key, Buffer.from(text, 'latin1')])
  const path = nameOf(member)
  if (path.length > 100) say('path', path)
  if (target.length > 100) say('linkpath', target)
  if (uid > MOST_ID) say('uid', String(uid))
  if (gid > MOST_ID) say('gid', String(gid))
  if (size > MOST_SIZE) say('size', String(size))
  if (mtimeNsec !== 0 || mtime < 0 || mtime > MOST_SIZE) say('mtime', timeText(mtime, mtimeNsec))
  for (const name of [...xattrs.keys()].sort())
    said.push([`SCHILY.xattr.${name}`, xattrs.get(name)!])
  return said.map(([key, value]) => record(key, value))
}

// Before 1970 the nanoseconds count the other way: -13 s and 750,000,000 ns are -12.25.
function timeText(seconds: number, nanoseconds: number): string {
  const [whole, part] =
    seconds < 0 && nanoseconds !== 0 ? [seconds + 1, 1e9 - nanoseconds] : [seconds, nanoseconds]
  const sign = seconds < 0 ? '-' : ''
  const digits = String(part).padStart(9, '0').replace(/0+$/, '')
  return `${sign}${Math.abs(whole)}${digits === '' ? '' : `.${digits}`}`
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself too.
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length += 1
  return Buffer.concat([Buffer.from(String(length)), rest])
}

const nameOf = ({ path, kind }: TarMember): string => (kind === 'dir' ? `${path}/` : path)

function header(member: TarMember, type: string): Buffer {
  const { mode, uid, gid, size, mtime, target, major, minor } = member
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  block.write(nameOf(member).slice(0, 100), 0, 'latin1')
  octal(mode, 100, 8)
  octal(Math.min(uid, MOST_ID), 108, 8)
  octal(Math.min(gid, MOST_ID), 116, 8)
  octal(Math.min(size, MOST_SIZE), 124, 12)
  octal(Math.min(Math.max(mtime, 0), MOST_SIZE), 136, 12)
  block.write(type, 156, 'latin1')
  block.write(target.slice(0, 100), 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(major, 329, 8)
  octal(minor, 337, 8)
  block.write('        ', 148, 'latin1')
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
