// Overload ends at a bound: what does not fit is refused with 429 and a time to come back, and what is there goes on.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type HeldModel, writeHeldModel } from '../support/held-model.js'
import { call, RawConnection, rawRequest } from '../support/http.js'
import { sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let held: HeldModel

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: ['purchase-intent'],
    config: { server: { maxConnections: 8, maxInFlight: 2, maxBufferedBytes: 1024 * 1024 } },
    beforeStart: async () => {
      held = writeHeldModel(folder, 'held')
    },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const INFER = '/v2/models/purchase-intent/infer'
const BODY = JSON.stringify(sessionRequest())
const good = () => call(server.url + INFER, 'POST', BODY)
const metrics = async () => (await call(`${server.url}/metrics`, 'GET')).text

describe('the bounds of the server', () => {
  it('refuses predictions beyond maxInFlight with 429 and Retry-After, records them, and takes the next when there is room', async () => {
    const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] })
    const first = call(`${server.url}/v2/models/held/infer`, 'POST', body)
    await vi.waitFor(() => expect(server.app.path.inFlight).toBe(1), 30_000)
    // Two are the limit, and the second place is kept for high priority.
    const refused = await good()
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.json.code).toBe('PATH_OVERLOADED')
    expect(refused.headers.get('headrace-prediction-id')).not.toBeNull()
    held.letGo()
    expect((await first).status).toBe(200)
    expect((await good()).status).toBe(200)
    const text = await metrics()
    expect(text).toContain('ml_errors_total{code="PATH_OVERLOADED"} 1')
    expect(text).toContain('ml_refusal_seconds_count 1')
  })

  it('refuses a large body before it is sent when too many bytes are held, and still takes small ones', async () => {
    const head = (bytes: number) =>
      rawRequest('POST', INFER, '', { 'Content-Type': 'application/json', 'Content-Length': String(bytes) })
    const holder = await RawConnection.open(server.port)
    await holder.write(head(800_000))
    await vi.waitFor(async () => expect(await metrics()).toContain('headrace_buffered_bytes 800000'), 30_000)
    const late = await RawConnection.open(server.port)
    await late.write(head(200_000))
    const refused = await late.read()
    expect(refused?.status).toBe(429)
    expect(refused?.headers['retry-after']).toBe('1')
    expect(refused?.json.code).toBe('HTTP_BODIES_FULL')
    expect((await good()).status).toBe(200)
    // The one that holds the room goes away, and its room is free.
    holder.close()
    late.close()
    await vi.waitFor(async () => expect(await metrics()).toContain('headrace_buffered_bytes 0'), 30_000)
    const next = await RawConnection.open(server.port)
    await next.write(rawRequest('POST', INFER, ' '.repeat(200_000)))
    expect((await next.read())?.status).toBe(400)
    next.close()
  })

  it('counts bodies that do not say their length as they grow', async () => {
    const holder = await RawConnection.open(server.port)
    const headers = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }
    await holder.write(rawRequest('POST', INFER, '', headers))
    const chunk = `${(100_000).toString(16)}\r\n${' '.repeat(100_000)}\r\n`
    for (let i = 0; i < 7; i++) await holder.write(chunk)
    await vi.waitFor(async () => expect(await metrics()).toContain('headrace_buffered_bytes 700000'), 30_000)
    const other = await RawConnection.open(server.port)
    await other.write(rawRequest('POST', INFER, '', headers))
    for (let i = 0; i < 3; i++) await other.write(chunk)
    expect((await other.read())?.json.code).toBe('HTTP_BODIES_FULL')
    holder.close()
    other.close()
    await vi.waitFor(async () => expect(await metrics()).toContain('headrace_buffered_bytes 0'), 30_000)
  })

  it('closes connections beyond maxConnections and counts them', async () => {
    const connections: RawConnection[] = []
    for (let i = 0; i < 20; i++) connections.push(await RawConnection.open(server.port))
    await connections.at(-1)!.closed()
    for (const connection of connections) connection.close()
    await vi.waitFor(async () => expect(await metrics()).toMatch(/headrace_connections_refused_total [1-9]/), 30_000)
    expect((await good()).status).toBe(200)
  })
})
