// MLflow's own clients, 2.x and 3.x, against `headrace serve`, with nothing set but the tracking URI. HEADRACE_TEST_MLFLOW3 and
// HEADRACE_TEST_MLFLOW2 name their interpreters.
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, LONG, ROOT, startServe } from '../cli/support.js'
import { casesOf } from './python.js'

interface Client {
  readonly version: string
  readonly python: string | undefined
}

const CLIENTS: readonly Client[] = [
  { version: '3', python: process.env['HEADRACE_TEST_MLFLOW3'] },
  { version: '2', python: process.env['HEADRACE_TEST_MLFLOW2'] },
]

/** A project of its own, without models. */
async function startProject(): Promise<{ server: CliServer; folder: string; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-mlflow-'))
  mkdirSync(join(folder, 'models'))
  writeFileSync(join(folder, 'headrace.config.ts'), "export default { name: 'mlflow' }\n")
  const server = await startServe(folder, '--grpc-port', '0', '--log-level', 'error')
  return {
    server,
    folder,
    async close() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const invalid = ['INVALID_PARAMETER_VALUE', true]
const unknown = ['RESOURCE_DOES_NOT_EXIST', true]
const exists = ['RESOURCE_ALREADY_EXISTS', true]

describe.each(CLIENTS)("MLflow's client $version", LONG, ({ version, python }) => {
  let project: Awaited<ReturnType<typeof startProject>>
  const saw = casesOf({
    file: 'mlflow_client.py',
    python: () => python,
    modules: ['mlflow', 'sklearn', 'skl2onnx', 'onnx'],
    args: async () => [`${project.server.url}/mlflow`, project.server.url],
  })
  beforeAll(async () => {
    if (python !== undefined) project = await startProject()
  }, LONG.timeout)
  afterAll(() => project?.close())

  it('makes, finds, renames, deletes and restores experiments', async ({ skip }) => {
    expect(await saw('experiments', skip)).toEqual({
      ...{ same: true, location: true, byTag: ['fraud/été 2026'], deleted: ['renamed'], taken: exists },
      ...{ default: 'Default', tags: { a: 'b' } },
    })
  })

  it('logs params, metrics with NaN and infinities, and tags', async ({ skip }) => {
    expect(await saw('logging', skip)).toEqual({
      ...{ name: 'first', status: 'FINISHED', ended: true, loss: 0.5, nan: true },
      params: { depth: '3', lr: '0.1', 'name with space': 'é' },
      ...{ infinities: [true, true], exact: [true, true] },
      tags: { kind: 'a b', 'mlflow.note': 'x', gone: null, emoji: '😀', 'mlflow.note.content': 'of all' },
    })
  })

  it('logs batches of a thousand points, with steps and times of 64 bits, and reads histories', async ({ skip }) => {
    expect(await saw('batches', skip)).toEqual({
      ...{ points: [1000, 1000, 1, 999], latest: 1, params: 100, bigLatest: 1, status: 'FAILED' },
      big: [
        [2, false, false],
        [1, true, true],
      ],
    })
  })

  it('is told at once of what is its own fault', async ({ skip }) => {
    expect(await saw('refusals', skip)).toEqual({
      ...{ 'param changed': invalid, 'unknown run': unknown, 'unknown experiment': unknown, 'deleted run': invalid },
      // The client of MLflow 2 finds the folder empty and has a code of its own for that.
      'no artifact': version === '2' ? ['INTERNAL_ERROR', true] : unknown,
      ...{ 'bad filter': invalid, or: invalid, 'too many': invalid, 'bad order': invalid },
      ...{ 'unknown model': unknown, 'unknown version': unknown, 'model there': exists, 'no alias': invalid },
    })
  })

  it('searches runs by metrics, params, tags and attributes, page by page', async ({ skip }) => {
    expect(await saw('searches', skip)).toEqual({
      ...{ default: [99, 99, 99], metric: [9, 10, 11], and: [6, 8, 10], like: [[], [11, 10, 1]] },
      ...{ 'params like': [0, 6], in: [7], 'numeric attribute': [1, 2] },
      pages: [
        [11, 10, 9, 8, 7],
        [6, 5, 2, 1, 0],
        [3, 4],
      ],
    })
  })

  it('uploads, lists, downloads and deletes artifacts of odd names', async ({ skip }) => {
    expect(await saw('artifacts', skip)).toEqual({
      root: [
        ['config.json', false],
        ['notes', true],
        ['out', true],
      ],
      ...{ out: true, size: [9], same: true, text: 'héllo', dict: { a: 1 } },
    })
  })

  it('logs data sets and finds runs by them', async ({ skip }) => {
    const tags = { 'mlflow.data.context': 'training' }
    expect(await saw('inputs', skip)).toEqual({ name: 'customers', digest: true, tags, found: true })
  })

  it('logs and registers a scikit-learn model, is told how it can be served, and loads it back', async ({ skip }) => {
    expect(await saw('sklearn model', skip)).toEqual({
      ...{ status: 'READY', run: true, same: true, stage: 'None' },
      told: expect.stringContaining('to_onnx'),
    })
  })

  it('logs and registers an ONNX model, which answers predictions at once, with aliases, stages and tags', async ({
    skip,
  }) => {
    expect(await saw('onnx model', skip)).toEqual({
      ...{ version: ['1', 'READY'], told: null, run: true, onnx: true, pyfunc: true, served: true },
      ...{ staged: ['1'], second: '2', found: [['2', 'again']], models: ['iris', 'iris sklearn é'] },
      model: ['flowers', { team: 'plants' }, { champion: '1' }],
      ...{ 'in use': ['RESOURCE_CONFLICT', true], 'no alias': invalid, renamed: 'renamed model.1', deleted: unknown },
    })
  })

  it('has one winner where several make the same, and a number for each version', async ({ skip }) => {
    const [taken] = exists
    expect(await saw('races', skip)).toEqual({
      ...{ experiment: [taken, taken, taken, 'ok'], model: [taken, taken, taken, 'ok'] },
      ...{ param: [invalid[0], invalid[0], invalid[0], 'ok'], versions: ['1', '2', '3', '4'] },
    })
  })

  if (version === '3') {
    it('keeps logged models with their own params, tags and metrics', async ({ skip }) => {
      expect(await saw('logged models', skip)).toEqual({
        ...{ status: 'READY', params: { depth: '3' }, tags: { extra: '1' }, metrics: [['auc', 0.8]] },
        ...{ found: [true], deleted: unknown },
      })
    })

    it('uploads a large file in parts', async ({ skip }) => {
      expect(await saw('multipart', skip)).toEqual({ same: true })
    })
  }
})

describe('requests that no client sends', LONG, () => {
  let project: Awaited<ReturnType<typeof startProject>>
  let api: string
  beforeAll(async () => {
    project = await startProject()
    api = `${project.server.url}/mlflow/api/2.0`
  }, LONG.timeout)
  afterAll(() => project?.close())

  async function post(path: string, body: string | Buffer, type = 'application/json') {
    const response = await fetch(`${api}/mlflow/${path}`, {
      method: 'POST',
      body: new Uint8Array(Buffer.from(body)),
      headers: { 'Content-Type': type },
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const newRun = async () => {
    const { body } = await post('runs/create', '{}')
    return (body['run'] as { info: { run_id: string } }).info.run_id
  }

  it('are refused with a 4xx and an error_code, whatever is wrong with them', async () => {
    const deep = '['.repeat(50_000)
    const runId = await newRun()
    const batch = (rest: string) => `{"run_id":"${runId}",${rest}}`
    const bad: [string, string | Buffer, string?][] = [
      ['experiments/create', ''],
      ['experiments/create', '{'],
      ['experiments/create', '[]'],
      ['experiments/create', 'null'],
      ['experiments/create', '{"name":1}'],
      ['experiments/create', '{"name":""}'],
      ['experiments/create', '{"name":"a\\u0000b"}'],
      ['experiments/create', '{"name":"\\ud800"}'],
      ['experiments/create', Buffer.from([0x7b, 0xff, 0x7d])],
      ['experiments/create', '{"name":"x"}', 'text/plain'],
      ['experiments/create', `{"name":"${'x'.repeat(501)}"}`],
      ['experiments/create', `{"name":"x","tags":${deep}`],
      ['experiments/create', `{"name":"x","tags":${deep}${']'.repeat(50_000)}}`],
      ['runs/log-batch', batch('"metrics":[{"key":"a","value":"one"}]')],
      ['runs/log-batch', batch('"metrics":[{"key":"a","value":1,"step":1.5}]')],
      ['runs/log-batch', batch('"metrics":[{"key":"a","value":1,"timestamp":9223372036854775808}]')],
      ['runs/log-batch', batch('"metrics":[{"key":"../a","value":1}]')],
      ['runs/log-batch', batch(`"params":[{"key":"a","value":"${'v'.repeat(6001)}"}]`)],
      ['runs/log-batch', batch(`"metrics":[${Array(1001).fill('{"key":"a","value":1}').join()}]`)],
      ['runs/log-batch', batch(`"tags":"${'x'.repeat(3_000_000)}"`)],
      ['runs/search', '{"experiment_ids":["0"],"max_results":0}'],
      ['runs/search', '{"experiment_ids":["0"],"page_token":"abc"}'],
      ['runs/search', '{"experiment_ids":[0]}'],
      ['runs/update', `{"run_id":"${runId}","status":"DONE"}`],
      ['registered-models/alias', '{"name":"none","alias":"v1","version":"1"}'],
      ['model-versions/create', '{"name":"none","source":"models:/m-1"}'],
      ['model-versions/transition-stage', '{"name":"none","version":"one","stage":"None"}'],
      ['nothing/here', '{}'],
    ]
    for (const [path, body, type] of bad) {
      const { status, body: answer } = await post(path, body, type)
      const name = `${path} ${String(body).slice(0, 100)}`
      expect(status, `${name}: ${JSON.stringify(answer)}`).toBeGreaterThanOrEqual(400)
      expect([408, 429], name).not.toContain(status)
      expect(status, name).toBeLessThan(500)
      expect(answer, name).toEqual({ error_code: expect.any(String), message: expect.any(String) })
    }
  })

  it('find that numbers of 64 bits and bare NaN come back as they were sent', async () => {
    const runId = await newRun()
    await post(
      'runs/log-batch',
      `{"run_id":"${runId}","metrics":[{"key":"a","value":NaN,"timestamp":9223372036854775807,"step":"-9223372036854775808"}]}`,
    )
    const text = await (await fetch(`${api}/mlflow/runs/get?run_id=${runId}`)).text()
    expect(text).toContain('{"key":"a","value":"NaN","timestamp":9223372036854775807,"step":-9223372036854775808}')
  })

  it('do not lead out of the artifacts', async () => {
    const paths = ['..%2fx', 'a/..%2f..%2fx', 'a//b', 'a%5cb', 'a%00b', 'registered-models/x/1/MLmodel']
    for (const path of paths) {
      const response = await fetch(`${api}/mlflow-artifacts/artifacts/${path}`, { method: 'PUT', body: 'x' })
      expect(response.status, path).toBe(400)
    }
    expect((await fetch(`${api}/mlflow-artifacts/artifacts/0/none.txt`)).status).toBe(404)
    expect((await fetch(`${api}/mlflow-artifacts/artifacts?path=..`)).status).toBe(400)
  })

  it('get the part of a file that they ask for', async () => {
    const file = `${api}/mlflow-artifacts/artifacts/0/file.bin`
    const bytes = randomBytes(100_000)
    await fetch(file, { method: 'PUT', body: new Uint8Array(bytes) })
    const part = async (range: string) => {
      const response = await fetch(file, { headers: { Range: range } })
      return [response.status, Buffer.from(await response.arrayBuffer())] as const
    }
    expect(await part('bytes=10-19')).toEqual([206, bytes.subarray(10, 20)])
    expect(await part('bytes=99990-')).toEqual([206, bytes.subarray(99_990)])
    expect(await part('bytes=-10')).toEqual([206, bytes.subarray(99_990)])
    expect((await part('bytes=100000-'))[0]).toBe(416)
    const whole = await fetch(file)
    const digest = createHash('sha256').update(bytes).digest('hex')
    expect([whole.headers.get('etag'), whole.headers.get('content-length')]).toEqual([`"sha256:${digest}"`, '100000'])
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
  })

  it('leave nothing behind when an upload is cut half way', async () => {
    const { hostname, port } = new URL(api)
    await new Promise<void>((resolve) => {
      const upload = request({
        ...{ hostname, port, method: 'PUT', path: '/mlflow/api/2.0/mlflow-artifacts/artifacts/0/cut.bin' },
        headers: { 'Content-Length': 10_000_000 },
      })
      upload.on('error', () => resolve())
      upload.write(randomBytes(1_000_000), () => upload.destroy(new Error('cut')))
    })
    const uploads = join(project.folder, '.headrace', 'uploads')
    await expect.poll(() => readdirSync(uploads), { timeout: 30_000 }).toEqual([])
    expect((await fetch(`${api}/mlflow-artifacts/artifacts/0/cut.bin`)).status).toBe(404)
  })
})

it('prints what the guide says', LONG, async ({ skip }) => {
  const [{ python }] = CLIENTS as readonly [Client]
  if (python === undefined) return skip('no Python with mlflow 3 is named by HEADRACE_TEST_MLFLOW3')
  const page = readFileSync(join(ROOT, 'docs/mlflow.md'), 'utf8')
  const blocks = (language: string) =>
    [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!).join('')
  const { server, folder, close } = await startProject()
  try {
    const code = blocks('python').replaceAll('127.0.0.1:8080', new URL(server.url).host)
    const { stdout } = await promisify(execFile)(python, ['-W', 'ignore', '-c', code], {
      cwd: folder,
      env: {
        ...process.env,
        MLFLOW_TRACKING_URI: `${server.url}/mlflow`,
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: 'true',
      },
    })
    expect(stdout).toBe(blocks('text'))
  } finally {
    await close()
  }
})
