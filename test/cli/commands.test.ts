// Every command as a client of a running server.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BIN,
  type CliServer,
  headrace,
  headraceJson,
  LONG,
  makeFolder,
  ROOT,
  SHOP,
  startNode,
  startServe,
} from './support.js'

const { folder, remove } = makeFolder(['fraud', 'purchase-intent'])
let server: CliServer

beforeAll(async () => {
  server = await startServe(folder)
})
afterAll(async () => {
  await server.stop()
  remove()
})

const run = (...args: string[]) => headrace(folder, ...args)
const json = <T>(...args: string[]) => headraceJson<T>(folder, ...args)

interface Answer {
  readonly id: string
  readonly version: number
  readonly outputs: { readonly label: string }
}

describe('headrace console', LONG, () => {
  it('prints where the console of the running server is, and opens it when asked', async () => {
    expect(await run('console')).toMatchObject({ status: 0, stdout: `${server.url}/console/\n` })
    const opener = process.platform === 'darwin' ? 'open' : 'xdg-open'
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    const node = `#!${process.execPath}\n`
    writeFileSync(join(bin, opener), `${node}require('fs').writeFileSync('opened', process.argv[2])`, { mode: 0o755 })
    const opened = await startNode([BIN, 'console', '--open'], folder, { PATH: bin }).finished
    expect(opened).toMatchObject({ status: 0, stdout: `${server.url}/console/\n` })
    await expect
      .poll(() => existsSync(join(folder, 'opened')) && readFileSync(join(folder, 'opened'), 'utf8'), LONG)
      .toBe(`${server.url}/console/`)
    const unable = await startNode([BIN, 'console', '--open'], folder, { PATH: folder }).finished
    expect(unable).toMatchObject({ status: 1, stderr: expect.stringMatching(/^CLI_NO_OPENER: .*console\//) })
  })

  it('says that no server runs', async () => {
    const other = makeFolder(['fraud'])
    try {
      const { status, stderr } = await headrace(other.folder, 'console')
      expect({ status, stderr }).toEqual({ status: 4, stderr: expect.stringMatching(/^CLI_NO_SERVER: .*serve/) })
    } finally {
      other.remove()
    }
  })
})

describe('headrace predict', LONG, () => {
  it('prints a readable line for each row of a sample file', async () => {
    const { status, stdout } = await run('predict', 'fraud', '--file', 'samples/fraud.json')
    expect(status).toBe(0)
    const lines = stdout.trim().split('\n')
    expect(lines).toHaveLength(5)
    expect(lines[4]).toMatch(
      /^label: fraud {2}probabilities: legitimate 0\.0\d+, fraud 0\.91\d+ {2}\(fraud\/2, id [0-9a-f-]{36}\)$/,
    )
  })

  it('takes name=value pairs and a unit, and prints the API’s answer with --json', async () => {
    const { rows } = JSON.parse(readFileSync(join(folder, 'samples/purchase-intent.json'), 'utf8')) as {
      rows: Record<string, number>[]
    }
    const pairs = Object.entries(rows[3]!).map(([name, value]) => `${name}=${value}`)
    const answer = await json<Answer>('predict', 'purchase-intent', ...pairs, '--unit', 'shopper-7')
    expect(answer).toMatchObject({ endpoint: 'purchase-intent', version: 1, outputs: { label: 'purchases' } })
  })

  it('suggests the endpoint that was probably meant, and ends with status 3', async () => {
    const { status, stderr } = await run('predict', 'frud', 'amount=1')
    expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining('Did you mean "fraud"?') })
    expect(stderr).toMatch(/^PATH_ENDPOINT_NOT_FOUND: /)
  })

  it('says errors as JSON with --json, wherever it stands', async () => {
    for (const args of [
      ['--json', 'predict', 'frud', 'amount=1'],
      ['predict', 'frud', 'amount=1', '--json'],
    ]) {
      const { stdout, stderr } = await run(...args)
      expect(stdout).toBe('')
      expect(JSON.parse(stderr)).toEqual({ code: 'PATH_ENDPOINT_NOT_FOUND', error: expect.any(String) })
    }
  })

  it('ends with status 1 when the row is wrong', async () => {
    const { status, stderr } = await run('predict', 'fraud', 'amount=abc')
    expect(status).toBe(1)
    expect(stderr).toMatch(/^TENSOR_FEATURE_/)
  })
})

describe('headrace explain and headrace log', LONG, () => {
  it('explain the prediction that was just made', async () => {
    const [{ id }] = (await json<{ predictions: [Answer] }>('predict', 'fraud', '--file', 'samples/fraud.json'))
      .predictions
    const text = (await run('explain', id)).stdout
    expect(text).toContain(`prediction ${id}`)
    expect(text).toContain('version 2 of fraud')
    expect(text).toMatch(/amount +FP32 +\[1, 1\] +134\.27/)
    expect(await json('explain', id)).toMatchObject({ id, prediction: { id, kind: 'prediction', endpoint: 'fraud' } })
    const sql = `SELECT endpoint, version FROM predictions WHERE id = '${id}'`
    expect(await json('log', 'query', sql)).toMatchObject({ rows: [['fraud', 2]], truncated: false })
    expect((await run('log', 'query', sql)).stdout).toBe('endpoint  version\nfraud     2\n')
  })

  it('follow the log from a position, and from now on', async () => {
    const { stdout } = await run('log', 'tail', '--from', '1', '--limit', '2')
    const records = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { seq: number; kind: string })
    expect(records).toMatchObject([
      { seq: 1, kind: 'decision' },
      { seq: 2, kind: 'decision' },
    ])
    const following = run('log', 'tail', '--limit', '1')
    const isDone = following.then(() => true)
    while (!(await Promise.race([isDone, run('predict', 'fraud', '--file', 'samples/fraud.json').then(() => false)])));
    expect(JSON.parse((await following).stdout)).toMatchObject({ kind: 'prediction', endpoint: 'fraud' })
  })

  it('say what is wrong with a query', async () => {
    const { status, stderr } = await run('log', 'query', 'SELECT nonsense FROM predictions')
    expect(status).toBe(1)
    expect(stderr).toMatch(/^LOG_QUERY_FAILED: .*nonsense/)
  })

  it('end with status 3 for a prediction that is not there', async () => {
    expect(await run('explain', 'nope')).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/^APP_PREDICTION_NOT_FOUND/),
    })
  })
})

describe('headrace models, endpoints and decisions', LONG, () => {
  it('list and show what is served', async () => {
    expect(await json('models', 'list')).toMatchObject({
      models: [
        {
          name: 'fraud',
          versions: [
            { version: 1, state: 'ready' },
            { version: 2, state: 'ready' },
          ],
        },
        { name: 'purchase-intent', versions: [{ version: 1, state: 'ready' }] },
      ],
    })
    expect((await run('models', 'list')).stdout).toMatch(/^fraud +2 +ready +\w+ +~?[0-9.]+ MB +sha256:[0-9a-f]+$/m)
    expect((await run('models', 'show', 'fraud')).stdout).toMatch(/labels +legitimate, fraud/)
    expect(await json('endpoints', 'list')).toMatchObject({ endpoints: [{ name: 'fraud', origin: 'implicit' }, {}] })
    expect((await run('endpoints', 'show', 'fraud')).stdout).toMatch(/amount +number/)
    expect((await run('models', 'show', 'frod')).status).toBe(3)
  })

  it('unload a model and load it with a config', async () => {
    expect(await json('models', 'unload', 'purchase-intent')).toEqual({ name: 'purchase-intent', unload: true })
    expect((await run('models', 'list')).stdout).toMatch(/^purchase-intent +1 +unloaded/m)
    const config = '{"max_batch_size": 16}'
    const { status, stdout } = await run('models', 'load', 'purchase-intent', '--config', config)
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('Loaded purchase-intent.') })
    const wrong = await run('models', 'load', 'purchase-intent', '--config', '{"max_batch_sice": 16}')
    expect(wrong).toMatchObject({ status: 1, stderr: expect.stringContaining('max_batch_size') })
    expect((await run('models', 'load', 'frod')).status).toBe(3)
    expect((await run('models', 'load', 'purchase-intent')).status).toBe(0)
  })

  it('move an alias, point an endpoint at it, and take both back', async () => {
    const alias = await json<{ id: string }>('models', 'alias', 'fraud', 'champion', '1', '--reason', 'a test')
    const reader = await json<Answer>('predict', 'fraud', '--input', JSON.stringify(firstPayment()))
    expect(reader.version).toBe(1)
    const point = await json<{ id: string }>('endpoints', 'point', 'checkout', 'fraud', '@champion')
    expect(await json('predict', 'checkout', '--input', JSON.stringify(firstPayment()))).toMatchObject({ version: 1 })
    expect(await run('models', 'unalias', 'fraud', 'champion')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^REGISTRY_ALIAS_IN_USE/),
    })

    expect((await run('decisions', 'list')).stdout).toMatch(/alias\.set +fraud@champion +person/)
    expect(await json('decisions', 'list', '--kind', 'alias.set')).toMatchObject({ decisions: [{ id: alias.id }] })
    expect((await run('decisions', 'show', alias.id)).stdout).toContain('a test')
    expect((await run('decisions', 'undo', point.id)).stdout).toContain('undo of endpoint.point checkout')
    expect((await run('predict', 'checkout', 'amount=1')).status).toBe(3)
    expect((await run('models', 'unalias', 'fraud', 'champion')).status).toBe(0)
    expect((await run('decisions', 'verify')).stdout).toMatch(/^\d+ decisions, the chain holds\./)
    expect(await run('decisions', 'show', 'nope')).toMatchObject({ status: 3 })
  })

  it('push a script into the models folder, never over HTTP', async () => {
    const file = join(SHOP, 'models/fraud-rule/1/model.ts')
    expect(await json('models', 'push', 'rule', file)).toMatchObject({ model: 'rule', version: 1 })
    expect(readFileSync(join(folder, 'models/rule/1/model.ts'))).toEqual(readFileSync(file))
    await expect
      .poll(async () => (await run('predict', 'rule', '--file', 'samples/fraud.json')).stdout, { timeout: 60_000 })
      .toMatch(/\(rule\/1, id /)
    expect(await run('models', 'push', 'rule', file, '--server', server.url)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^CLI_SCRIPT_NOT_SENT/),
    })
    const body = readFileSync(file)
    const headers = { 'content-type': 'application/octet-stream' }
    const upload = await fetch(`${server.url}/api/v1/models/rule/versions`, { method: 'POST', headers, body })
    expect(await upload.json()).toMatchObject({
      code: 'REGISTRY_NOT_ONNX',
      error: expect.stringContaining('not taken over HTTP'),
    })
  })

  it('push a version, find the same again, and push it all the same when asked to', async () => {
    const file = join(folder, 'models/purchase-intent/1/model.onnx')
    const manifest = join(folder, 'models/purchase-intent/1/model.json')
    const push = ['models', 'push', 'intent', file, '--manifest', manifest]
    expect(await json(...push)).toMatchObject({ model: 'intent', version: 1 })
    expect(await json(...push)).toMatchObject({ model: 'intent', version: 1, isNew: false })
    expect((await run(...push)).stdout).toContain('--allow-same')
    expect((await run(...push, '--allow-same')).stdout).toMatch(/^Pushed intent\/2 \(sha256:/)
    expect(await run('models', 'push', 'intent', 'samples/fraud.json')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^REGISTRY_NOT_ONNX: "samples\/fraud.json"/),
    })
    expect(await run('models', 'push', 'intent', 'nowhere.onnx')).toMatchObject({
      status: 2,
      stderr: 'CLI_FILE_UNREADABLE: nowhere.onnx cannot be read: there is no such file.\n',
    })
  })
})

describe('headrace doctor', LONG, () => {
  it('finds the running server and every model fit', async () => {
    const { findings } = await json<{ findings: { check: string; state: string }[] }>('doctor')
    const checks = findings.map(({ check, state }) => `${check}: ${state}`)
    expect(checks).toContain('server: ok')
    expect(checks).toContain('model fraud/2: ok')
    expect(findings.filter(({ state }) => state === 'fail')).toEqual([])
  })
})

describe('headrace types', LONG, () => {
  it('writes types that make a wrong feature a compile error', async () => {
    const project = join(folder, 'application')
    mkdirSync(join(project, 'node_modules'), { recursive: true })
    symlinkSync(ROOT, join(project, 'node_modules/headrace'))
    writeFileSync(join(project, 'package.json'), '{"type": "module"}')
    expect(await json('types', '--out', join(project, 'project.ts'))).toEqual({ file: join(project, 'project.ts') })
    expect((await run('types')).stdout).toBe(readFileSync(join(project, 'project.ts'), 'utf8'))
    const use = (amount: string) => `import { createClient } from 'headrace/client'
import type { Project } from './project.js'
const client = createClient<Project>()
const payment = { ${Object.entries(firstPayment())
      .filter(([name]) => name !== 'amount')
      .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
      .join(', ')} }
const label: 'legitimate' | 'fraud' = (await client.predict('fraud', { ...payment, amount: ${amount} })).outputs.label
export { label }
`
    writeFileSync(join(project, 'right.ts'), use('12'))
    writeFileSync(join(project, 'wrong.ts'), use(`'12'`))
    writeFileSync(join(project, 'short.ts'), use('12').replace('{ ...payment, amount: 12 }', `{ amount: '12' }`))
    expect(await compile(project, 'right.ts')).toBe('')
    expect(await compile(project, 'wrong.ts')).toMatch(/wrong\.ts\(5,\d+\): error TS/)
    expect(await compile(project, 'short.ts')).toMatch(/short\.ts\(5,\d+\): error TS/)
  })
})

function firstPayment(): Record<string, unknown> {
  const { rows } = JSON.parse(readFileSync(join(folder, 'samples/fraud.json'), 'utf8')) as {
    rows: Record<string, unknown>[]
  }
  return rows[0]!
}

/** What the compiler says. */
async function compile(project: string, file: string): Promise<string> {
  const options = '--noEmit --strict --target es2022 --module nodenext --lib es2023,dom --types --pretty false'
  const { stdout } = await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), [...options.split(' '), file], {
    cwd: project,
  }).catch((error: { stdout: string }) => error)
  return stdout
}
