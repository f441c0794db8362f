// `headrace serve`: what it takes, when it is ready, how it ends, and when it picks up a new version.
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  BIN,
  type CliServer,
  headrace,
  headraceJson,
  LONG,
  makeFolder,
  SHOP,
  startNode,
  startServe,
} from './support.js'

function folderWith(...models: string[]): string {
  const { folder, remove } = makeFolder(models)
  onTestFinished(remove)
  return folder
}

async function serve(folder: string, ...args: string[]): Promise<CliServer> {
  const server = await startServe(folder, ...args)
  onTestFinished(async () => {
    server.child.kill('SIGKILL')
  })
  return server
}

const SESSION = {
  inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 10], data: [9, 229, 9, 2, 35.57, 1, 15, 1, 1, 17] }],
}

function infer(url: string, model = 'purchase-intent'): Promise<Response> {
  const headers = { 'Content-Type': 'application/json' }
  return fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', headers, body: JSON.stringify(SESSION) })
}

describe('headrace serve', LONG, () => {
  it('serves one .onnx file with no configuration at all', async () => {
    const folder = folderWith()
    copyFileSync(join(SHOP, 'models/purchase-intent/1/model.onnx'), join(folder, 'intent.onnx'))
    const server = await serve(folder, 'intent.onnx')
    const answer = (await (await infer(server.url, 'intent')).json()) as { model_version: string; outputs: unknown[] }
    expect(answer).toMatchObject({ model_name: 'intent', model_version: '1' })
    expect(answer.outputs).toHaveLength(2)
    // What is pushed is kept by the registry, beside the file.
    expect((await headrace(folder, 'models', 'push', 'intent', 'intent.onnx')).stdout).toMatch(/^Pushed intent\/2 /)
    expect((await server.stop()).status).toBe(0)
  })

  it('serves a models folder, and keeps its data where --data-dir says', async () => {
    const folder = folderWith('purchase-intent')
    const server = await serve(folder, 'models', '--data-dir', 'elsewhere')
    expect((await infer(server.url)).status).toBe(200)
    const { pid, url } = JSON.parse(readFileSync(join(folder, 'elsewhere/server.json'), 'utf8')) as {
      pid: number
      url: string
    }
    expect({ pid, url }).toEqual({ pid: server.child.pid, url: server.url })
    const listed = await headraceJson<{ models: unknown[] }>(folder, 'models', 'list', '--data-dir', 'elsewhere')
    expect(listed.models).toHaveLength(1)
  })

  it('answers what is in flight and flushes the log on SIGTERM: under load no request fails', async () => {
    const folder = folderWith('purchase-intent')
    const server = await serve(folder)
    const statuses: number[] = []
    let isRefused = false
    // A caller stops when the server no longer accepts; a request that was accepted has to be answered.
    const caller = async (): Promise<void> => {
      while (!isRefused) {
        try {
          const response = await infer(server.url)
          await response.json()
          statuses.push(response.status)
        } catch (error) {
          const { code } = (error as { cause: { code?: string } }).cause
          if (code !== 'ECONNREFUSED') statuses.push(0)
          isRefused = true
        }
      }
    }
    const callers = Promise.all([caller(), caller(), caller(), caller()])
    while (statuses.length < 200) await new Promise((resolve) => setImmediate(resolve))
    const { status, stderr } = await server.stop()
    await callers
    expect(status).toBe(0)
    expect(stderr).toContain('"msg":"stopped"')
    const answered = statuses.filter((each) => each === 200).length
    expect(new Set(statuses)).toEqual(new Set([200]))
    const sql = 'SELECT count(*) FROM predictions WHERE error IS NULL'
    const { rows } = await headraceJson<{ rows: number[][] }>(folder, 'log', 'query', sql)
    expect(rows).toEqual([[answered]])
  })

  it('serves a version that is copied slowly only when it is complete', async () => {
    const folder = folderWith('purchase-intent')
    const server = await serve(folder)
    const content = readFileSync(join(folder, 'models/purchase-intent/1/model.onnx'))
    mkdirSync(join(folder, 'models/purchase-intent/2'))
    copyFileSync(
      join(folder, 'models/purchase-intent/1/model.json'),
      join(folder, 'models/purchase-intent/2/model.json'),
    )
    const file = openSync(join(folder, 'models/purchase-intent/2/model.onnx'), 'w')
    const versionOf = async (): Promise<string> =>
      ((await (await infer(server.url)).json()) as { model_version: string }).model_version
    const PARTS = 6
    for (let part = 0; part < PARTS; part++) {
      writeSync(
        file,
        content.subarray(
          Math.floor((content.length * part) / PARTS),
          Math.floor((content.length * (part + 1)) / PARTS),
        ),
      )
      if (part === PARTS - 1) break
      // Longer than the time for which a version has to be unchanged, so that only its content can say that more will come.
      await new Promise((resolve) => setTimeout(resolve, 700))
      expect(await versionOf()).toBe('1')
    }
    while ((await versionOf()) === '1') await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await versionOf()).toBe('2')
    const { models } = await headraceJson<{ models: { versions: { state: string }[] }[] }>(folder, 'models', 'list')
    expect(models[0]?.versions.map(({ state }) => state)).toEqual(['ready', 'ready'])
  })

  it('ends when its one file is no model, and lets go of the data folder', async () => {
    const folder = folderWith()
    writeFileSync(join(folder, 'rows.onnx'), '{"rows": []}')
    const { status, stderr } = await headrace(folder, 'serve', 'rows.onnx', '--port', '0', '--log-level', 'error')
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/^REGISTRY_NOT_ONNX: /) })
    expect(existsSync(join(folder, '.headrace/server.json'))).toBe(false)
  })

  it('ends in good order when it is stopped while its models load', async () => {
    const folder = folderWith('fraud', 'purchase-intent')
    const { child, finished } = startNode([BIN, 'serve', '--port', '0', '--log-level', 'error'], folder)
    while (!existsSync(join(folder, '.headrace/server.json'))) await new Promise((resolve) => setImmediate(resolve))
    child.kill('SIGTERM')
    expect(await finished).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(existsSync(join(folder, '.headrace/server.json'))).toBe(false)
  })

  it('refuses a data folder that another server has open, with its process and what to do', async () => {
    const folder = folderWith('purchase-intent')
    const server = await serve(folder)
    const { status, stderr } = await headrace(folder, 'serve', '--port', '0')
    expect(status).toBe(4)
    expect(stderr).toMatch(/^STORE_FOLDER_LOCKED: /)
    expect(stderr).toContain(`process ${server.child.pid}`)
  })

  it('refuses a port that is in use, an address beyond loopback and a bad configuration', async () => {
    const folder = folderWith()
    mkdirSync(join(folder, 'models'))
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    expect(await headrace(folder, 'serve', '--port', String(port))).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(`^HTTP_PORT_IN_USE: Port ${port} on 127.0.0.1 is in use.*--port`),
    })
    expect(await headrace(folder, 'serve', '--host', '0.0.0.0')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^ACCESS_INSECURE_BIND: .*--insecure/),
    })
    writeFileSync(join(folder, 'headrace.config.mjs'), 'export default { serving: { threads: "many" }, sevring: {} }')
    const { status, stderr } = await headrace(folder, 'serve')
    expect(status).toBe(2)
    expect(stderr).toMatch(/^CONFIG_INVALID: .*headrace\.config\.mjs/)
    expect(stderr).toContain('serving.threads')
    expect(stderr).toContain('"sevring"')
    expect(await headrace(folder, 'serve', 'nowhere')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^CONFIG_NOTHING_TO_SERVE/),
    })
  })
})
