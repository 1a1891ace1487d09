// Firefox as the story's application: started by `svsfs run`, driven over WebDriver BiDi.
//
//   svsfs run firefox -- firefox-esr --headless --profile … --remote-debugging-port 0
//        stderr: WebDriver BiDi listening on ws://127.0.0.1:PORT  ─▶  puppeteer connects
//
// Rule: Firefox is always closed through BiDi and waited for: only its orderly end puts
// localStorage on disk, which it otherwise does about five seconds after a change.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import puppeteer, { type Browser, type Page as Tab } from 'puppeteer-core'
import type { Application } from '../story/story.ts'
import type { Svsfs } from '../story/svsfs.ts'
import type { Page } from './page.ts'

const LAYER = 'firefox'
const PROFILE = '"$HOME/profile"'

/** Longest wait for a start or an end, on a slow machine with a cold disk. */
const PATIENCE_MS = 60_000

/** Settings of a fresh profile: no start page, no questions, no calls to the outside. */
const PREFERENCES: Readonly<Record<string, string | number | boolean>> = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.newtabpage.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage': 'about:blank',
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.systemAddon.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,off',
  'toolkit.telemetry.enabled': false,
}

const START = `
mkdir -p ${PROFILE}
[ -e ${PROFILE}/user.js ] || printf '%s' "$1" > ${PROFILE}/user.js
exec firefox-esr --headless --no-remote --profile ${PROFILE} --remote-debugging-port 0
`

const WRECK = `set -e; cd ${PROFILE}; truncate -s 0 places.sqlite; rm prefs.js`

/** A database starts with its format's name; the history has the page's address in it. */
const CHECK = `set -e
cd ${PROFILE}
test -s prefs.js
[ "$(head -c 15 places.sqlite)" = 'SQLite format 3' ]
grep -q -a -F "$1" places.sqlite places.sqlite-wal 2>/dev/null
printf 'places.sqlite: %s bytes, with the page in it; prefs.js: %s lines' \
  "$(stat -c %s places.sqlite)" "$(wc -l < prefs.js)"
`

/** `screenshot` is written at each look at the page. */
export function firefox(svsfs: Svsfs, page: Page, screenshot: string): Application {
  const visit = async (address: string): Promise<string> =>
    withFirefox(svsfs, async (tab) => {
      await tab.goto(address)
      const found = await tab.$eval('#found', (element) => element.textContent)
      await tab.screenshot({ path: screenshot })
      assert.ok(found, 'the page shows a value')
      return found
    })
  return {
    layer: LAYER,
    create: ['--recipe', 'firefox'],
    recipes: [],
    program: 'usr/bin/firefox-esr',
    data: 'home/firefox/profile/places.sqlite',
    work: (value) => visit(`${page.address}?leave=${value}`),
    look: () => visit(page.address),
    async wreck() {
      await svsfs.mustRun(LAYER, 'sh', '-c', WRECK)
      return 'places.sqlite is cut to nothing, prefs.js is deleted'
    },
    check: () => svsfs.mustRun(LAYER, 'sh', '-c', CHECK, 'check', page.address),
  }
}

/** Starts Firefox, hands a tab to `use`, and closes Firefox whatever happens. */
async function withFirefox<T>(svsfs: Svsfs, use: (tab: Tab) => Promise<T>): Promise<T> {
  const preferences = Object.entries(PREFERENCES)
    .map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`)
    .join('')
  const child = svsfs.start(LAYER, 'sh', '-c', START, 'start', preferences)
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  try {
    const browser = await puppeteer.connect({
      browserWSEndpoint: `${await listening(child)}/session`,
      protocol: 'webDriverBiDi',
      protocolTimeout: PATIENCE_MS,
    })
    const result = await use(await browser.newPage())
    await close(browser, ended)
    return result
  } finally {
    child.kill('SIGTERM') // does nothing once it has ended
  }
}

async function close(browser: Browser, ended: Promise<number | null>): Promise<void> {
  await browser.close()
  const late = sleep(PATIENCE_MS, 'late' as const, { ref: false })
  const status = await Promise.race([ended, late])
  assert.equal(status, 0, 'Firefox ends in order, and svsfs run says so')
}

/** The address where Firefox answers WebDriver BiDi, as it prints it. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    const give = (why: string) => reject(new Error(`Firefox ${why}:\n${said.slice(-3000)}`))
    const timer = setTimeout(give, PATIENCE_MS, 'does not start')
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const address = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1]
      if (address === undefined) return
      clearTimeout(timer)
      resolve(address)
    })
    child.on('exit', (status) => {
      clearTimeout(timer)
      give(`ended at once, exit status ${status}`)
    })
  })
}
