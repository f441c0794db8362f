// `headrace serve --processes`: many processes that are one server to its callers, and what is left of it when some of them die.
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { readRecords } from '../../src/log/index.js'
import { BIN, headrace, headraceJson, LONG, makeFolder, startNode, startServe } from '../cli/support.js'
import { writeModelHeldInLoading } from '../support/held-model.js'
import { PAYMENT, SESSION } from '../support/shop.js'
import { ask, isAlive, kill, metric, startGroup, until } from './support.js'

const needsProc = !existsSync('/proc/self/stat')

async function times<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => work(i)))
}

function predict(url: string, endpoint: string, inputs: object, agent?: Agent) {
  const options = { method: 'POST', json: { inputs }, ...(agent ? { agent } : {}) }
  return ask(`${url}/api/v1/predict/${endpoint}`, options)
}

describe.skipIf(needsProc)('headrace serve --processes', LONG, () => {
  it('is one server: every worker takes requests, decides for all, counts and logs together, and all end together', async () => {
    const { url, folder, workers, child, stop } = await startGroup(['fraud'])
    const pids = workers()
    expect(pids).toHaveLength(2)
    const status = async () =>
      JSON.parse((await ask(`${url}/api/v1/status`)).body) as { worker: number; pid: number; processes: number }
    const answering = await times(8, status)
    expect(new Set(answering.map(({ worker }) => worker))).toEqual(new Set([1, 2]))
    expect(answering[0]).toMatchObject({ pid: child.pid, processes: 2 })
    const file = JSON.parse(readFileSync(join(folder, '.headrace/server.json'), 'utf8')) as object
    expect(file).toMatchObject({ url, pid: child.pid, processes: 2 })
    expect((await ask(`${url}/readyz`)).status).toBe(200)

    let predictions = 0
    for (const version of [1, 2, 1, 2]) {
      const { body } = await ask(`${url}/api/v1/models/fraud/aliases/champion`, { method: 'PUT', json: { version } })
      expect(JSON.parse(body)).toMatchObject({ change: { kind: 'alias.set', detail: { version } } })
      const answers = await times(8, () => predict(url, 'fraud', PAYMENT))
      predictions += answers.length
      expect(answers.map((answer) => (JSON.parse(answer.body) as { version: number }).version)).toEqual(
        Array(8).fill(version),
      )
    }
    const decisions = JSON.parse((await ask(`${url}/api/v1/decisions`)).body) as {
      decisions: { change: { kind: string; subject: string } }[]
    }
    const seen = decisions.decisions.filter(({ change }) => change.kind === 'version.seen')
    expect(seen.map(({ change }) => change.subject).sort()).toEqual(['fraud/1', 'fraud/2'])
    expect(await metric(url, 'ml_request_seconds_count{endpoint="fraud"}')).toBe(predictions)
    expect(await metric(url, 'headrace_processes')).toBe(2)
    expect(await metric(url, 'ml_model_ready{model="fraud",version="1"}')).toBe(1)

    // Found at any worker at once, although another one may hold it still.
    const { id } = JSON.parse((await predict(url, 'fraud', PAYMENT)).body) as { id: string }
    const traces = await times(4, () => ask(`${url}/api/v1/predictions/${id}`))
    expect(traces.map((trace) => trace.status)).toEqual([200, 200, 200, 200])

    expect(await stop()).toMatchObject({ status: 0, stderr: '' })
    expect(pids.filter(isAlive)).toEqual([])
    expect(existsSync(join(folder, '.headrace/server.json'))).toBe(false)
    const positions: number[] = []
    let logged = 0
    for await (const record of readRecords(join(folder, '.headrace/log'))) {
      positions.push(record.seq)
      if (record.kind === 'prediction') logged++
    }
    expect(logged).toBe(predictions + 1)
    expect(positions).toEqual(positions.map((_, i) => i + 1))
    expect(await headraceJson(folder, 'decisions', 'verify')).toMatchObject({ ok: true, count: 6 })
  })

  it('is ready only when the models of every worker are warm', async () => {
    const { folder, remove } = makeFolder(['purchase-intent'])
    onTestFinished(remove)
    const held = writeModelHeldInLoading(folder)
    const { child, finished } = startNode(
      [BIN, 'serve', '--processes', '2', '--port', '0', '--log-level', 'error'],
      folder,
    )
    const file = join(folder, '.headrace/server.json')
    await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('}\n'))
    const { url } = JSON.parse(readFileSync(file, 'utf8')) as { url: string }
    expect((await ask(`${url}/livez`)).status).toBe(200)
    expect((await ask(`${url}/readyz`)).status).toBe(503)
    held.letLoad()
    await until(async () => (await ask(`${url}/readyz`)).status === 200)
    const answers = await times(4, () => predict(url, 'purchase-intent', SESSION))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    // As a terminal does it: Ctrl-C reaches the workers too, and they leave the end to the primary.
    child.kill('SIGINT')
    expect(await finished).toMatchObject({ status: 0, stderr: '' })
  })

  it('loses a worker under load and no prediction: the client asks another one, and a new one comes', async () => {
    const { url, workers } = await startGroup(['purchase-intent'])
    const client = createClient({ baseUrl: url })
    const before = workers()
    let answered = 0
    let isOver = false
    const callers = Promise.all(
      Array.from({ length: 8 }, async () => {
        for (; !isOver; answered++) await client.predict('purchase-intent', SESSION)
      }),
    )
    await until(() => answered > 100)
    kill(before[0]!)
    await until(async () => (await metric(url, 'headrace_worker_restarts_total')) === 1)
    expect((await ask(`${url}/readyz`)).status).toBe(200)
    await until(async () => (await metric(url, 'headrace_processes')) === 2)
    // Asked to end, a worker is replaced first.
    kill(before[1]!, 'SIGTERM')
    await until(() => !isAlive(before[1]!))
    isOver = true
    await callers
    const after = workers()
    expect(after).toHaveLength(2)
    expect(after.filter((pid) => before.includes(pid))).toEqual([])
  })

  it('breaks the connections of a worker that dies, and no others; what had been counted stays', async () => {
    const { url, workers } = await startGroup(['purchase-intent'])
    const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    onTestFinished(() => {
      for (const agent of agents) agent.destroy()
    })
    const round = () => Promise.all(agents.map((agent) => predict(url, 'purchase-intent', SESSION, agent)))
    const statuses = await Promise.all(agents.map((agent) => ask(`${url}/api/v1/status`, { agent })))
    const numbers = statuses.map(({ body }) => (JSON.parse(body) as { worker: number }).worker)
    expect((await round()).map(({ status, isReused }) => [status, isReused])).toEqual(Array(6).fill([200, true]))
    const counted = 'ml_request_seconds_count{endpoint="purchase-intent"}'
    expect(await metric(url, counted)).toBe(6)
    const [dead] = workers()
    kill(dead!)
    await until(() => !isAlive(dead!))
    await until(async () => (await metric(url, 'headrace_worker_restarts_total')) === 1)
    const answers = await round()
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200))
    const ofDead = new Set(numbers.filter((_, i) => !answers[i]!.isReused))
    expect(ofDead.size).toBe(1)
    expect(answers.map(({ isReused }) => isReused)).toEqual(numbers.map((number) => !ofDead.has(number)))
    await until(async () => (await metric(url, 'headrace_processes')) === 2)
    expect(await metric(url, counted)).toBe(12)
  })

  it('runs the model once for a thousand identical requests that arrive at all workers at once', async () => {
    const { url } = await startGroup(
      ['purchase-intent'],
      `export default { endpoints: { intent: { route: { kind: 'version', model: 'purchase-intent', version: 1 }, cache: {} } } }`,
    )
    const runs = () => metric(url, 'ml_batch_size_count{model="purchase-intent",version="1"}')
    const before = await runs()
    const answers = await times(1000, () => predict(url, 'intent', SESSION))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(
      new Set(answers.map(({ body }) => JSON.stringify((JSON.parse(body) as { outputs: object }).outputs))).size,
    ).toBe(1)
    expect((await runs()) - before).toBe(1)
    expect(await metric(url, 'ml_request_seconds_count{endpoint="intent"}')).toBe(1000)
  })

  it('has a fault in every worker, also in one that is started meanwhile, and heals it in all', async () => {
    const { url, workers } = await startGroup(['purchase-intent'], undefined, '--chaos')
    const chaos = `${url}/api/v1/chaos`
    const fault = { model: 'purchase-intent', ms: 1, durationMs: 60_000 }
    const { id } = JSON.parse((await ask(`${chaos}/delay`, { method: 'POST', json: fault })).body) as { id: string }
    const [killed] = workers()
    await ask(`${chaos}/kill/worker`, { method: 'POST', json: {} })
    await until(async () => (await metric(url, 'headrace_worker_restarts_total')) === 1)
    await until(async () => (await metric(url, 'headrace_processes')) === 2)
    expect(killed).toBeDefined()
    const faults = async () =>
      (await times(4, () => ask(chaos))).map(({ body }) => {
        const { faults } = JSON.parse(body) as { faults: { id: string; startedAt: string; endsAt: string }[] }
        return faults.map((each) => [each.id, Date.parse(each.endsAt) - Date.parse(each.startedAt)])
      })
    expect(await faults()).toEqual(Array(4).fill([[id, 60_000]]))
    await ask(`${chaos}/faults/${id}`, { method: 'DELETE' })
    expect(await faults()).toEqual(Array(4).fill([]))
  })

  it('ends a worker that does not take a decision over, before the decision is answered, and starts another', async () => {
    const { url, workers } = await startGroup(['purchase-intent'])
    const [first, second] = workers()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const { worker } = JSON.parse((await ask(`${url}/api/v1/status`, { agent })).body) as { worker: number }
    // Stopped, not ended: it keeps its connections and hears nothing. The agent's connection is with the other one.
    const stopped = worker === 1 ? second! : first!
    process.kill(stopped, 'SIGSTOP')
    const alias = `${url}/api/v1/models/purchase-intent/aliases/champion`
    const { status } = await ask(alias, { method: 'PUT', json: { version: 1 }, agent })
    expect(status).toBe(200)
    await until(() => !isAlive(stopped))
    await until(async () => (await metric(url, 'headrace_processes')) === 2)
    expect(workers()).toHaveLength(2)
    expect((await ask(`${url}/readyz`)).status).toBe(200)
  })

  it('waits for what is in flight when it is stopped, and ends all at once by a second signal', async () => {
    const { url, child, workers } = await startGroup(['purchase-intent'])
    const pids = workers()
    // A body that never comes is in flight for as long as the server has patience.
    const headers = { Expect: '100-continue', 'Content-Type': 'application/json', 'Content-Length': 100 }
    const outgoing = request(`${url}/api/v1/predict/purchase-intent`, { method: 'POST', headers, agent: false })
    outgoing.flushHeaders()
    await once(outgoing, 'continue')
    const broken = once(outgoing, 'error')
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    // One that comes within a second of the first is taken for the same.
    const again = setInterval(() => child.kill('SIGTERM'), 200)
    onTestFinished(() => clearInterval(again))
    expect(await ended).toEqual([1, null])
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
    await until(() => !pids.some(isAlive))
  })

  it('leaves no worker behind when the primary is killed, and starts again', async () => {
    const { folder, child, workers } = await startGroup(['purchase-intent'])
    const pids = workers()
    child.kill('SIGKILL')
    await until(() => !pids.some(isAlive))
    const next = await startServe(folder, '--processes', '2', '--log-level', 'error')
    expect((await predict(next.url, 'purchase-intent', SESSION)).status).toBe(200)
    expect(await next.stop()).toMatchObject({ status: 0, stderr: '' })
  })

  it('says why it cannot start, and leaves no process behind', async () => {
    const { folder, remove } = makeFolder(['purchase-intent'])
    onTestFinished(remove)
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    const args = ['serve', '--processes', '2', '--log-level', 'error', '--port', String(port)]
    const { status, stderr } = await headrace(folder, ...args)
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/^HTTP_PORT_IN_USE: /) })
  })
})
