// The log: one line an event, `time level text`, written with write(2) at once, because a
// thread that never yields (the fuse loop) would never see console.log printed.
//
// Rule: nothing on the path of a request logs, unless the request failed unexpectedly.

import { writeSync } from 'node:fs'

export type Level = 'error' | 'warn' | 'info'

export interface Log {
  error(text: string, cause?: unknown): void
  warn(text: string, cause?: unknown): void
  info(text: string): void
}

/** A log on an open descriptor: a file in append mode, or stderr (2). */
export function logTo(fd: number, part: string): Log {
  const line = (level: Level, text: string, cause?: unknown) => {
    const because = cause === undefined ? '' : `: ${describe(cause)}`
    try {
      writeSync(fd, `${new Date().toISOString()} ${level} ${part}: ${text}${because}\n`)
    } catch {
      // A full disk or a closed terminal must not stop the filesystem; there is nowhere to say so.
    }
  }
  return {
    error: (text, cause) => line('error', text, cause),
    warn: (text, cause) => line('warn', text, cause),
    info: (text) => line('info', text),
  }
}

/** A log that keeps nothing. */
export const silent: Log = { error() {}, warn() {}, info() {} }

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const within = cause.cause === undefined ? '' : ` (${describe(cause.cause)})`
  return `${cause.stack ?? cause.message}${within}`
}
