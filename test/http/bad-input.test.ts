import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { call, RawConnection, type Reply, rawRequest } from '../support/http.js'
import { PAYMENT, SESSION, sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
const LIMIT = 1_000_000
let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ folder, config: { server: { bodyLimitBytes: LIMIT } } })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const INFER = '/v2/models/purchase-intent/infer'
const V1 = '/v1/models/purchase-intent:predict'
const NATIVE = '/api/v1/predict/purchase-intent'
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  call(server.url + path, 'POST', body, { headers })

// Whatever a request does, the next good one works.
afterEach(async () => {
  expect((await post(INFER, sessionRequest())).status).toBe(200)
  expect((await post(V1, { instances: [SESSION] })).status).toBe(200)
  expect((await post(NATIVE, { inputs: SESSION })).status).toBe(200)
})

function expectError(reply: Reply, status: number, code: string, text = ''): void {
  expect([reply.status, reply.json?.code]).toEqual([status, code])
  expect(reply.headers.get('content-type')).toBe('application/json')
  expect(reply.json.error).toContain(text)
}

/** The good request with its only input changed. */
function changed(change: Record<string, unknown>): object {
  const [input] = sessionRequest().inputs
  return { inputs: [{ ...input, ...change }] }
}

describe('broken JSON', () => {
  it.each(['', '{', '{"inputs": [', '{"inputs": []} extra', 'hello', '[1,2', '{"inputs": [01]}', '\u0000', '{"a":1,}'])(
    'is refused over each protocol: %j',
    async (body) => {
      for (const path of [INFER, V1, NATIVE]) {
        const reply = await post(path, new TextEncoder().encode(body), { 'content-type': 'application/json' })
        expect(reply.status).toBe(400)
        expect(reply.json.code).toMatch(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/)
        expect(reply.json.error.length).toBeGreaterThan(20)
      }
    },
  )

  it('that is not UTF-8 is refused, also inside a string', async () => {
    const payment = JSON.stringify({ inputs: PAYMENT }).replace('"DE"', '"\u00ff"')
    const bytes = Buffer.from(payment, 'latin1')
    const reply = await post('/api/v1/predict/fraud', bytes, { 'content-type': 'application/json' })
    expect(reply.status).toBe(400)
  })

  it('with a lone surrogate is refused or answered, but never crashes', async () => {
    const body = JSON.stringify({ inputs: PAYMENT }).replace('"DE"', '"\\ud800"')
    expect([200, 400]).toContain((await post('/api/v1/predict/fraud', body)).status)
  })

  it('of the wrong kind is refused', async () => {
    for (const body of [null, 1, 'text', true, [], [[]], {}])
      for (const path of [INFER, V1, NATIVE]) {
        const reply = await post(path, JSON.stringify(body))
        expect([path, JSON.stringify(body), reply.status]).toEqual([path, JSON.stringify(body), 400])
      }
  })
})

const NINE = Array.from({ length: 9 }, () => 1)

describe('an infer request', () => {
  it.each<[string, object, string, string]>([
    ['without its input', { inputs: [] }, 'TENSOR_INPUT_MISSING', 'features'],
    ['with a wrong input name', changed({ name: 'sessions' }), 'TENSOR_INPUT_MISSING', 'sessions'],
    [
      'with an input twice',
      { inputs: [...sessionRequest().inputs, ...sessionRequest().inputs] },
      'TENSOR_INPUT_DUPLICATE',
      'features',
    ],
    ['of a wrong rank', changed({ shape: [10] }), 'TENSOR_SHAPE_MISMATCH', '[1,10]'],
    ['of a wrong shape', changed({ shape: [1, 9], data: NINE }), 'TENSOR_SHAPE_MISMATCH', '[1,9]'],
    ['of a wrong datatype', changed({ datatype: 'FP64' }), 'TENSOR_DATATYPE_MISMATCH', 'FP64'],
    ['with too few elements', changed({ data: [1, 2, 3] }), 'TENSOR_LENGTH_MISMATCH', '3'],
    ['with too many elements', changed({ data: Array.from({ length: 11 }, () => 1) }), 'TENSOR_LENGTH_MISMATCH', '1'],
    [
      'with a string for a number',
      changed({ data: ['1', 2, 3, 4, 5, 6, 7, 8, 9, 10] }),
      'TENSOR_ELEMENT_INVALID',
      '"1"',
    ],
    ['with ragged data', changed({ shape: [2, 10], data: [NINE, [...NINE, 1, 2]] }), 'TENSOR_NESTING_MISMATCH', 'axis'],
    ['without rows', changed({ shape: [0, 10], data: [] }), 'TENSOR_ROWS_MISSING', '0'],
  ])('%s is refused', async (_, body, code, text) => {
    expectError(await post(INFER, body), 400, code, text)
  })

  it.each<[string, unknown]>([
    ['an unknown datatype', 'FP8'],
    ['a datatype that is no string', 32],
  ])('with %s is refused', async (_, datatype) => {
    expect((await post(INFER, changed({ datatype }))).status).toBe(400)
  })

  it.each<[string, unknown]>([
    ['negative', [-1, 10]],
    ['fractional', [1.5, 10]],
    ['no list', 10],
    ['a list of strings', ['1', '10']],
    ['beyond every integer', [1e300, 10]],
    ['of 100,000 axes', Array.from({ length: 100_000 }, () => 1)],
  ])('whose shape is %s is refused', async (_, shape) => {
    expect((await post(INFER, changed({ shape }))).status).toBe(400)
  })

  it('that declares a huge shape for a little data is refused without the memory for it', async () => {
    const before = process.memoryUsage().rss
    for (const rows of [2 ** 30, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      const reply = await post(INFER, changed({ shape: [rows, 10], data: [1] }))
      expect(reply.status).toBe(400)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
  })

  it('with a number out of range is refused', async () => {
    const body = JSON.stringify(sessionRequest()).replace(/"data":\[[^\]]*\]/, '"data":[1e400,2,3,4,5,6,7,8,9,10]')
    expect((await post(INFER, body)).status).toBe(400)
    const payment = (value: string) => JSON.stringify({ inputs: PAYMENT }).replace(/"items":\d+/, `"items":${value}`)
    for (const value of ['1e300', '"many"', 'true', '[1, 2]', '{}'])
      expect([value, (await post('/api/v1/predict/fraud', payment(value))).status]).toEqual([value, 400])
  })

  it('that asks for an output the model does not have is refused', async () => {
    const reply = await post(INFER, { ...sessionRequest(), outputs: [{ name: 'nothing' }] })
    expect(reply.status).toBe(400)
    expect(reply.json.error).toContain('nothing')
  })

  it.each(['sequence', '__proto__', 'constructor', 'toString'])('with a parameter %s does no harm', async (name) => {
    const parameters = JSON.parse(`{"${name}": "x"}`)
    expect([200, 400]).toContain((await post(INFER, { ...sessionRequest(), parameters })).status)
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })
})

describe('rows of features', () => {
  const without = (name: string) => Object.fromEntries(Object.entries(SESSION).filter(([key]) => key !== name))

  it.each<[string, unknown, string]>([
    ['lacks a feature', without('hour'), 'hour'],
    ['has one that is misspelled', { ...without('hour'), hours: 3 }, 'hour'],
    ['has one too many', { ...SESSION, extra: 1 }, 'extra'],
    ['has a string for a number', { ...SESSION, hour: 'noon' }, 'noon'],
    ['has an object for a number', { ...SESSION, hour: { at: 3 } }, 'hour'],
    ['has a list for a number', { ...SESSION, hour: [3, 4] }, 'hour'],
    ['is empty', {}, 'pages_viewed'],
  ])('that %s is refused over both row protocols', async (_, row, text) => {
    for (const reply of [await post(NATIVE, { inputs: row }), await post(V1, { instances: [row] })]) {
      expect(reply.status).toBe(400)
      expect(reply.json.error).toContain(text)
    }
  })

  it('that are no rows are refused', async () => {
    for (const inputs of [[], 'row', 7, null, [null], [[1]]])
      expect([inputs, (await post(NATIVE, { inputs })).status]).toEqual([inputs, 400])
  })
})

describe('nesting', () => {
  it.each([1_000, 100_000, 400_000])('%i levels deep is refused quickly', async (depth) => {
    const bomb = '['.repeat(depth)
    for (const body of [bomb, `{"inputs":${bomb}`, `{"instances":${bomb}`, `{"x":${'{"a":'.repeat(depth / 10)}`]) {
      for (const path of [INFER, V1, NATIVE]) {
        const reply = await post(path, body.slice(0, LIMIT))
        expect(reply.status).toBe(400)
      }
    }
  })

  it('in a JSON route of the API is refused quickly', async () => {
    const reply = await post('/api/v1/log/query', `{"sql":${'['.repeat(500_000)}`)
    expectError(reply, 400, 'HTTP_JSON_INVALID')
  })
})

describe('a body over the limit', () => {
  it('is refused before it is sent when its length is declared', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(
      rawRequest('POST', INFER, '', { 'Content-Length': '2000000', 'Content-Type': 'application/json' }),
    )
    const reply = await connection.read()
    expect(reply).toMatchObject({
      status: 413,
      json: { code: 'HTTP_BODY_TOO_LARGE' },
      headers: { connection: 'close' },
    })
    connection.close()
  })

  it('is refused while it is sent', async () => {
    expectError(await post(INFER, ' '.repeat(LIMIT + 1)), 413, 'HTTP_BODY_TOO_LARGE', String(LIMIT))
    expectError(await post('/api/v1/log/query', ' '.repeat(LIMIT + 1)), 413, 'HTTP_BODY_TOO_LARGE', String(LIMIT))
  })

  it('is refused to a client that sends all of it before it reads', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(rawRequest('POST', INFER, ' '.repeat(20 * LIMIT)))
    expect(await connection.read()).toMatchObject({ status: 413, json: { code: 'HTTP_BODY_TOO_LARGE' } })
    await connection.closed()
  })

  it('is cut off when it comes in chunks', async () => {
    for (const path of [INFER, '/api/v1/log/query']) {
      const connection = await RawConnection.open(server.port)
      await connection.write(
        rawRequest('POST', path, '', { 'Transfer-Encoding': 'chunked', 'Content-Type': 'application/json' }),
      )
      const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
      for (let sent = 0; sent <= LIMIT; sent += 0x10000) await connection.write(chunk)
      expect(await connection.read()).toMatchObject({ status: 413, json: { code: 'HTTP_BODY_TOO_LARGE' } })
      connection.close()
    }
  })

  it('of exactly the limit is read', async () => {
    const body = JSON.stringify(sessionRequest())
    expect((await post(INFER, body.padEnd(LIMIT, ' '))).status).toBe(200)
  })
})

describe('headers', () => {
  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])(
    'of the content type %s are refused',
    async (contentType) => {
      for (const path of [INFER, V1, NATIVE, '/api/v1/log/query'])
        expectError(await post(path, '{}', { 'content-type': contentType }), 415, 'HTTP_CONTENT_TYPE', contentType)
    },
  )

  it('of the content type application/octet-stream are refused, but for infer, where clients send it with JSON', async () => {
    const headers = { 'content-type': 'application/octet-stream' }
    for (const path of [V1, NATIVE, '/api/v1/log/query'])
      expectError(await post(path, '{}', headers), 415, 'HTTP_CONTENT_TYPE', 'octet-stream')
    expect((await post(INFER, sessionRequest(), headers)).status).toBe(200)
  })

  it.each(['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.headrace+json'])(
    'of the content type %s are read as JSON',
    async (contentType) => {
      expect((await post(INFER, sessionRequest(), { 'content-type': contentType })).status).toBe(200)
      expect((await post('/api/v1/log/query', { sql: 'SELECT 1' }, { 'content-type': contentType })).status).toBe(200)
    },
  )

  it('that announce a compressed body are refused beside prediction', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    const reply = await post('/api/v1/log/query', gzipSync('{"sql":"SELECT 1"}'), headers)
    expectError(reply, 415, 'HTTP_CONTENT_ENCODING', 'gzip')
    expect(reply.headers.get('accept-encoding')).toBe('identity')
  })

  it('that announce binary tensors are refused by protocols without them', async () => {
    const headers = { 'inference-header-content-length': '10' }
    for (const path of [V1, NATIVE])
      expectError(await post(path, 'x'.repeat(20), headers), 415, 'HTTP_BINARY_TENSORS', 'Open Inference Protocol')
  })

  it('of 20 KiB are refused', async () => {
    const connection = await RawConnection.open(server.port)
    await connection.write(rawRequest('GET', '/v2', '', { 'X-Long': 'x'.repeat(20 * 1024) }))
    expect(await connection.read()).toMatchObject({ status: 431, json: { code: 'HTTP_HEADERS_TOO_LARGE' } })
    await connection.closed()
  })

  it.each([
    ['GET', 'attacker.example:8080'],
    ['POST', '169.254.169.254'],
  ])('with a foreign host are refused: %s %s', async (method, host) => {
    for (const path of ['/v2', INFER, '/api/v1/status', '/metrics']) {
      const connection = await RawConnection.open(server.port)
      await connection.write(rawRequest(method, path, '', { Host: host }))
      expect(await connection.read()).toMatchObject({ status: 403, json: { code: 'ACCESS_HOST_REFUSED' } })
      connection.close()
    }
  })

  it('with a foreign origin are refused', async () => {
    for (const path of [INFER, '/api/v1/log/query'])
      expectError(await post(path, '{}', { origin: 'https://evil.example' }), 403, 'ACCESS_ORIGIN_REFUSED')
    expect((await post(INFER, sessionRequest(), { origin: server.url })).status).toBe(200)
  })
})

describe('names', () => {
  it.each([
    'nobody',
    'FRAUD',
    'fraud%00',
    '..%2f..%2fetc%2fpasswd',
    'constructor',
    '__proto__',
    'x'.repeat(500),
    '%F0%9F%92%A9',
  ])('of no model are 404: %s', async (name) => {
    for (const [path, body] of [
      [`/v2/models/${name}/infer`, sessionRequest()],
      [`/v1/models/${name}:predict`, { instances: [SESSION] }],
      [`/api/v1/predict/${name}`, { inputs: SESSION }],
    ] as const)
      expectError(await post(path, body), 404, 'PATH_ENDPOINT_NOT_FOUND', 'Request for unknown model')
  })

  it('of no version are 404, and versions that are no numbers 400', async () => {
    expectError(
      await post('/v2/models/purchase-intent/versions/9/infer', sessionRequest()),
      404,
      'SERVING_VERSION_NOT_FOUND',
      'Request for unknown model',
    )
    for (const version of ['0', '-1', '1.0', 'latest', '99999999999999999'])
      expectError(
        await post(`/v2/models/purchase-intent/versions/${version}/infer`, sessionRequest()),
        400,
        'HTTP_BAD_PATH',
      )
  })

  it('that are no percent-encoded UTF-8 are 400', async () => {
    for (const path of ['/v2/models/%FF/infer', '/v1/models/%:predict', '/api/v1/predict/%zz'])
      expectError(await post(path, '{}'), 400, 'HTTP_BAD_PATH')
  })
})

describe('text that no database keeps', () => {
  it('is refused wherever it arrives', async () => {
    for (const version of [{ alias: 'a\u0000' }, { alias: '\ud800' }])
      expect((await call(`${server.url}/api/v1/endpoints/e/route`, 'PUT', { model: 'fraud', version })).status).toBe(
        400,
      )
    for (const path of ['/api/v1/decisions?subject=%00', '/api/v1/decisions?kind=%00', '/api/v1/decisions/%00'])
      expect((await call(server.url + path, 'GET')).status).toBe(400)
    for (const path of ['/api/v1/models/fraud%00/aliases/a', '/api/v1/models/fraud/aliases/%00'])
      expect((await call(server.url + path, 'PUT', { version: 1 })).status).toBe(400)
    const odd = { version: 1, reason: 'because \u0000 and \ud800' }
    expect((await call(`${server.url}/api/v1/models/fraud/aliases/odd`, 'PUT', odd)).status).toBe(200)
    expect((await call(`${server.url}/api/v1/decisions/verify`, 'GET')).json.ok).toBe(true)
  })
})
