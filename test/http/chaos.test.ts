import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ModelName } from '../../src/core/index.js'
import { call } from '../support/http.js'
import { identityModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folders: string[] = []
let server: TestServer

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  folders.push(made)
  mkdirSync(join(made, 'models/echo/1'), { recursive: true })
  writeFileSync(join(made, 'models/echo/1/model.onnx'), identityModel('FP32', ['rows', 1]))
  writeFileSync(join(made, 'models/echo/1/model.json'), JSON.stringify({ isolation: 'thread' }))
  return made
}

const start = (config: Readonly<Record<string, Readonly<Record<string, unknown>>>>) =>
  startTestServer({ folder: folder(), models: [], config })

beforeAll(async () => {
  server = await start({ chaos: { enabled: true, maxDurationMs: 60_000 } })
})
afterEach(async () => {
  await call(`${server.url}/api/v1/chaos/faults`, 'DELETE')
})
afterAll(async () => {
  await server.close()
  for (const made of folders) rmSync(made, { recursive: true, force: true })
})

const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [1] }] }
const predict = (timeoutMs?: number) =>
  call(`${server.url}/v2/models/echo/infer`, 'POST', {
    ...body,
    ...(timeoutMs === undefined ? {} : { parameters: { timeout: timeoutMs * 1000 } }),
  })
const inject = (path: string, fault: object) => call(`${server.url}/api/v1/chaos/${path}`, 'POST', fault)
const status = async () => (await call(`${server.url}/api/v1/chaos`, 'GET')).json

describe('chaos mode', () => {
  it('is refused by a server that was not started for it', async () => {
    const other = await start({})
    try {
      const refused = await call(`${other.url}/api/v1/chaos/disk-full`, 'POST', {})
      expect(refused.status).toBe(403)
      expect(refused.json.code).toBe('CHAOS_DISABLED')
      expect((await call(`${other.url}/api/v1/chaos/faults`, 'DELETE')).status).toBe(403)
      expect((await call(`${other.url}/api/v1/chaos`, 'GET')).json).toEqual({ enabled: false, faults: [] })
    } finally {
      await other.close()
    }
  })

  it('starts on loopback only', async () => {
    const config = { chaos: { enabled: true }, server: { host: '0.0.0.0', insecure: true } }
    await expect(start(config)).rejects.toMatchObject({ code: 'CHAOS_NOT_LOOPBACK' })
  })

  it('delays a model, says so, is on record, and heals when it is told to', async () => {
    const injected = await inject('delay', { model: 'echo', ms: 120 })
    expect(injected.status).toBe(200)
    expect(injected.json).toMatchObject({ kind: 'delay', summary: 'delay echo by 120 ms' })
    const lasts = Date.parse(injected.json.endsAt) - Date.parse(injected.json.startedAt)
    expect(lasts).toBe(30_000)
    expect((await status()).faults).toMatchObject([{ id: injected.json.id }])
    const startMs = performance.now()
    expect((await predict()).status).toBe(200)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(119)
    const decision = await call(`${server.url}/api/v1/decisions/${injected.json.id}`, 'GET')
    expect(decision.json).toMatchObject({ canUndo: false, summary: expect.stringContaining('delay echo by 120 ms') })
    expect((await call(`${server.url}/api/v1/chaos/faults/${injected.json.id}`, 'DELETE')).json).toEqual({ healed: 1 })
    expect((await status()).faults).toEqual([])
    const again = await call(`${server.url}/api/v1/chaos/faults/${injected.json.id}`, 'DELETE')
    expect(again.json.code).toBe('CHAOS_FAULT_NOT_FOUND')
  })

  it('fails a model, and heals by itself', async () => {
    await inject('error', { model: 'echo', version: 1, durationMs: 200 })
    const failed = await predict()
    expect(failed.status).toBe(500)
    expect(failed.json.code).toBe('SERVING_RUN_FAILED')
    expect(failed.json.error).toContain('chaos')
    await vi.waitFor(async () => expect((await status()).faults).toEqual([]), 30_000)
    expect((await predict()).status).toBe(200)
  })

  it('hangs a model, whose callers get 504 at their deadline', async () => {
    const { json } = await inject('hang', { model: 'echo' })
    expect((await predict(50)).status).toBe(504)
    await call(`${server.url}/api/v1/chaos/faults/${json.id}`, 'DELETE')
    expect((await predict()).status).toBe(200)
  })

  it('ends the thread of a model, which is loaded again', async () => {
    // Before the fault: a thread can have ended, and its state changed, by the time the answer is here.
    const changes: string[] = []
    const isReadyAgain = new Promise<void>((resolve) => {
      server.app.pool.watch(({ state }) => {
        changes.push(state)
        if (state === 'ready') resolve()
      })
    })
    expect((await inject('kill/thread', { model: 'echo' })).json.summary).toBe('kill the thread or process of echo')
    await isReadyAgain
    expect(changes).toContain('loading')
    expect((await predict()).status).toBe(200)
    expect((await status()).faults).toEqual([])
  })

  it('ends the thread of a script under way, which another one takes the place of', async () => {
    mkdirSync(join(server.modelsFolder, 'rule/1'), { recursive: true })
    const script = `import { defineScript } from 'headrace'
      export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' },
        row: ({ x }) => (x === 13 ? new Promise(() => {}) : { y: x }) })`
    writeFileSync(join(server.modelsFolder, 'rule/1/model.mjs'), script)
    await vi.waitFor(() => expect(server.app.pool.latest('rule' as ModelName)).toBeDefined(), 30_000)
    const ask = (x: number) =>
      call(`${server.url}/v2/models/rule/infer`, 'POST', {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [x] }],
      })
    // Tried again should the kill overtake the call.
    await vi.waitFor(async () => {
      const hangs = ask(13)
      expect((await inject('kill/thread', { model: 'rule' })).status).toBe(200)
      expect((await hangs).json.code).toBe('SCRIPT_THREAD_ENDED')
    }, 30_000)
    expect((await ask(7)).status).toBe(200)
  })

  it('fills the disk: answers go on, decisions fail, and the log catches up when there is room', async () => {
    const { json } = await inject('disk-full', {})
    expect((await predict()).status).toBe(200)
    const refused = await call(`${server.url}/api/v1/models/echo/aliases/champion`, 'PUT', { version: 1 })
    expect(refused.status).toBe(503)
    expect(refused.json.code).toBe('STORE_FULL')
    await expect(server.app.log.flush()).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    await call(`${server.url}/api/v1/chaos/faults/${json.id}`, 'DELETE')
    await vi.waitFor(() => server.app.log.flush(), 30_000)
    const alias = await call(`${server.url}/api/v1/models/echo/aliases/champion`, 'PUT', { version: 1 })
    expect(alias.status).toBe(200)
  })

  it('puts the wall clock wrong, and right again', async () => {
    const year = 365 * 86_400_000
    const { json } = await inject('clock-skew', { ms: year })
    expect(server.app.platform.clock.nowMs()).toBeGreaterThan(Date.now() + year / 2)
    expect((await predict()).status).toBe(200)
    await call(`${server.url}/api/v1/chaos/faults/${json.id}`, 'DELETE')
    expect(Math.abs(server.app.platform.clock.nowMs() - Date.now())).toBeLessThan(10_000)
  })

  it.each([
    ['too long', 'disk-full', { durationMs: 60_001 }, 400, 'CHAOS_DURATION'],
    ['of no model', 'delay', { model: 'nobody', ms: 5 }, 404, 'SERVING_MODEL_NOT_FOUND'],
    ['of no version', 'hang', { model: 'echo', version: 9 }, 404, 'SERVING_VERSION_NOT_FOUND'],
    ['of Redis where there is none', 'redis', { mode: 'drop' }, 409, 'CHAOS_NOT_POSSIBLE'],
    ['of a worker where there is one process', 'kill/worker', {}, 409, 'CHAOS_NOT_POSSIBLE'],
    ['of a clock that never goes back', 'clock-skew', { ms: -5, clock: 'monotonic' }, 409, 'CHAOS_NOT_POSSIBLE'],
    ['without what it needs', 'delay', { model: 'echo' }, 400, 'HTTP_BODY_INVALID'],
    ['that fails more than every run', 'error', { model: 'echo', rate: 2 }, 400, 'HTTP_BODY_INVALID'],
  ])('refuses a fault %s', async (_, path, fault, code, error) => {
    const refused = await inject(path, fault)
    expect(refused.json.code).toBe(error)
    expect(refused.status).toBe(code)
    expect((await status()).faults).toEqual([])
  })
})
