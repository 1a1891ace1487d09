// The small acts that behaviours are written in: read a file whole, write one, list names,
// expect a refusal.

import assert from 'node:assert/strict'
import type { ErrnoName } from '../../lib/base/errno.ts'
import { O } from '../../lib/host/sys.ts'
import { more } from './libc.ts'
import { errnoOfCall, type OpenFile, type Place } from './place.ts'

/** The bytes of a file as latin1 text. */
export function text(place: Place, path: string): string {
  return using(place.open(path), (file) => whole(file))
}

/** The bytes of an open file, from its start, wherever its offset is. */
export function whole(file: OpenFile): string {
  let all = ''
  for (;;) {
    const part = file.pread(1 << 17, all.length)
    if (part.length === 0) return all
    all += part.latin1Slice()
  }
}

/** Makes or overwrites a file, as `>` of a shell does. */
export function put(place: Place, path: string, content: string, mode = 0o644): void {
  using(place.open(path, O.WRONLY | O.CREAT | O.TRUNC, mode), (file) => {
    assert.equal(file.write(content), content.length)
  })
}

/** Adds to a file, as `>>` of a shell does. */
export function append(place: Place, path: string, content: string): void {
  using(place.open(path, O.WRONLY | O.APPEND), (file) => {
    assert.equal(file.write(content), content.length)
  })
}

export function using<T>(file: OpenFile, work: (file: OpenFile) => T): T {
  try {
    return work(file)
  } finally {
    file.close()
  }
}

export const names = (place: Place, path: string): string[] =>
  place.list(path).map((entry) => entry.name)

export const has = (place: Place, path: string): boolean =>
  errnoOfCall(() => place.lstat(path)) === null

/** Asserts that the call is refused with this errno. */
export function refuses(code: ErrnoName | readonly ErrnoName[], work: () => unknown): void {
  const got = errnoOfCall(work)
  if (Array.isArray(code)) assert.ok(code.includes(got), `${got} is none of ${code.join(', ')}`)
  else assert.equal(got, code)
}

/** Asserts that a moment is the present one, give or take what a busy machine loses. */
export function isNow(moment: bigint): void {
  const seconds = Math.abs(Number(moment / 1_000_000n) - Date.now()) / 1000
  assert.ok(seconds < 120, `${seconds} s from now`)
}

/** Waits until the kernel stamps whatever changes with a later time than anything that has changed. */
export function tick(): void {
  // A stamp is the time of the last tick, or later: up to the exact time, where somebody asked.
  const now = more.clock('exact')
  while (more.clock('tick') <= now) Atomics.wait(cell, 0, 0, 1)
}

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Removes a tree, as `rm -r` does. */
export function removeTree(place: Place, path: string): void {
  for (const { name, kind } of place.list(path)) {
    const inside = `${path}/${name}`
    if ((kind === 'unknown' ? place.lstat(inside).kind : kind) === 'directory')
      removeTree(place, inside)
    else place.unlink(inside)
  }
  place.rmdir(path)
}
