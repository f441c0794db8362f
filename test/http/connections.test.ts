import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords } from '../../src/log/index.js'
import { call, RawConnection, rawRequest } from '../support/http.js'
import { SESSION, sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folders: string[] = []
let server: TestServer
/** Gives slow clients little time; the others' would not be enough on a machine that stands still for a moment. */
let strict: TestServer

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  folders.push(made)
  return made
}

beforeAll(async () => {
  server = await startTestServer({ folder: folder(), models: ['purchase-intent'] })
  strict = await startTestServer({
    folder: folder(),
    models: ['purchase-intent'],
    config: { server: { headersTimeoutMs: 500, requestTimeoutMs: 1000 } },
  })
})
afterAll(async () => {
  await server.close()
  await strict.close()
  for (const made of folders) rmSync(made, { recursive: true, force: true })
})

const INFER = '/v2/models/purchase-intent/infer'
const BODY = JSON.stringify(sessionRequest())
const good = (url = server.url) => call(url + INFER, 'POST', BODY)

describe('a connection', () => {
  it('is used again after errors of every kind', async () => {
    const connection = await RawConnection.open(server.port)
    const send = async (...request: Parameters<typeof rawRequest>) => {
      await connection.write(rawRequest(...request))
      return (await connection.read())?.status
    }
    expect(await send('POST', INFER, BODY)).toBe(200)
    expect(await send('POST', INFER, '{')).toBe(400)
    expect(await send('POST', '/v2/models/nobody/infer', BODY)).toBe(404)
    expect(await send('POST', INFER, 'text', { 'Content-Type': 'text/plain' })).toBe(415)
    expect(await send('GET', INFER)).toBe(405)
    expect(await send('POST', '/nothing', BODY)).toBe(404)
    expect(await send('POST', '/api/v1/log/query', '{')).toBe(400)
    expect(await send('PUT', '/api/v1/status', BODY)).toBe(405)
    expect(await send('POST', INFER, BODY)).toBe(200)
    connection.close()
  })

  it('carries pipelined requests, answered in order', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(
      rawRequest('POST', INFER, BODY) +
        rawRequest('GET', '/livez') +
        rawRequest('POST', INFER, '{') +
        rawRequest('GET', '/api/v1/status') +
        rawRequest('POST', INFER, BODY),
    )
    const replies = [
      await connection.read(),
      await connection.read(),
      await connection.read(),
      await connection.read(),
      await connection.read(),
    ]
    expect(replies.map((reply) => reply?.status)).toEqual([200, 200, 400, 200, 200])
    expect(replies[1]?.json).toEqual({ live: true })
    expect(replies[3]?.json.ready).toBe(true)
    connection.close()
  })

  it('of HTTP/1.0 is answered and closed', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(rawRequest('POST', INFER, BODY, {}, '1.0'))
    expect((await connection.read())?.status).toBe(200)
    await connection.closed()
  })

  it('that waits for 100 Continue is told to go on', async () => {
    const connection = await RawConnection.open(server.port)
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': String(BODY.length),
      Expect: '100-continue',
    }
    await connection.write(rawRequest('POST', INFER, '', headers))
    expect((await connection.read())?.status).toBe(100)
    await connection.write(BODY)
    expect((await connection.read())?.status).toBe(200)
    connection.close()
  })

  it('may name the whole URL in its request line, as proxies do', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(rawRequest('GET', `${server.url}/v2`))
    expect((await connection.read())?.json?.name).toBe('headrace')
    await connection.write(rawRequest('POST', server.url + INFER, BODY))
    expect((await connection.read())?.status).toBe(200)
    await connection.write(rawRequest('GET', `${server.url}/livez`))
    expect((await connection.read())?.status).toBe(200)
    connection.close()
  })

  it.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['a bad header', 'GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n'],
    ['two lengths', `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde`],
    [
      'a length and chunks',
      `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a length that is no number', `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n`],
    ['a bad chunk', `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ['no host', 'GET /v2 HTTP/1.1\r\n\r\n'],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001'],
  ])('with %s is refused with an error and closed', async (_, bytes) => {
    const connection = await RawConnection.open(server.port)
    await connection.write(Buffer.from(bytes, 'latin1'))
    const reply = await connection.read()
    expect(reply?.status).toBe(400)
    await connection.closed()
    expect((await good()).status).toBe(200)
  })
})

describe('a slow client', () => {
  it('that does not end its headers is cut off', async () => {
    const connection = await RawConnection.open(strict.port)
    await connection.write(`POST ${INFER} HTTP/1.1\r\nHost: localhost\r\n`)
    expect(await connection.read()).toMatchObject({ status: 408, json: { code: 'HTTP_TIMEOUT' } })
    await connection.closed()
    expect((await good(strict.url)).status).toBe(200)
  })

  it.each([INFER, '/api/v1/log/query'])('that does not end its body is cut off: %s', async (path) => {
    const connection = await RawConnection.open(strict.port)
    const headers = { 'Content-Type': 'application/json', 'Content-Length': '100' }
    await connection.write(rawRequest('POST', path, '', headers))
    await connection.write('{"inputs"')
    expect(await connection.read()).toMatchObject({ status: 408, json: { code: 'HTTP_TIMEOUT' } })
    await connection.closed()
    expect((await good(strict.url)).status).toBe(200)
  })

  it('does not hold up the others', async () => {
    const slow = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(server.port)))
    for (const connection of slow) await connection.write(`POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-`)
    expect((await Promise.all(Array.from({ length: 8 }, () => good()))).map(({ status }) => status)).toEqual(
      Array.from({ length: 8 }, () => 200),
    )
    for (const connection of slow) connection.close()
  })
})

describe('a client that goes away', () => {
  it('in the middle of its body leaves nothing behind', async () => {
    for (const path of [INFER, '/api/v1/log/query', '/api/v1/models/purchase-intent/versions']) {
      const connection = await RawConnection.open(server.port)
      const type = path.endsWith('versions') ? 'application/octet-stream' : 'application/json'
      await connection.write(rawRequest('POST', path, '', { 'Content-Type': type, 'Content-Length': '100' }))
      await connection.write('{"inputs"')
      connection.close()
    }
    expect((await good()).status).toBe(200)
  })

  it('before its answer has its waiting rows dropped, and the others are answered', async () => {
    const inputs = Array.from({ length: 5_000 }, () => SESSION)
    const connection = await RawConnection.open(server.port)
    const body = JSON.stringify({ inputs, unit: 'gone' })
    await connection.write(rawRequest('POST', '/api/v1/predict/purchase-intent', body))
    connection.close()
    expect((await good()).status).toBe(200)
    // The body is parsed in a thread first, so nothing is in flight for a while.
    const cancelled = async () => {
      const { json } = await call(`${server.url}/api/v1/log/query`, 'POST', {
        sql: `SELECT count(*) > 0 FROM predictions WHERE unit = 'gone' AND error = 'SERVING_CANCELLED'`,
      })
      return json.rows
    }
    await expect.poll(cancelled).toEqual([[true]])
  })

  it('while it follows the log ends its subscription', async () => {
    const stop = new AbortController()
    const response = await fetch(`${server.url}/api/v1/log/tail`, { signal: stop.signal })
    const reader = response.body!.getReader()
    await good()
    await reader.read()
    stop.abort()
    expect((await good()).status).toBe(200)
  })
})

describe('a server that closes', () => {
  it('finishes what is in flight, refuses what is new, ends followers, and has everything in its log', async () => {
    // Were it to wait for who is idle or follows, it would do so beyond the test's patience.
    const config = { server: { drainMs: 600_000 } }
    const own = await startTestServer({ folder: folder(), models: ['purchase-intent'], config })
    const follower = await fetch(`${own.url}/api/v1/log/tail`)
    const idle = await RawConnection.open(own.port)
    await idle.write(rawRequest('GET', '/livez'))
    await idle.read()
    // Half of a request is there when the server starts to close.
    const busy = await RawConnection.open(own.port)
    const headers = { 'Content-Type': 'application/json', 'Content-Length': String(BODY.length) }
    await busy.write(rawRequest('POST', INFER, '', headers))
    await busy.write(BODY.slice(0, 50))
    // Answered, so the half request was seen, too.
    await call(own.url + INFER, 'POST', BODY)

    const closing = own.close()
    await busy.write(BODY.slice(50))
    const answer = await busy.read()
    expect(answer).toMatchObject({ status: 200, headers: { connection: 'close' } })
    await closing
    await idle.closed()
    await follower.text()
    await expect(fetch(`${own.url}/livez`)).rejects.toThrow()

    const ids: string[] = []
    for await (const record of readRecords(join(own.project.dataDir, 'log')))
      if (record.kind === 'prediction') ids.push(record.id)
    expect(ids).toHaveLength(2)
    expect(ids).toContain(answer?.headers['headrace-prediction-id'])
    await own.close()
  })
})

describe('a server that starts', () => {
  const started = (options: Record<string, unknown>) =>
    startTestServer({ folder: folder(), models: ['purchase-intent'], config: { server: options } })

  it('refuses a port that is in use', async () => {
    await expect(started({ port: server.port })).rejects.toMatchObject({
      code: 'HTTP_PORT_IN_USE',
      message: expect.stringContaining(String(server.port)),
    })
  })

  it('refuses an address that others reach, because nobody is asked who they are', async () => {
    await expect(started({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'ACCESS_INSECURE_BIND' })
  })

  it('listens there all the same when it is told to, and then answers any host', async () => {
    const open = await started({ host: '0.0.0.0', insecure: true })
    const connection = await RawConnection.open(open.port)
    await connection.write(rawRequest('GET', '/livez', '', { Host: 'models.example' }))
    expect((await connection.read())?.status).toBe(200)
    connection.close()
    await open.close()
  })

  it('refuses a data folder that another one has', async () => {
    const shared = folder()
    const first = await startTestServer({ folder: shared, models: ['purchase-intent'] })
    // Without models: those of the first are not written again under its eyes.
    await expect(startTestServer({ folder: shared, models: [] })).rejects.toMatchObject({ code: 'STORE_FOLDER_LOCKED' })
    expect((await call(first.url + INFER, 'POST', BODY)).status).toBe(200)
    await first.close()
  })
})
