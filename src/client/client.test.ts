import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClient } from './client.js'
import { HeadraceClientError } from './errors.js'

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A server on a free port that keeps what it receives. `answer` gets the number of the request, counted from 0. */
async function server(answer: (response: ServerResponse, request: number) => void) {
  const received: Received[] = []
  const http = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    received.push({ method: request.method, url: request.url, headers: request.headers, body })
    answer(response, received.length - 1)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    http.closeAllConnections()
    http.close()
  })
  return { baseUrl: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, received }
}

/** An address where nothing listens any more. */
async function nobody(): Promise<string> {
  const http = createServer()
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  await new Promise((resolve) => http.close(resolve))
  return `http://127.0.0.1:${port}`
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

const row = { id: 'p1', model: 'fraud', version: 2, outputs: { label: 'fraud' }, flags: [] }
const timings = { total: 1.5 }
const busy = { error: 'The queue is full.', code: 'SERVING_QUEUE_FULL' }

async function failure(promise: Promise<unknown>): Promise<HeadraceClientError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof HeadraceClientError) return error
  throw new Error(`expected a HeadraceClientError, got ${String(error)}`)
}

describe('predict', () => {
  it('posts one row and gives one prediction', async () => {
    const { baseUrl, received } = await server((response) =>
      json(response, 200, { ...row, endpoint: 'fraud', timings }),
    )
    const client = createClient({ baseUrl: `${baseUrl}/`, key: 'hr_secret', headers: { 'x-team': 'risk' } })
    const inputs = { amount: 12, country: 'DE' }
    const prediction = await client.predict('fraud', inputs, { unit: 'user-1', entities: { user: '1' } })
    expect(prediction).toEqual({ ...row, endpoint: 'fraud', timings })
    expect(received).toHaveLength(1)
    expect(received[0]).toMatchObject({ method: 'POST', url: '/api/v1/predict/fraud' })
    expect(received[0]?.headers).toMatchObject({
      authorization: 'Bearer hr_secret',
      'content-type': 'application/json',
      'x-team': 'risk',
    })
    expect(JSON.parse(received[0]!.body)).toEqual({ inputs, unit: 'user-1', entities: { user: '1' } })
  })

  it('posts a list of rows and gives a list of predictions of the same form', async () => {
    const second = { ...row, id: 'p2' }
    const { baseUrl, received } = await server((response) =>
      json(response, 200, { endpoint: 'fraud', predictions: [row, second], timings }),
    )
    const predictions = await createClient({ baseUrl }).predict('fraud', [{ amount: 1 }, { amount: 2 }])
    expect(predictions).toEqual([
      { ...row, endpoint: 'fraud', timings },
      { ...second, endpoint: 'fraud', timings },
    ])
    expect(JSON.parse(received[0]!.body)).toEqual({ inputs: [{ amount: 1 }, { amount: 2 }] })
  })

  it('sends a unit and entities for each row, and tells the rows that failed', async () => {
    const failed = { id: 'p2', error: { code: 'SERVING_RUN_FAILED', message: 'no' } }
    const { baseUrl, received } = await server((response) =>
      json(response, 200, { endpoint: 'fraud', predictions: [row, failed], timings }),
    )
    const rows = [{ amount: 1 }, { amount: 2 }]
    const options = { unit: ['a', null], entities: [{ user: '1' }, null] }
    const [first, second] = await createClient({ baseUrl }).predict('fraud', rows, options)
    expect(first?.error).toBeUndefined()
    expect(second).toEqual({ ...failed, endpoint: 'fraud' })
    expect(JSON.parse(received[0]!.body)).toEqual({ inputs: rows, ...options })
  })

  it('escapes the name of the endpoint', async () => {
    const { baseUrl, received } = await server((response) => json(response, 200, row))
    await createClient({ baseUrl }).predict('a/../b ?', {})
    expect(received[0]?.url).toBe('/api/v1/predict/a%2F..%2Fb%20%3F')
  })
})

describe('the other calls', () => {
  it('infer passes the request and the reply on as they are', async () => {
    const reply = { model_name: 'fraud', outputs: [] }
    const { baseUrl, received } = await server((response) => json(response, 200, reply))
    const request = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }
    expect(await createClient({ baseUrl }).infer('fraud', request)).toEqual(reply)
    expect(received[0]).toMatchObject({ method: 'POST', url: '/v2/models/fraud/infer', body: JSON.stringify(request) })
  })

  it('outcomes tells what turned out', async () => {
    const { baseUrl, received } = await server((response) => json(response, 200, { taken: 1 }))
    const outcomes = [{ prediction: 'p#0', name: 'chargeback', value: true }]
    await createClient({ baseUrl }).outcomes('fraud', outcomes)
    expect(received[0]).toMatchObject({ url: '/api/v1/outcomes/fraud', body: JSON.stringify({ outcomes }) })
  })

  it('models asks for the models', async () => {
    const models = [{ name: 'fraud', aliases: { champion: 1 }, versions: [] }]
    const { baseUrl, received } = await server((response) => json(response, 200, { models }))
    expect(await createClient({ baseUrl }).models()).toEqual(models)
    expect(received[0]).toMatchObject({ method: 'GET', url: '/api/v1/models', body: '' })
    expect(received[0]?.headers['content-type']).toBeUndefined()
  })

  it('ready is true only when the server says so, without retries', async () => {
    const { baseUrl, received } = await server((response, request) => json(response, request === 0 ? 503 : 200, {}))
    const client = createClient({ baseUrl })
    expect(await client.ready()).toBe(false)
    expect(await client.ready()).toBe(true)
    expect(received.map(({ url }) => url)).toEqual(['/readyz', '/readyz'])
    expect(await createClient({ baseUrl: await nobody() }).ready()).toBe(false)
  })
})

describe('errors', () => {
  it('carry the code, status and message of the server', async () => {
    const body = { error: 'Feature "amount" is text.', code: 'TENSOR_FEATURE_TYPE' }
    const { baseUrl, received } = await server((response) => json(response, 422, body))
    const error = await failure(createClient({ baseUrl }).predict('fraud', {}))
    expect(error).toMatchObject({ code: body.code, status: 422, message: body.error, retry: false })
    expect(received).toHaveLength(1)
  })

  it('say that something else answered', async () => {
    const { baseUrl } = await server((response) => response.writeHead(404).end('<html>nginx</html>'))
    const error = await failure(createClient({ baseUrl }).predict('fraud', {}))
    expect(error).toMatchObject({ code: 'CLIENT_BAD_RESPONSE', status: 404, retry: false })
    expect(error.message).toContain('<html>nginx</html>')
    const page = await server((response) => response.writeHead(200).end('<html>welcome</html>'))
    expect(await failure(createClient({ baseUrl: page.baseUrl }).models())).toMatchObject({
      code: 'CLIENT_BAD_RESPONSE',
    })
  })

  it('say that nobody answers, and why', async () => {
    const baseUrl = await nobody()
    const error = await failure(createClient({ baseUrl, retries: 0 }).models())
    expect(error).toMatchObject({ code: 'CLIENT_UNREACHABLE', status: 0, retry: true })
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.message).toContain(`${baseUrl}/api/v1/models`)
    expect(error.cause).toBeDefined()
  })

  it('say that the call took too long, and let the connection go', async () => {
    let closed: () => void
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve
    })
    const { baseUrl } = await server((response) => response.on('close', closed))
    const error = await failure(createClient({ baseUrl }).predict('fraud', {}, { timeoutMs: 50 }))
    expect(error).toMatchObject({ code: 'CLIENT_TIMEOUT', status: 0 })
    await isClosed
  })

  it('of a signal are its reason', async () => {
    const { baseUrl } = await server(() => undefined)
    const client = createClient({ baseUrl })
    const controller = new AbortController()
    const call = client.predict('fraud', {}, { signal: controller.signal })
    controller.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
    await expect(client.ready({ signal: AbortSignal.abort(new Error('left')) })).rejects.toThrow('left')
  })
})

describe('retries', () => {
  /** A client in virtual time whose requests get these answers in turn, the last one for ever. */
  function scripted(answers: readonly (() => Response | Error)[], options: { retries?: number } = {}) {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const bodies: unknown[] = []
    const fetch: typeof globalThis.fetch = async (_, init) => {
      const answer = answers[Math.min(bodies.length, answers.length - 1)]!()
      bodies.push(init?.body)
      if (answer instanceof Error) throw answer
      return answer
    }
    return { client: createClient({ fetch, ...options }), bodies }
  }

  const answer = (status: number, body: unknown, headers: Record<string, string> = {}) => {
    return () => new Response(JSON.stringify(body), { status, headers })
  }

  it('repeat the same request until it succeeds, waiting as long as the server asks', async () => {
    const inFourSeconds = () => new Date(Date.now() + 4000).toUTCString()
    const { client, bodies } = scripted([
      answer(503, busy, { 'retry-after': '3' }),
      () => new Response(JSON.stringify(busy), { status: 429, headers: { 'retry-after': inFourSeconds() } }),
      answer(200, { ...row, endpoint: 'fraud', timings }),
    ])
    vi.setSystemTime(Date.UTC(2026, 0, 1))
    const call = client.predict('fraud', { amount: 1 })
    await vi.advanceTimersByTimeAsync(2999)
    expect(bodies).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(bodies).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(3999)
    expect(bodies).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(1)
    expect(await call).toMatchObject({ id: 'p1' })
    expect(bodies).toEqual(Array(3).fill('{"inputs":{"amount":1}}'))
  })

  it('double the wait when the server does not say, with half of it left to chance', async () => {
    const { client, bodies } = scripted([answer(503, busy)], { retries: 3 })
    const call = failure(client.predict('fraud', {}))
    for (const [attempts, longestMs] of [
      [2, 100],
      [3, 200],
      [4, 400],
    ] as const) {
      await vi.advanceTimersByTimeAsync(longestMs / 2 - 1)
      expect(bodies).toHaveLength(attempts - 1)
      await vi.advanceTimersToNextTimerAsync()
      expect(bodies).toHaveLength(attempts)
    }
    expect(await call).toMatchObject({ code: 'SERVING_QUEUE_FULL', status: 503, retry: true })
  })

  it('stop when the wait would outlast the call, with the error of the server', async () => {
    const { client, bodies } = scripted([answer(503, busy, { 'retry-after': '60' })])
    expect(await failure(client.predict('fraud', {}))).toMatchObject({
      code: 'SERVING_QUEUE_FULL',
      retryAfterMs: 60_000,
    })
    expect(bodies).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('reach a server that comes up late, and never repeat what cannot succeed', async () => {
    const { client, bodies } = scripted([
      () => new TypeError('fetch failed'),
      answer(400, { error: 'no', code: 'HTTP_JSON_INVALID' }),
    ])
    const call = failure(client.predict('fraud', {}))
    await vi.advanceTimersByTimeAsync(100)
    expect((await call).code).toBe('HTTP_JSON_INVALID')
    expect(bodies).toHaveLength(2)
  })

  it('come quickly after a connection that broke: its process is gone, another answers', async () => {
    const broken = new TypeError('fetch failed', { cause: Object.assign(new Error('gone'), { code: 'ECONNRESET' }) })
    const { client, bodies } = scripted([() => broken, answer(200, { ...row, endpoint: 'fraud', timings })])
    const call = client.predict('fraud', {})
    await vi.advanceTimersByTimeAsync(25)
    expect(await call).toMatchObject({ id: 'p1' })
    expect(bodies).toHaveLength(2)
  })

  it('are at most a tenth of the attempts of ten seconds, and ten', async () => {
    const { client, bodies } = scripted([answer(503, busy, { 'retry-after': '0' })], { retries: 1 })
    const calls = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const call = failure(client.predict('fraud', {}))
        await vi.advanceTimersByTimeAsync(0)
        await call
      }
    }
    await calls(200)
    expect(bodies).toHaveLength(200 + 30)
    await vi.advanceTimersByTimeAsync(20_000)
    bodies.length = 0
    await calls(15)
    expect(bodies).toHaveLength(15 + 11)
  })

  it('end at once when the signal ends a wait, and leave no timer behind', async () => {
    const controller = new AbortController()
    const { client } = scripted([answer(503, busy, { 'retry-after': '5' })])
    const call = client.predict('fraud', {}, { signal: controller.signal })
    const left = expect(call).rejects.toThrow('left')
    await vi.advanceTimersByTimeAsync(1000)
    controller.abort(new Error('left'))
    await left
    expect(vi.getTimerCount()).toBe(0)
  })
})
