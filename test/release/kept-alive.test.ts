// A server in a process of its own that is stopped, woken and killed in the middle of a release.
import { type ChildProcess, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import type { ReleaseStatus } from '../../src/release/index.js'
import { RawConnection, rawRequest } from '../support/http.js'
import { writeRule } from '../support/release-server.js'
import { tempFolder } from '../support/temp-folder.js'

const CHILD = join(import.meta.dirname, '../../bench/support/headrace-child.mjs')

interface Prediction {
  readonly outputs: { readonly y: number }
  readonly flags: readonly string[]
}

async function start(folder: string): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(CHILD, [folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url))
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return { url, child }
}

async function call<T = Prediction>(url: string, body?: object): Promise<T> {
  const response = await fetch(url, {
    method: body ? 'POST' : 'GET',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

it('goes to the old version when it was stopped and woken, and is where it was after it was killed', async () => {
  const folder = tempFolder()
  writeRule(folder, [1, 2])
  writeFileSync(
    join(folder, 'headrace.config.ts'),
    `import { defineProject, version } from 'headrace'
export default defineProject({
  server: { port: 0, grpcPort: false, logLevel: 'silent' },
  models: { settleMs: 0 },
  endpoints: { shop: { route: version('rule', 1) } },
})`,
  )
  let { url, child } = await start(folder)
  const status = (): Promise<ReleaseStatus> => call<ReleaseStatus>(`${url}/api/v1/releases/shop`)
  const predict = (unit: string) => call(`${url}/api/v1/predict/shop`, { inputs: { x: 0 }, unit })
  await call(`${url}/api/v1/releases`, { endpoint: 'shop', to: 2, plan: '90%/1h,100%' })
  await expect.poll(async () => (await status()).nodes[0]?.holdsLease, { timeout: 30_000 }).toBe(true)
  const units = Array.from({ length: 40 }, (_, i) => `unit-${i}`)
  const first = await Promise.all(units.map(predict))
  const candidates = units.filter((_, i) => first[i]!.outputs.y === 2)
  expect(candidates.length).toBeGreaterThan(20)
  await expect.poll(async () => (await status()).progress.units, { timeout: 30_000 }).toBe(candidates.length)

  child.kill('SIGSTOP')
  await pause(3_500)
  // All of them are there when it is woken: the system took them.
  const connections = await Promise.all(candidates.map(() => RawConnection.open(Number(new URL(url).port))))
  const body = (unit: string) => JSON.stringify({ inputs: { x: 0 }, unit })
  await Promise.all(
    connections.map((one, i) => one.write(rawRequest('POST', '/api/v1/predict/shop', body(candidates[i]!)))),
  )
  const waiting = connections.map((one) => one.read())
  child.kill('SIGCONT')
  // Which of them came after the first look at the store cannot be known from outside; the first did not.
  const woken = await Promise.any(waiting)
  expect(woken!.json).toMatchObject({ outputs: { y: 1 }, flags: ['lease-expired'] })
  await Promise.all(waiting)
  for (const connection of connections) connection.close()
  await expect.poll(async () => (await predict(candidates[0]!)).outputs.y, { timeout: 30_000 }).toBe(2)

  await expect.poll(async () => (await status()).release.stepElapsedMs, { timeout: 30_000 }).toBeGreaterThan(0)
  const before = await status()
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  ;({ url, child } = await start(folder))
  const after = await status()
  expect(after.release).toMatchObject({ state: 'running', step: 0, revision: before.release.revision })
  expect(after.release.stepElapsedMs).toBeGreaterThanOrEqual(before.release.stepElapsedMs)
  await expect.poll(async () => (await status()).progress.units, { timeout: 30_000 }).toBe(candidates.length)
  await expect.poll(async () => (await predict(candidates[0]!)).outputs.y, { timeout: 30_000 }).toBe(2)
}, 120_000)
