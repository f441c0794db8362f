// Many models in little memory, over HTTP: what callers notice of versions that rest, wake and lose their files.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mlpModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const INPUTS = 64
const infer = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, INPUTS], data: Array(INPUTS).fill(0.5) }] }

let folder: string
let server: TestServer
const lines: Record<string, unknown>[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-pool-'))
  for (let i = 0; i < 6; i++) {
    const version = join(folder, 'models', `m${i}`, '1')
    await mkdir(version, { recursive: true })
    await writeFile(join(version, 'model.onnx'), mlpModel({ inputs: INPUTS, hidden: [2048], outputs: 2, seed: i }))
  }
  const log = (fields: object, message: string) => void lines.push({ ...fields, message })
  const logger: object = { debug() {}, info: log, warn: log, error: log, child: () => logger }
  server = await startTestServer({
    folder,
    models: [],
    config: { serving: { pool: { load: 'lazy', budgetMb: 3 } } },
    platform: { logger: logger as never },
  })
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

async function call(model: string) {
  const reply = await fetch(`${server.url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(infer),
  })
  return { status: reply.status, json: (await reply.json()) as { outputs?: { data: number[] }[] } }
}

async function states(): Promise<Record<string, string>> {
  const { models } = (await (await fetch(`${server.url}/api/v1/models`)).json()) as {
    models: { name: string; versions: { state: string }[] }[]
  }
  return Object.fromEntries(models.map(({ name, versions }) => [name, versions[0]!.state]))
}

describe('a server whose memory holds a part of its models', () => {
  it('is ready without having loaded any, and loads what is asked for', async () => {
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
    expect(new Set(Object.values(await states()))).toEqual(new Set(['resting']))
    expect((await call('m0')).status).toBe(200)
    expect((await states())['m0']).toBe('ready')
  })

  it('answers for all of them, one after the other', async () => {
    for (let i = 0; i < 6; i++) expect((await call(`m${i}`)).status).toBe(200)
    const after = Object.values(await states())
    expect(after.filter((state) => state === 'resting').length).toBeGreaterThanOrEqual(3)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(Number(/ml_pool_used_bytes (\d+)/.exec(metrics)![1])).toBeLessThanOrEqual(3 * 2 ** 20)
    expect(Number(/ml_pool_evictions_total\{reason="pressure"\} (\d+)/.exec(metrics)![1])).toBeGreaterThanOrEqual(3)
  })

  it('answers from a copy when the files of one that rests are damaged, and says so', async () => {
    const before = (await call('m5')).json.outputs
    // Copies are made beside everything else.
    const copies = async () => (await readdir(join(folder, '.headrace', 'artifacts'))).filter((name) => name[0] !== '.')
    await expect.poll(async () => (await copies()).length).toBe(6)
    await writeFile(join(folder, 'models', 'm5', '1', 'model.onnx'), 'nonsense')
    for (let i = 0; (await states())['m5'] !== 'resting'; i++) expect((await call(`m${i % 5}`)).status).toBe(200)
    expect((await call('m5')).json.outputs).toEqual(before)
    expect(lines.some(({ model, message }) => model === 'm5' && String(message).includes('its copy is loaded'))).toBe(
      true,
    )
  })

  it('describes what rests without waking it', async () => {
    for (let i = 0; (await states())['m0'] !== 'resting'; i++) await call(`m${1 + (i % 4)}`)
    const reply = await fetch(`${server.url}/v2/models/m0`)
    expect(((await reply.json()) as { inputs: unknown[] }).inputs).toEqual([
      { name: 'x', datatype: 'FP32', shape: [-1, INPUTS] },
    ])
    expect((await states())['m0']).toBe('resting')
  })
})
