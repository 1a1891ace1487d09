// The page of the demo: it shows the value that it finds in localStorage, and leaves another
// one where it is told to.
//
//   /          shows what is stored
//   /?leave=X  shows what is stored, then stores X
//
// Rule: one address for the whole demo, because localStorage belongs to scheme, host and port.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { NOTHING } from '../story/story.ts'

const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>svsfs demo</title>
<style>body { font: 20px sans-serif; margin: 3em } b { color: #a40 }</style>
<h1>A page that remembers</h1>
<p>Found in localStorage: <b id="found"></b></p>
<p>Left there: <b id="left"></b></p>
<script>
  const show = (id, value) => { document.getElementById(id).textContent = value ?? '${NOTHING}' }
  const leave = new URLSearchParams(location.search).get('leave')
  show('found', localStorage.getItem('value'))
  if (leave !== null) localStorage.setItem('value', leave)
  show('left', localStorage.getItem('value'))
</script>
</html>
`

export interface Page {
  /** `http://127.0.0.1:PORT/` */
  readonly address: string
  close(): void
}

export async function servePage(): Promise<Page> {
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(PAGE)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}/`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
