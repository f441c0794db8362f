// The console's files as the server sends them.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createConsoleFiles } from '../../src/server/console/files.js'
import { call, type Reply } from '../support/http.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

/** Everything the console loads, compressed. React is 60 kB of it, uPlot 22. */
const BUDGET_BYTES = 200_000

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let page: Reply

beforeAll(async () => {
  server = await startTestServer({ folder, models: ['breast-cancer'] })
  page = await get('/console/')
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> =>
  call(server.url + path, 'GET', undefined, { headers })

describe('the console', () => {
  it('is a page that runs only what this server sends', () => {
    expect(page).toMatchObject({ status: 200 })
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('cache-control')).toBe('no-cache')
    const policy = page.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(page.text).not.toMatch(/<script(?![^>]*src=)|<style| on\w+=|https?:/)
  })

  it('is found with and without the slash, and below any path that is a page', async () => {
    const bare = await get('/console')
    expect([bare.status, bare.headers.get('location')]).toEqual([302, '/console/'])
    for (const path of ['/console/endpoints/fraud', '/console/endpoints/a.b%2Fc', '/console/index.html', '/console/?x'])
      expect([path, (await get(path)).text]).toEqual([path, page.text])
  })

  it('has assets that are kept for ever, compressed for those who read it', async () => {
    for (const [, path] of page.text.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)) {
      const { status, headers } = await get(path!)
      expect([status, headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
      expect(headers.get('content-type')).toMatch(path!.endsWith('.js') ? /^text\/javascript/ : /^text\/css/)
      const raw = await fetch(server.url + path, { headers: { 'accept-encoding': 'identity' } })
      const zipped = await fetch(server.url + path, { headers: { 'accept-encoding': 'gzip' } })
      expect([raw.headers.get('content-encoding'), zipped.headers.get('content-encoding')]).toEqual([null, 'gzip'])
      expect(await zipped.text()).toBe(await raw.text())
      expect(raw.headers.get('etag')).not.toBe(zipped.headers.get('etag'))
    }
    expect.assertions(2 * 5)
  })

  it('is not sent again to those who have it', async () => {
    const etag = page.headers.get('etag')!
    const again = await get('/console/endpoints', { 'if-none-match': `"other", W/${etag}` })
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag])
  })

  it('answers an asset of another version with 404, and no way leads out of the folder', async () => {
    expect(await get('/console/assets/index-old.js')).toMatchObject({
      status: 404,
      json: { code: 'CONSOLE_FILE_NOT_FOUND' },
    })
    const files = createConsoleFiles()
    for (const name of ['../app/index.js', '/etc/hosts', 'assets/../../app/index.js', '__proto__', '.'])
      expect([name, await files.get(name)]).toEqual([name, undefined])
    expect((await get('/console/..%2f..%2fpackage.json')).text).toBe(page.text)
  })

  it('takes only GET and HEAD', async () => {
    const head = await call(`${server.url}/console/`, 'HEAD')
    expect([head.status, head.text, head.headers.get('content-length')]).toEqual([
      200,
      '',
      page.headers.get('content-length'),
    ])
    const post = await call(`${server.url}/console/`, 'POST', {})
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect((await get('/consoles')).json.code).toBe('HTTP_NOT_FOUND')
  })

  it('says how to get it when it was not built', async () => {
    await expect(createConsoleFiles(folder).get('index.html')).rejects.toMatchObject({ code: 'CONSOLE_NOT_BUILT' })
  })

  it('stays inside its budget', () => {
    const built = join(import.meta.dirname, '../../dist/console')
    const sizes = readdirSync(built, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => gzipSync(readFileSync(join(entry.parentPath, entry.name)), { level: 9 }).length)
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(BUDGET_BYTES)
  })
})
