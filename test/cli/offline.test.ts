// Commands without a server: they open the data folder themselves.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { headrace, headraceJson, LONG, makeFolder } from './support.js'

const { folder, remove } = makeFolder(['purchase-intent'])
afterAll(remove)

describe('without a server', LONG, () => {
  it('a prediction is made, logged, found and explained by four commands', async () => {
    const file = ['--file', 'samples/purchase-intent.json']
    const { predictions } = await headraceJson<{ predictions: { id: string }[] }>(
      folder,
      'predict',
      'purchase-intent',
      ...file,
    )
    expect(predictions).toHaveLength(5)
    const { id } = predictions[0]!
    expect((await headrace(folder, 'explain', id)).stdout).toContain('version 1 of purchase-intent')
    const sql = 'SELECT count(*) AS n FROM predictions'
    expect(await headraceJson(folder, 'log', 'query', sql)).toMatchObject({ rows: [[5]] })
    const tail = await headrace(folder, 'log', 'tail')
    expect(tail.status).toBe(0)
    expect(tail.stdout.trim().split('\n')).toHaveLength(6)
    expect(existsSync(join(folder, '.headrace/server.json'))).toBe(false)
  })

  it('aliases and decisions work too', async () => {
    expect((await headrace(folder, 'models', 'alias', 'purchase-intent', 'champion', '1')).status).toBe(0)
    expect((await headrace(folder, 'models', 'list')).stdout).toMatch(/purchase-intent +1 +champion +ready/)
    expect((await headrace(folder, 'decisions', 'verify')).stdout).toMatch(/^2 decisions, the chain holds/)
  })

  it('doctor checks ports, folders and each model, and fails for a model that does not load', async () => {
    interface Doctor {
      findings: { check: string; state: string; found: string }[]
    }
    // Ports that are free whatever else runs here.
    writeFileSync(join(folder, 'headrace.config.mjs'), 'export default { server: { port: 0, grpcPort: 0 } }')
    const { findings } = await headraceJson<Doctor>(folder, 'doctor')
    expect(findings.map(({ check }) => check)).toEqual([
      'Node.js',
      'machine',
      'ONNX Runtime',
      'configuration',
      'processes',
      'data folder',
      'disk',
      'port',
      'gRPC port',
      'model purchase-intent/1',
    ])
    const manifest = join(folder, 'models/purchase-intent/1/model.json')
    const text = readFileSync(manifest, 'utf8')
    writeFileSync(manifest, JSON.stringify({ ...JSON.parse(text), load: 'lazy' }))
    const rests = (await headraceJson<Doctor>(folder, 'doctor')).findings.at(-1)
    expect(rests).toEqual({ check: 'models at rest', state: 'ok', found: '1, loaded when they are asked for' })
    writeFileSync(manifest, text)
    writeFileSync(join(folder, 'models/purchase-intent/1/model.onnx'), 'PK\u0003\u0004 not a model')
    const { status, stdout } = await headrace(folder, 'doctor')
    expect(status).toBe(1)
    expect(stdout).toMatch(/^fail +model/m)
  })

  it('a server.json that a killed server left behind misleads nobody, whoever has its port now', async () => {
    const stranger = createServer((_, response) => response.end('{"pid": 1}')).listen(0, '127.0.0.1')
    await new Promise((resolve) => stranger.once('listening', resolve))
    const { port } = stranger.address() as AddressInfo
    // A process that is alive, and is no server of ours.
    const left = { url: `http://127.0.0.1:${port}`, pid: process.pid, startedAt: '', version: '0.1.0' }
    writeFileSync(join(folder, '.headrace/server.json'), JSON.stringify(left))
    const { stdout, status } = await headrace(folder, 'decisions', 'list', '--json')
    stranger.close()
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ decisions: [{}, {}] })
  })

  it('a server that is named and not there is status 4', async () => {
    const { status, stderr } = await headrace(folder, 'models', 'list', '--server', 'http://127.0.0.1:9', '--json')
    expect(status).toBe(4)
    expect(JSON.parse(stderr)).toMatchObject({ code: 'CLI_SERVER_UNREACHABLE' })
  })
})

describe('headrace init', LONG, () => {
  it('makes a project that serves, and never overwrites one', async () => {
    const made = await headraceJson<{ files: string[] }>(folder, 'init', 'shop', '--example')
    expect(made.files).toContain('headrace.config.ts')
    const project = join(folder, 'shop')
    expect(readFileSync(join(project, '.gitignore'), 'utf8')).toBe('.headrace/\n')
    const answer = await headrace(project, 'predict', 'fraud', '--file', 'samples/fraud.json')
    expect(answer.stdout.trim().split('\n')).toHaveLength(5)
    expect(await headrace(folder, 'init', 'shop')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^CLI_NOT_EMPTY/),
    })
    expect((await headrace(folder, 'init', 'bare')).stdout).toContain('Next: cd bare && headrace serve')
  })
})
