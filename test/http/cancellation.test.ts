// A client that goes away is not worked for: what it had in a queue leaves within 10 ms, over the wire and over node:http.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HeldModel, writeHeldModel } from '../support/held-model.js'
import { call, RawConnection, rawRequest } from '../support/http.js'
import { sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let held: HeldModel
let cancelled = 0

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: ['purchase-intent'],
    beforeStart: async () => {
      held = writeHeldModel(folder, 'held')
    },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const INFER = '/v2/models/held/infer'
const BODY = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] })
/** For one good try. */
const PATIENCE_MS = 45_000

const inFlight = async (count: number) => {
  while (server.app.path.inFlight !== count) await nextTurn()
}

describe('a client that goes away while its request waits', () => {
  it.each<[string, string]>([
    ['the wire', ''],
    ['node:http', rawRequest('GET', '/livez')],
  ])('over %s has it dropped within 10 ms', async (_, before) => {
    let bestMs = Number.POSITIVE_INFINITY
    // One good try proves it: the machine may be busy with something else.
    for (const untilMs = performance.now() + PATIENCE_MS; bestMs >= 10 && performance.now() < untilMs; ) {
      held.hold()
      const running = call(server.url + INFER, 'POST', BODY)
      await inFlight(1)
      const connection = await RawConnection.open(server.port)
      if (before !== '') {
        await connection.write(before)
        expect((await connection.read())?.status).toBe(200)
      }
      await connection.write(rawRequest('POST', INFER, BODY))
      await inFlight(2)
      const leftMs = performance.now()
      connection.close()
      await inFlight(1)
      bestMs = Math.min(bestMs, performance.now() - leftMs)
      cancelled++
      held.letGo()
      expect((await running).status).toBe(200)
      await inFlight(0)
    }
    expect(bestMs).toBeLessThan(10)
  })

  it('has it recorded as cancelled', async () => {
    const { json } = await call(`${server.url}/api/v1/log/query`, 'POST', {
      sql: `SELECT count(*) FROM predictions WHERE error = 'SERVING_CANCELLED'`,
    })
    expect(Number(json.rows[0][0])).toBe(cancelled)
  })

  it('counts among the errors', async () => {
    expect((await call(`${server.url}/metrics`, 'GET')).text).toContain(
      `ml_errors_total{code="SERVING_CANCELLED"} ${cancelled}`,
    )
  })
})

describe('the priority of a request', () => {
  it('is refused when no such priority exists', async () => {
    const reply = await call(server.url + INFER, 'POST', BODY, { headers: { 'headrace-priority': 'urgent' } })
    expect(reply).toMatchObject({ status: 400, json: { code: 'HTTP_PARAMETER_INVALID' } })
    expect(reply.json.error).toContain('urgent')
  })

  it.each(['high', 'normal', 'low'])('may be %s', async (priority) => {
    const headers = { 'headrace-priority': priority }
    const reply = await call(`${server.url}/v2/models/purchase-intent/infer`, 'POST', sessionRequest(), { headers })
    expect(reply.status).toBe(200)
  })
})
