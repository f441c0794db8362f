// A server with versions in child processes, as its callers see it when those crash and hang.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ModelHeldInLoading, writeModelHeldInLoading } from '../support/held-model.js'
import { call } from '../support/http.js'
import { linearModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let held: ModelHeldInLoading

function addOnnx(model: string, version: number, manifest: object): void {
  const made = join(folder, 'models', model, String(version))
  mkdirSync(made, { recursive: true })
  writeFileSync(join(made, 'model.json'), JSON.stringify(manifest))
  writeFileSync(join(made, 'model.onnx'), linearModel([version]))
}

beforeAll(async () => {
  // What is asked while a process is away needs no speed then.
  held = writeModelHeldInLoading(folder, 'apart', 1, { isolation: 'process' })
  writeModelHeldInLoading(folder, 'pair', 2, { isolation: 'process' })
  held.letLoad()
  addOnnx('pair', 1, { isolation: 'thread' })
  addOnnx('wedged', 1, { isolation: 'thread', timeoutMs: 1000 })
  server = await startTestServer({ folder, models: [], config: { chaos: { enabled: true } } })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const predict = (path: string) =>
  call(`${server.url}/v2/models/${path}/infer`, 'POST', {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [10] }],
  })
const kill = (model: string, version: number) =>
  call(`${server.url}/api/v1/chaos/kill/thread`, 'POST', { model, version })
const isReady = async (path: string) => (await call(`${server.url}/v2/models/${path}/ready`, 'GET')).status === 200
const metrics = async () => (await fetch(`${server.url}/metrics`)).text()

describe('a version in a process', () => {
  it('answers like any other', async () => {
    const { status, json } = await predict('apart')
    expect(status).toBe(200)
    expect(json.outputs[0].data).toEqual([10])
    expect(await metrics()).toContain('ml_process_up{group="apart"} 1')
  })

  it('is not ready while its process is away, and is back by itself', async () => {
    held.hold()
    expect((await kill('apart', 1)).status).toBe(200)
    await expect.poll(() => isReady('apart')).toBe(false)
    const refused = await predict('apart/versions/1')
    expect([refused.status, refused.json.code]).toEqual([503, 'SERVING_MODEL_UNREADY'])
    held.letLoad()
    await expect.poll(() => isReady('apart')).toBe(true)
    expect((await predict('apart')).json.outputs[0].data).toEqual([10])
  })

  it('leaves its endpoint to the version before while its process is away', async () => {
    expect((await predict('pair')).json.outputs[0].data).toEqual([20])
    held.hold()
    await kill('pair', 2)
    await expect.poll(() => isReady('pair/versions/2')).toBe(false)
    expect((await predict('pair')).json.outputs[0].data).toEqual([10])
    held.letLoad()
    await expect.poll(async () => (await predict('pair')).json.outputs[0].data[0]).toBe(20)
  })
})

describe('a version in a thread whose runs hang', () => {
  it('is moved to a process, where it answers although nobody healed the fault', async () => {
    await call(`${server.url}/api/v1/chaos/hang`, 'POST', { model: 'wedged' })
    expect((await predict('wedged')).status).toBe(504)
    await expect.poll(async () => (await predict('wedged')).json.outputs?.[0].data[0]).toBe(10)
    expect(await metrics()).toContain('ml_moved_to_process_total{model="wedged",version="1"} 1')
    await call(`${server.url}/api/v1/chaos/faults`, 'DELETE')
  })
})
