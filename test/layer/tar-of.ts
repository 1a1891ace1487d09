// Tar archives built member by member, so that a test can write what no tar would.

import { writeFileSync } from 'node:fs'

export interface Part {
  readonly name: string
  /** '0' file, '1' hard link, '2' link, '3' character device, '5' directory; '0' by default. */
  readonly kind?: string
  readonly link?: string
  readonly data?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly device?: readonly [major: number, minor: number]
  /** Records of an extended header before this member. */
  readonly pax?: Readonly<Record<string, string>>
  /** Written into the header in place of the true size. */
  readonly size?: number
}

export function tarOf(parts: readonly Part[]): Buffer {
  return Buffer.concat([...parts.flatMap(memberOf), Buffer.alloc(1024)])
}

export function writeTar(path: string, parts: readonly Part[]): string {
  writeFileSync(path, tarOf(parts))
  return path
}

function memberOf(part: Part): Buffer[] {
  const before = part.pax === undefined ? [] : extended(part.pax)
  return [...before, header(part), padded(Buffer.from(part.data ?? '', 'latin1'))]
}

function extended(pax: Readonly<Record<string, string>>): Buffer[] {
  const text = Object.entries(pax)
    .map(([key, value]) => record(key, value))
    .join('')
  return memberOf({ name: 'pax', kind: 'x', data: text })
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  const length = rest.length + String(rest.length + 2).length
  return `${length}${rest}`
}

function header(part: Part): Buffer {
  const block = Buffer.alloc(512)
  const octal = (value: number, at: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  block.write(part.name, 0, 100, 'latin1')
  octal(part.mode ?? 0o644, 100, 8)
  octal(part.uid ?? process.getuid?.() ?? 0, 108, 8)
  octal(part.gid ?? process.getgid?.() ?? 0, 116, 8)
  octal(part.size ?? (part.data ?? '').length, 124, 12)
  octal(1_700_000_000, 136, 12)
  block.write(part.kind ?? '0', 156, 'latin1')
  block.write(part.link ?? '', 157, 100, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(part.device?.[0] ?? 0, 329, 8)
  octal(part.device?.[1] ?? 0, 337, 8)
  block.write('        ', 148, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

const padded = (data: Buffer): Buffer =>
  Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)])
