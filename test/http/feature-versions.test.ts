// The shop's versions that are given features of the store, as their training script left them: without the store, from whole rows.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call } from '../support/http.js'
import { FEATURE_VERSIONS, inferInputs, parity } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const MODELS = join(import.meta.dirname, '../../examples/shop/models')
const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

beforeAll(async () => {
  for (const version of FEATURE_VERSIONS) {
    const to = join(folder, 'models', version)
    cpSync(join(MODELS, version), to, { recursive: true })
    const { featureService: _, ...manifest } = JSON.parse(readFileSync(join(to, 'model.json'), 'utf8'))
    writeFileSync(join(to, 'model.json'), JSON.stringify(manifest))
  }
  server = await startTestServer({ folder, models: [] })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

describe.each(FEATURE_VERSIONS)('%s', (version) => {
  it('answers as the library that trained it', async () => {
    const { model, version: number, rows, label, probabilities, tolerance } = parity(version.replace('/', '-'))
    expect(`${model}/${number}`).toBe(version)
    const path = `${server.url}/v2/models/${model}/versions/${number}`
    const { inputs } = (await call(path, 'GET')).json
    const { status, json } = await call(`${path}/infer`, 'POST', { inputs: inferInputs(rows, inputs) })
    expect(status).toBe(200)
    const [labels, probability] = json.outputs
    expect(labels.data).toEqual(label)
    const expected = probabilities.flat()
    expect(probability.data).toHaveLength(expected.length)
    const worst = Math.max(...expected.map((value, i) => Math.abs(value - probability.data[i])))
    expect(worst).toBeLessThanOrEqual(tolerance)
  })
})
