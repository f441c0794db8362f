// The first request to a model that was never loaded: its body arrives in pieces while the model loads.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RawConnection, rawRequest } from '../support/http.js'
import { identityModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: [],
    config: { serving: { pool: { load: 'lazy' } } },
    beforeStart: async () => {
      for (const name of ['a', 'b']) {
        mkdirSync(join(folder, `models/${name}/1`), { recursive: true })
        writeFileSync(join(folder, `models/${name}/1/model.onnx`), identityModel('FP32'))
      }
    },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const stateOf = (model: string) => server.app.pool.statuses().find(({ ref }) => ref.model === model)?.state

const DATA = [1, 2, 3, 4]
const BODY = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: DATA }] })
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

const chunked = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(BODY.slice(0, 20))}${chunk(BODY.slice(20))}0\r\n\r\n`

it.each([
  ['with its length', 'a', (path: string) => rawRequest('POST', path, BODY)],
  ['in chunks', 'b', chunked],
])('a body that comes %s is read while its model loads', async (_, model, request) => {
  const text = request(`/v2/models/${model}/infer`)
  const bodyStart = text.indexOf('\r\n\r\n') + 4
  const connection = await RawConnection.open(server.port)
  expect(stateOf(model)).toBe('resting')
  await connection.write(text.slice(0, bodyStart + 5))
  await connection.write(text.slice(bodyStart + 5, bodyStart + 30))
  while (stateOf(model) !== 'ready') await nextTurn()
  await connection.write(text.slice(bodyStart + 30))
  const reply = await connection.read()
  expect(reply?.status).toBe(200)
  expect(reply?.json.outputs[0].data).toEqual(DATA)
  connection.close()
})
