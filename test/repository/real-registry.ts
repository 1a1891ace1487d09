// Debian's docker-registry on a port of this machine, for one test; it keeps what it gets in a directory.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { placeOf } from '../snapshot/fixture.ts'

/** Of `svsfs` with the password `secret`. */
const HTPASSWD = 'svsfs:$2y$05$M3nCtHny0zS0wYON1p7gCeNx6TyYpxZedZGq4UpIfps8hMkZ.Og7i\n'

export interface RealRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string
  readonly port: number
  /** Where its blobs are. */
  readonly dir: string
}

/** Starts one, which ends with the test. */
export async function realRegistry(t: Test, { auth = false } = {}): Promise<RealRegistry> {
  const place = placeOf(t)
  const dir = join(place, 'registry')
  mkdirSync(dir)
  const port = await freePort()
  writeFileSync(join(place, 'htpasswd'), HTPASSWD)
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: dir }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: 'of a test' },
    ...(auth ? { auth: { htpasswd: { realm: 'test', path: join(place, 'htpasswd') } } } : {}),
  }
  // YAML takes JSON.
  writeFileSync(join(place, 'config.yml'), JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', join(place, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: 'none' },
  })
  const ended = new Promise((resolve) => void child.once('close', resolve))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const host = `127.0.0.1:${port}`
  while (!(await answers(port))) await sleep(20)
  return { host, port, dir }
}

/** For tests that need programs: why they are left out where one is missing. */
export function needing(...programs: string[]): { skip: string | false } {
  const missing = programs.find(
    (each) => spawnSync('sh', ['-c', `command -v ${each}`]).status !== 0,
  )
  return { skip: missing === undefined ? false : `${missing} is not installed` }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/v2/' }, (answer) => {
      answer.resume()
      resolve(true)
    })
    asked.on('error', () => resolve(false))
    asked.end()
  })
}
