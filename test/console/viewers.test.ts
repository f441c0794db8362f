// The console for those who do not see everything, and of several nodes, in a real browser over real servers.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type KeyedServer, startKeyedServer } from '../access/support.js'
import { chromiumMissing, startChromium } from '../support/chromium.js'
import { call } from '../support/http.js'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { PAYMENT } from '../support/shop.js'
import { startTestServer } from '../support/start-server.js'

const missing = chromiumMissing()
const noPostgres = postgresMissing()
const PATIENCE_MS = 60_000
/** However long it takes: no machine is too slow for this. */
const eventually = <T>(look: () => T) => expect.poll(look, { timeout: PATIENCE_MS })

describe.skipIf(missing !== undefined)(
  `who does not see everything${missing === undefined ? '' : `: ${missing}`}`,
  { timeout: 4 * PATIENCE_MS },
  () => {
    let server: KeyedServer
    let browser: Browser

    beforeAll(async () => {
      ;[server, browser] = await Promise.all([
        startKeyedServer({
          models: ['fraud', 'breast-cancer'],
          config: {
            endpoints: { spare: { route: { kind: 'version', model: 'fraud', version: 1 } } } as never,
          },
        }),
        startChromium(),
      ])
    }, 4 * PATIENCE_MS)
    afterAll(async () => {
      await browser?.close()
      await server?.end()
    })

    const predict = (key: string, endpoint: string, times: number) =>
      Promise.all(
        Array.from({ length: times }, (_, i) =>
          call(
            `${server.url}/api/v1/predict/${endpoint}`,
            'POST',
            { inputs: PAYMENT, unit: `u${i}` },
            { headers: { authorization: `Bearer ${key}` } },
          ),
        ),
      )

    async function openWith(key: string): Promise<{ page: Page; open(path: string): Promise<unknown> }> {
      const context = await browser.newContext()
      context.setDefaultTimeout(PATIENCE_MS)
      onTestFinished(() => context.close())
      const page = await context.newPage()
      await page.addInitScript(`sessionStorage.setItem('headrace-key', '${key}')`)
      return { page, open: (path) => page.goto(`${server.url}/console${path}`) }
    }
    // biome-ignore lint/performance/useDomNodeTextContent: of a locator; cells are apart, as people see them
    const shown = async (locator: Locator) => (await locator.first().innerText()).replaceAll('\u00a0', ' ')

    it('sees, of a tenant, its own traffic and how far releases are, and on every page what is not shown', async () => {
      const acme = await server.key({ name: 'acme', tenant: 'acme', role: 'viewer', predict: ['*'] })
      const globex = await server.key({ name: 'globex', tenant: 'globex', predict: ['*'] })
      await predict(acme, 'spare', 4)
      await predict(globex, 'fraud', 7)
      const started = await call(
        `${server.url}/api/v1/releases`,
        'POST',
        { endpoint: 'fraud', from: 1, to: 2, plan: 'canary:25%/1h,100%', skipGates: true, reason: 'for globex' },
        { headers: { authorization: `Bearer ${server.admin}` } },
      )
      expect(started.status, started.text).toBe(201)
      const { page, open } = await openWith(acme)
      const main = page.locator('main')
      await open('/endpoints')
      await eventually(() => shown(page.locator('[data-note="caller"]'))).toContain('You belong to tenant acme')
      await eventually(() => shown(page.getByRole('row').filter({ hasText: 'spare' }))).toMatch(/ready[\s\S]*0 %/)
      expect(await shown(page.getByRole('row').filter({ hasText: 'fraud' }))).toMatch(/running[\s\S]*0 \/s/)

      await open('/endpoints/spare')
      await page.locator('.tree').waitFor()
      await eventually(() => shown(page.getByLabel('The last minute'))).toContain('4 rows')
      await open('/endpoints/fraud')
      await page.locator('.tree').waitFor()
      expect(await shown(page.getByLabel('The last minute'))).toContain('0 rows')

      await open('/releases')
      await page.getByRole('row').filter({ hasText: 'running' }).getByRole('link').click()
      await page.locator('.steps').waitFor()
      await page.getByText('Not shown to a tenant').waitFor()
      expect(await shown(main)).toContain('25 %')
      expect(await shown(main)).not.toMatch(/globex|by admin|Guards/)

      await open('/log')
      await eventually(() => page.locator('tbody tr').count()).toBe(4)
      await page.locator('tbody a').first().click()
      await page.locator('.story').waitFor()

      await open('/decisions')
      const notShown = page.locator('main [data-state="not-shown"]')
      await notShown.waitFor()
      expect(await shown(notShown)).toMatch(/Not shown to this key[\s\S]*what all tenants do[\s\S]*ACCESS_TENANT_BOUND/)
      expect(await page.locator('[data-state="failed"], [data-state="stale"]').count()).toBe(0)
      await page.getByRole('button', { name: 'Use another key' }).click()
      await page.getByLabel('Key', { exact: true }).waitFor()
    })

    it('sees, with a role on some endpoints, these and what was decided about them', async () => {
      const narrow = await server.key({ name: 'narrow', role: 'viewer', on: ['fraud'], predict: ['spare'] })
      await call(
        `${server.url}/api/v1/models/breast-cancer/aliases/champion`,
        'PUT',
        { version: 1 },
        { headers: { authorization: `Bearer ${server.admin}` } },
      )
      await predict(server.admin, 'spare', 2)
      const { page, open } = await openWith(narrow)
      await open('/endpoints')
      await eventually(() => shown(page.locator('[data-note="caller"]'))).toContain('You may view fraud')
      expect(await page.getByRole('row').count()).toBe(1 + 2)
      // Only to predict with it is not to know how it does.
      expect(await shown(page.getByRole('row').filter({ hasText: 'spare' }))).not.toContain('/s')
      await open('/endpoints/spare')
      await page.getByText('not shown to this key').waitFor()
      await open('/decisions')
      await page.locator('tbody a').first().waitFor()
      const table = await shown(page.locator('table'))
      expect(table).toContain('release.start')
      expect(table).not.toMatch(/breast-cancer|key\.create/)
    })

    it('is told, with a key that predicts alone, what would show more', async () => {
      const predictor = await server.key({ name: 'predictor', predict: ['spare'] })
      const { page, open } = await openWith(predictor)
      await open('/endpoints')
      await eventually(() => shown(page.locator('[data-note="caller"]'))).toMatch(/predict with spare[\s\S]*viewer/)
      await open('/log')
      await page.getByText('Records are for keys with a role').waitFor()
      expect(await page.locator('[data-state="failed"]').count()).toBe(0)
    })
  },
)

describe.skipIf(missing !== undefined || noPostgres !== undefined)(
  `two nodes on one PostgreSQL${missing || noPostgres ? `: ${missing ?? noPostgres}` : ''}`,
  { timeout: 4 * PATIENCE_MS },
  () => {
    it('show the traffic of both, and of the one that is left when the store is away or the other stops', async () => {
      const postgres = await startPostgres()
      const databaseUrl = await postgres.schema()
      const folders = ['a', 'b'].map(() => mkdtempSync(join(tmpdir(), 'headrace-test-')))
      const start = (folder: string) =>
        startTestServer({
          folder,
          models: ['fraud'],
          config: { store: { databaseUrl } },
        })
      onTestFinished(async () => {
        await postgres.stop()
        for (const folder of folders) rmSync(folder, { recursive: true, force: true })
      })
      const first = await start(folders[0]!)
      onTestFinished(() => first.close())
      const second = await start(folders[1]!)
      let isClosed = false
      onTestFinished(async () => {
        if (!isClosed) await second.close()
      })
      const browser = await startChromium()
      onTestFinished(() => browser.close())
      const predict = async (url: string, times: number) => {
        for (let i = 0; i < times; i++)
          await call(`${url}/api/v1/predict/fraud`, 'POST', { inputs: PAYMENT, unit: `u${i}` })
      }
      const live = async (query = '') => (await call(`${first.url}/api/v1/live${query}`, 'GET')).json
      const rows = async (query = '') => (await live(query)).endpoints[0]?.requests
      await predict(first.url, 3)
      await predict(second.url, 5)
      await eventually(() => rows()).toBe(8)
      const { nodes } = await live()
      const other = nodes.counted.find(({ isSelf }: { isSelf: boolean }) => !isSelf)
      expect(other.url).toBe(second.url)
      expect(await rows('?node=self')).toBe(3)
      expect(await rows(`?node=${other.id}`)).toBe(5)
      const detailed = async () => {
        const one = (await call(`${first.url}/api/v1/live/fraud`, 'GET')).json
        return [one.requests, one.versions.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)]
      }
      await eventually(detailed).toEqual([8, 8])

      const page = await browser.newPage()
      page.setDefaultTimeout(PATIENCE_MS)
      await page.goto(`${first.url}/console/endpoints/fraud`)
      const note = page.locator('[data-note="nodes"]')
      await note.waitFor()
      expect(await note.textContent()).toContain('the sum of 2 nodes')

      postgres.freeze()
      await eventually(async () => (await live()).nodes).toMatchObject({
        counted: [{ isSelf: true }],
        isStoreAway: true,
      })
      await eventually(() => note.textContent()).toContain('The metadata store does not answer')
      postgres.thaw()
      await eventually(async () => (await live()).nodes.counted.length).toBe(2)
      isClosed = true
      await second.close()
      await eventually(async () => (await live()).nodes).toMatchObject({
        counted: [{ isSelf: true }],
        isStoreAway: false,
      })
    })
  },
)
