// `npm start`: its predictions are right, and every line that it says to try works when it is pasted.
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../support/temp-folder.js'
import { LONG, ROOT, startNode } from './support.js'

/** What `npm start` runs, without the build, which the tests have behind them. */
const START = ['--import', 'tsx', join(ROOT, 'scripts/start.ts'), '--built']

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}

it('predicts, says what to try, and every line of that works', LONG, async () => {
  const settings = { HEADRACE_SERVER_PORT: await freePort(), HEADRACE_STORE_DATA_DIR: tempFolder() }
  const { child, printed, finished } = startNode(START, ROOT, settings)
  onTestFinished(() => void child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', () => printed.stdout.includes('Ctrl-C') && resolve())
    void finished.then(({ stderr }) => reject(new Error(stderr)))
  })
  const url = `http://127.0.0.1:${settings.HEADRACE_SERVER_PORT}`
  for (const endpoint of ['fraud', 'purchase-intent', 'breast-cancer'])
    expect(printed.stdout).toContain(`\n${endpoint}, answered by version`)
  const answers = [...printed.stdout.matchAll(/→ (\w+) +[\d.]+ +\(was (\w+)\)/g)]
  expect(answers).toHaveLength(15)
  for (const [, predicted, real] of answers) expect(predicted).toBe(real)

  const lines = [...printed.stdout.matchAll(/^ {2}((?:curl|node) .*)$/gm)].map(([, line]) => line!)
  const outputs: string[] = []
  for (const line of lines) {
    // The folder matters to the command line only.
    const cwd = line.startsWith('node ') ? ROOT : tempFolder()
    const { stdout } = await promisify(execFile)('bash', ['-c', line], { cwd, env: { ...process.env, ...settings } })
    outputs.push(stdout)
  }
  const [native, user, click, oip, kserve, explained, query, metrics, command] = outputs
  expect(JSON.parse(native!)).toMatchObject({ endpoint: 'fraud', version: 2, outputs: { label: 'legitimate' } })
  expect(JSON.parse(user!)).toMatchObject({ endpoint: 'purchase-intent', version: 2, outputs: {} })
  expect(JSON.parse(click!)).toMatchObject({ accepted: 1, refused: 0 })
  expect(JSON.parse(oip!)).toMatchObject({ model_name: 'purchase-intent', outputs: [{ name: 'label', data: [0] }, {}] })
  expect(JSON.parse(kserve!)).toMatchObject({ predictions: [{ label: 0 }] })
  const { id, prediction } = JSON.parse(explained!) as { id: string; prediction: object }
  expect(prediction).toMatchObject({ id, endpoint: 'fraud' })
  expect(JSON.parse(query!)).toMatchObject({
    rows: [
      ['breast-cancer', 1, 5, expect.any(Number)],
      ['fraud', 2, 6, expect.any(Number)],
      ['purchase-intent', 1, 7, expect.any(Number)],
      ['purchase-intent', 2, 1, expect.any(Number)],
    ],
  })
  expect(metrics).toContain('ml_predictions_total{endpoint="fraud"')
  expect(command).toContain(`prediction ${id}`)
  expect(printed.stdout).toContain(`${url}/api/docs`)
  expect((await fetch(`${url}/api/docs`)).status).toBe(200)

  child.kill('SIGINT')
  child.kill('SIGINT') // npm passes on the Ctrl-C that the terminal has sent already.
  expect(await finished).toMatchObject({ status: 0, stderr: '' })
})

it('says clearly that its port is in use', LONG, async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  onTestFinished(() => void other.close())
  const { port } = other.address() as AddressInfo
  const settings = { HEADRACE_SERVER_PORT: String(port), HEADRACE_STORE_DATA_DIR: tempFolder() }
  const { status, stderr } = await startNode(START, ROOT, settings).finished
  expect(status).toBe(1)
  expect(stderr).toMatch(new RegExp(`^HTTP_PORT_IN_USE: Port ${port} `))
  expect(stderr).toContain('HEADRACE_SERVER_PORT=9090 npm start')
})

it('says that it takes no options', LONG, async () => {
  const { finished } = startNode([...START, '--port', '9090'], ROOT)
  expect(await finished).toMatchObject({ status: 2, stderr: expect.stringContaining('HEADRACE_SERVER_PORT=9090') })
})
