// The console in a real browser, over a real server with real predictions and a real release. One browser for all of it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromiumMissing, startChromium } from '../support/chromium.js'
import { call } from '../support/http.js'
import { PAYMENT } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const missing = chromiumMissing()
const PATIENCE_MS = 60_000
/** However long it takes: no machine is too slow for this. */
const eventually = <T>(look: () => T) => expect.poll(look, { timeout: PATIENCE_MS })
/** Runs in the page. */
const findProblems = readFileSync(new URL('find-problems.js', import.meta.url), 'utf8')

const fraud = (version: number) => ({ kind: 'version', model: 'fraud', version })
const ROUTE = {
  kind: 'split',
  name: 'ramp',
  salt: 'ramp',
  by: 'unit',
  arms: [
    { name: 'candidate', weight: 0.25, route: fraud(2) },
    {
      name: 'baseline',
      weight: 0.75,
      route: { kind: 'fallback', name: 'safe', arms: [{ route: fraud(1) }, { route: fraud(2) }] },
    },
  ],
}

/** What somebody writes who wants others to run it. */
const HOSTILE = '<img src="x" onerror="alert(1)"><script>alert(2)</script>'

describe.skipIf(missing !== undefined)(
  `the console in a browser${missing === undefined ? '' : `: ${missing}`}`,
  { timeout: 4 * PATIENCE_MS },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    let server: TestServer
    let browser: Browser
    let context: BrowserContext
    let page: Page
    let failing: string
    let answered: string
    /** What a console without fault never does. */
    const faults: string[] = []

    beforeAll(async () => {
      ;[server, browser] = await Promise.all([
        startTestServer({
          folder,
          models: ['fraud', 'breast-cancer'],
          config: {
            endpoints: { checkout: { route: ROUTE }, strict: { route: fraud(1), deadlineMs: 0.001 } } as never,
          },
        }),
        startChromium(),
      ])
      const predict = (endpoint: string, unit: string) =>
        call(`${server.url}/api/v1/predict/${endpoint}`, 'POST', { inputs: PAYMENT, unit })
      for (let i = 0; i < 40; i++) answered = (await predict('checkout', `u${i}`)).json.id
      failing = (await predict('strict', 'late')).headers.get('headrace-prediction-id')!
      await call(
        `${server.url}/api/v1/models/fraud/aliases/champion`,
        'PUT',
        { version: 1, reason: HOSTILE },
        { headers: { 'headrace-actor': 'anna' } },
      )
      await call(`${server.url}/api/v1/log/query`, 'POST', { sql: 'SELECT 1' })
      context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })
      context.setDefaultTimeout(PATIENCE_MS)
      page = await context.newPage()
      watch(page)
    }, 4 * PATIENCE_MS)
    afterAll(async () => {
      await browser?.close()
      await server?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    function watch(watched: Page): void {
      watched.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text())
      })
      watched.on('dialog', (dialog) => {
        faults.push(`ran what it was to show: ${dialog.message()}`)
        void dialog.dismiss()
      })
      watched.on('pageerror', (error) => faults.push(error.message))
      watched.on('request', (request) => {
        if (!request.url().startsWith(server.url)) faults.push(`asked ${request.url()}`)
      })
    }

    const open = (path: string) => page.goto(`${server.url}/console${path}`)
    /** As a link does: the page is not loaded again. */
    const go = (path: string) =>
      page.evaluate(`history.pushState(null, '', '/console${path}'); dispatchEvent(new PopStateEvent('popstate'))`)
    // biome-ignore lint/performance/useDomNodeTextContent: of a locator; cells are apart, as people see them
    const shown = async (locator: Locator) => (await locator.innerText()).replaceAll('\u00a0', ' ')
    const text = (selector: string) => shown(page.locator(selector).first())
    const seen = (selector: string) => page.locator(selector).first().waitFor()

    it('shows every endpoint with what happens on it, found by search and sorted', async () => {
      await open('/')
      const row = page.getByRole('row').filter({ hasText: 'checkout' })
      await eventually(() => shown(row)).toMatch(/ready[\s\S]*\/s[\s\S]*0 %[\s\S]*ms/)
      expect(await page.getByRole('row').count()).toBe(1 + 4)
      await page.getByRole('searchbox').fill('strict')
      await eventually(() => page.getByRole('row').count()).toBe(2)
      expect(await shown(page.getByRole('row').filter({ hasText: 'strict' }))).toContain('100 %')
      await page.getByRole('searchbox').fill('no such thing')
      await seen('[data-state="empty"]')
      await page.getByRole('searchbox').fill('')
      await page.getByRole('columnheader', { name: 'Rate' }).getByRole('button').click()
      await eventually(() => shown(page.locator('[aria-sort="descending"]'))).toContain('Rate')
      expect(await text('tbody tr')).toContain('checkout')
      await checkAccessible('endpoints')
    })

    it('draws the route of an endpoint with the share that each arm has', async () => {
      await page.getByRole('link', { name: 'checkout' }).click()
      await page.waitForURL('**/console/endpoints/checkout')
      await seen('.tree')
      expect(await page.locator('.box').count()).toBe(5)
      await eventually(() => page.locator('.edge-live').first().textContent()).toMatch(/^[\d.]+.%$/)
      await page.getByText('The same as a table').click()
      const arms = await shown(page.getByRole('table', { name: 'Arms of the route' }))
      expect(arms).toMatch(/ramp\s+candidate 25.%\s+fraud\/2\s+25.%\s+[\d.]+.%/)
      await eventually(() => page.locator('.chart canvas').count()).toBe(3)
      await eventually(() => shown(page.getByRole('table', { name: 'Versions' }))).toContain('champion')
      await page.getByText('No release yet').waitFor()
      await checkAccessible('endpoint')
      await open('/endpoints/nobody')
      await seen('[data-state="failed"]')
      expect(await text('[data-state="failed"]')).toContain('PATH_ENDPOINT_NOT_FOUND')
      forgetFault('404')
    })

    it('follows a release: its steps, guards, nodes and decisions', async () => {
      const { json: release, status } = await call(
        `${server.url}/api/v1/releases`,
        'POST',
        { endpoint: 'fraud', to: 2, plan: 'canary:25%/1h,100%', skipGates: true, reason: 'a test' },
        { headers: { 'headrace-actor': 'anna' } },
      )
      expect([status, release]).toMatchObject([201, { state: 'running' }])
      await open('/releases')
      await page.getByRole('row').filter({ hasText: 'running' }).getByRole('link').click()
      await seen('.steps')
      expect(await text('h1')).toBe('fraud 1 → 2')
      expect(await text('.step.now')).toMatch(/canary 25.%/)
      await eventually(() => shown(page.getByRole('table', { name: 'Nodes' }))).toContain('warm')
      await eventually(() => text('.timeline')).toContain('release.start by anna')
      await checkAccessible('release')
      await call(`${server.url}/api/v1/releases/${release.id}/abort`, 'POST', { reason: 'enough seen' })
      await eventually(() => text('.lead')).toContain('aborted')
      await page.getByRole('link', { name: 'release.abort' }).click()
      await seen('.facts')
      expect(await text('main')).toContain('enough seen')
      await checkAccessible('decision')
    })

    it('plots the evidence of guards with intervals, and says what failed', async () => {
      const release = (await call(`${server.url}/api/v1/releases/fraud`, 'GET')).json
      await page.route('**/api/v1/releases/with-evidence', (route) => route.fulfill({ json: withEvidence(release) }))
      await open('/releases/with-evidence')
      await seen('.guard-charts canvas')
      const row = page.getByRole('table', { name: 'Guards' }).getByRole('row').filter({ hasText: 'errors' })
      expect((await shown(row)).replaceAll('\u00a0', ' ')).toMatch(
        /failed\s+30\s+20\s+3 ×[\s\S]*1.5 to 6[\s\S]*500 of 200/,
      )
      expect(await page.locator('.interval').count()).toBe(1)
      await checkAccessible('evidence')
    })

    it('follows the log, filters it, and explains a prediction', async () => {
      await open('/log')
      await eventually(() => text('.count')).toContain('following')
      await page.getByLabel('errors only').check()
      await eventually(() => page.locator('tbody tr').count()).toBe(1)
      expect(await text('tbody tr')).toContain('strict')
      await page.getByLabel('errors only').uncheck()
      await page.getByLabel('Endpoint').selectOption('checkout')
      const before = await text('.count')
      await call(`${server.url}/api/v1/predict/checkout`, 'POST', { inputs: PAYMENT, unit: 'just-now' })
      await eventually(() => text('tbody tr')).toContain('just-now')
      expect(await text('.count')).not.toBe(before)
      await page.getByRole('button', { name: 'Pause' }).click()
      await eventually(() => text('.count')).toContain('paused')
      await checkAccessible('log')

      await open(`/predictions/${answered}`)
      await seen('.story')
      expect(await text('.story')).toContain('for unit "u39"')
      expect(await shown(page.getByRole('table', { name: 'Inputs' }))).toContain('amount')
      expect(await shown(page.getByRole('table', { name: 'Route taken' }))).toContain('ramp')
      await checkAccessible('prediction')
      await open(`/predictions/${failing}`)
      expect(await text('.lead')).toMatch(/[A-Z]+_[A-Z_]+/)
    })

    it('lists decisions', async () => {
      await open('/decisions')
      await seen('tbody a')
      expect(await text('table')).toContain('alias.set')
      expect(await page.locator('tbody').textContent()).toContain(HOSTILE)
      expect(await text('table')).not.toContain('version.seen')
      await page.getByLabel('versions seen').check()
      await eventually(() => text('table')).toContain('version.seen')
      await checkAccessible('decisions')
    })

    it('is walked with the keys alone', async () => {
      await open('/endpoints')
      await seen('tbody a')
      await page.keyboard.press('Tab')
      expect(await focused()).toBe('Skip to the content')
      await page.keyboard.press('Enter')
      await page.keyboard.press('/')
      await eventually(() => page.evaluate('document.activeElement.type')).toBe('search')
      await page.keyboard.press('Escape')
      await page.locator('tbody a').first().focus()
      await page.keyboard.press('ArrowDown')
      await eventually(focused).toBe('checkout')
      await page.keyboard.press('End')
      await eventually(focused).toBe('strict')
      // One stop in the table, however many rows.
      expect(await page.locator('tbody a[tabindex="0"]').count()).toBe(1)
      const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
      expect(outline).toBe('solid')
      await page.keyboard.press('Enter')
      await page.waitForURL('**/endpoints/strict')
      await page.keyboard.press('g')
      await page.keyboard.press('d')
      await page.waitForURL('**/decisions')
      await eventually(() => page.evaluate('document.activeElement.id')).toBe('main')
      await page.keyboard.press('?')
      await seen('dialog[open]')
      await page.keyboard.press('Escape')
      await eventually(() => page.locator('dialog[open]').count()).toBe(0)
    })

    it('asks for nothing while its tab is hidden, and once when it is seen again', async () => {
      const hidden = await context.newPage()
      await hidden.clock.install()
      const asked: string[] = []
      let answer = (): void => undefined
      const held = new Promise<void>((resolve) => {
        answer = resolve
      })
      hidden.on('request', (request) => asked.push(new URL(request.url()).pathname))
      await hidden.goto(`${server.url}/console/endpoints`)
      await hidden.locator('tbody a').first().waitFor()
      const show = (isShown: boolean) =>
        hidden.evaluate(`
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${!isShown} })
          document.dispatchEvent(new Event('visibilitychange'))`)
      await show(false)
      await hidden.route('**/api/v1/**', async (route) => {
        await held
        await route.continue().catch(() => undefined)
      })
      asked.length = 0
      await hidden.clock.runFor(300_000)
      expect(asked).toEqual([])
      // The answer is on its way while the tab comes and goes: that begins no second series.
      for (let i = 0; i < 3; i++) {
        await show(true)
        await show(false)
      }
      await show(true)
      await eventually(() => asked.filter((path) => path === '/api/v1/live').length).toBe(1)
      await hidden.clock.runFor(10_000)
      expect(asked.filter((path) => path === '/api/v1/live')).toHaveLength(1)
      answer()
      await hidden.close()
    })

    it('says that a server which stands still does not answer', async () => {
      const waiting = await context.newPage()
      await waiting.clock.install()
      await waiting.route('**/api/v1/**', () => undefined)
      await waiting.goto(`${server.url}/console/decisions`)
      await waiting.locator('main [data-state="loading"]').waitFor()
      await waiting.clock.runFor(25_000)
      const failed = waiting.locator('main [data-state="failed"]')
      await failed.waitFor()
      expect(await shown(failed)).toMatch(/CONSOLE_SERVER_UNREACHABLE[\s\S]*did not come within 20 seconds/)
      await waiting.unrouteAll({ behavior: 'ignoreErrors' })
      await waiting.close()
    })

    it('says whose traffic the figures are of when there are several nodes, and shows one of them', async () => {
      const one = { id: 'one', name: 'one', url: null, isSelf: true, ageMs: 0 }
      const two = { id: 'two', name: 'two', url: 'http://10.0.0.2:8080', isSelf: false, ageMs: 900 }
      const three = { id: 'three', name: 'three', url: 'http://10.0.0.3:8080', reason: 'it has not said anything yet' }
      const { json } = await call(`${server.url}/api/v1/live`, 'GET')
      await page.route('**/api/v1/live*', (route) => {
        const node = new URL(route.request().url()).searchParams.get('node')
        const nodes =
          node === null
            ? { counted: [one, two], missing: [three], isStoreAway: false }
            : { counted: [two], missing: [], isStoreAway: false }
        return route.fulfill({ json: { ...json, nodes } })
      })
      await open('/endpoints')
      await eventually(() => text('[data-note="nodes"]')).toMatch(
        /sum of 2 nodes: one \(this one\), two \(10.0.0.2:8080\)[\s\S]*Without three \(10.0.0.3:8080\): it has not said/,
      )
      await page.getByLabel('Nodes').selectOption('two (10.0.0.2:8080)')
      await eventually(() => text('[data-note="nodes"]')).toContain('Figures are of two (10.0.0.2:8080) alone.')
      await checkAccessible('nodes')
      await page.getByLabel('Nodes').selectOption('all')
      await eventually(() => text('[data-note="nodes"]')).toContain('sum of 2 nodes')
      await page.unroute('**/api/v1/live*')
      // A node that was chosen and is forgotten since: the sum comes back by itself.
      await page.evaluate("sessionStorage.setItem('headrace-node', 'forgotten')")
      await open('/endpoints')
      await eventually(() => page.evaluate("sessionStorage.getItem('headrace-node')")).toBe(null)
      await seen('tbody a')
      forgetFault('404')
    })

    it('is dark when the system is, or when told to be, and remembers that', async () => {
      const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
      const light = await ground()
      await page.emulateMedia({ colorScheme: 'dark' })
      const dark = await ground()
      expect(dark).not.toBe(light)
      await page.getByRole('switch', { name: 'Dark mode' }).click()
      expect(await ground()).toBe(light)
      await page.reload()
      expect(await ground()).toBe(light)
      expect(await page.getByRole('switch', { name: 'Dark mode' }).getAttribute('aria-checked')).toBe('false')
      await page.emulateMedia({ colorScheme: 'light' })
    })

    it('fits a narrow screen without scrolling sideways', async () => {
      await page.setViewportSize({ width: 360, height: 780 })
      for (const path of ['/endpoints', '/endpoints/checkout', '/releases/fraud', '/log', `/predictions/${answered}`]) {
        await go(path)
        await seen('h1')
        await eventually(() => page.locator('[data-state="loading"]').count()).toBe(0)
        const beyond = await page.evaluate(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        )
        expect([path, Number(beyond) > 0]).toEqual([path, false])
      }
      await page.setViewportSize({ width: 1280, height: 800 })
    })

    it('stays smooth with a thousand endpoints: only rows in sight are in the page', async () => {
      const { json } = await call(`${server.url}/api/v1/endpoints`, 'GET')
      const endpoints = Array.from({ length: 1000 }, (_, i) => ({ ...json.endpoints[0], name: `many-${i}` }))
      await page.route('**/api/v1/endpoints', (route) => route.fulfill({ json: { endpoints } }))
      await open('/endpoints')
      await eventually(() => text('.count')).toBe('1,000 of 1,000')
      expect(await page.locator('tbody a').count()).toBeLessThan(60)
      await page.locator('tbody a').first().focus()
      await page.keyboard.press('End')
      await eventually(focused).toBe('many-999')
      await page.unroute('**/api/v1/endpoints')
    })

    it('asks for a key where the server does, sends it and forgets it', async () => {
      await page.route('**/api/v1/**', (route) =>
        route.request().headers()['authorization'] === 'Bearer hr_key'
          ? route.continue()
          : route.fulfill({ status: 401, json: { code: 'ACCESS_CREDENTIALS_MISSING', error: 'Send a key.' } }),
      )
      await open('/decisions')
      await page.getByLabel('Key', { exact: true }).fill('hr_key')
      await checkAccessible('key')
      await page.keyboard.press('Enter')
      await seen('tbody a')
      await page.getByRole('button', { name: 'Forget the key' }).click()
      await seen('[data-state="key"]')
      await page.unroute('**/api/v1/**')
      forgetFault('401')
    })

    it('says on every page that is loading, then what is wrong, and goes on by itself', async () => {
      for (const path of [
        '/endpoints',
        '/endpoints/checkout',
        '/releases',
        '/releases/x',
        '/log',
        '/predictions/x',
        '/decisions',
        '/decisions/x',
      ]) {
        let answer = (_: 'fail'): void => undefined
        const held = new Promise<'fail'>((resolve) => {
          answer = resolve
        })
        await page.route('**/api/v1/**', async (route) => {
          await held
          await route
            .fulfill({ status: 503, json: { code: 'STORE_UNAVAILABLE', error: 'The store is away. Bring it back.' } })
            .catch(() => undefined)
        })
        await go(path)
        await seen('[data-state="loading"]')
        answer('fail')
        await seen('[data-state="failed"]')
        expect([path, await text('[data-state="failed"]')]).toEqual([
          path,
          expect.stringMatching(/STORE_UNAVAILABLE[\s\S]*Bring it back/),
        ])
        await page.unrouteAll({ behavior: 'ignoreErrors' })
      }
      // Nobody presses the button: it asks again.
      await open('/endpoints')
      await seen('tbody a')
      forgetFault('503')
    })

    it('has no faults: no errors in the console, nothing asked of anybody else', () => {
      expect(faults).toEqual([])
    })

    it('keeps what it knew when the server stops, and says that it stopped', async () => {
      await open('/endpoints')
      await seen('tbody a')
      await server.close()
      await eventually(() => page.locator('[data-state="stale"]').count()).toBeGreaterThan(0)
      expect(await text('[data-state="stale"]')).toContain('CONSOLE_SERVER_UNREACHABLE')
      expect(await page.locator('tbody a').count()).toBe(4)
      await page.keyboard.press('g')
      await page.keyboard.press('r')
      await seen('main [data-state="failed"]')
      expect(await text('main [data-state="failed"]')).toContain('headrace serve')
    })

    async function focused(): Promise<string> {
      return page.evaluate<string>('document.activeElement.textContent')
    }

    /** The browser itself logs each answer that is no success. */
    function forgetFault(status: string): void {
      const others = faults.filter((fault) => !fault.includes(`status of ${status}`))
      faults.splice(0, faults.length, ...others)
    }

    async function checkAccessible(where: string): Promise<void> {
      expect([where, await page.evaluate(findProblems)]).toEqual([where, []])
    }
  },
)

/** A real release's status, with a guard that has seen enough to fail: what takes thousands of units to come by. */
function withEvidence(status: Record<string, unknown>): object {
  const look = (i: number) => ({
    timeMs: Date.now() - (20 - i) * 5000,
    step: 0,
    estimate: 1 + i / 10,
    low: 0.5 + i / 20,
    high: 10 - i / 5,
    eValue: 1.4 ** i,
    candidate: i,
    reference: i,
  })
  const report = {
    guard: 'errors',
    verdict: 'failed',
    eValue: 500,
    alpha: 0.005,
    candidate: 30,
    reference: 20,
    relative: { estimate: 3, low: 1.5, high: 6 },
    summary: 'Three times the rate of the champion.',
  }
  return { ...status, guards: [{ report, series: Array.from({ length: 20 }, (_, i) => look(i)) }] }
}
