// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is how remote.json names environment variables
import { describe, expect, it, onTestFinished } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { doublerInput, tensors } from '../../../test/support/fake-backend.js'
import { answer, doubled, fakeOipServer, type InferSeen } from '../../../test/support/fake-oip-server.js'
import { remoteArtifact } from '../../../test/support/remote-artifact.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { RemoteModel } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { createRemoteBackends, type RemoteBackends } from './create-remote-backends.js'

const context = { deadline: Deadline.none(systemClock), outputs: undefined }
const within = (ms: number) => ({ ...context, deadline: Deadline.in(systemClock, ms) })

function remotes(environment = {}): RemoteBackends & { text(): Promise<string> } {
  const platform = { ...testPlatform(), clock: systemClock }
  const backends = createRemoteBackends({ platform, environment })
  onTestFinished(() => backends.close())
  return { ...backends, text: () => platform.metrics.expose() }
}

async function setUp(behaviour: Parameters<typeof fakeOipServer>[0] = {}, parts: Partial<RemoteModel> = {}) {
  const server = await fakeOipServer(behaviour)
  onTestFinished(() => server.stop())
  const all = remotes()
  const backend = await all.load(remoteArtifact(server.url, parts))
  onTestFinished(() => backend.close())
  return { server, backend, all }
}

const input = (...rows: number[][]) => doublerInput(rows).tensors
const numbers = async (run: ReturnType<Backend['run']>, name = 'double') => [...(await run).get(name)!.data]

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

describe.each([['binary_tensor_data'], []])('a remote version over HTTP with the extensions "%s"', (...extensions) => {
  backendContract(async () => {
    const server = await fakeOipServer({
      extensions: extensions.filter((name) => typeof name === 'string' && name !== ''),
      infer({ body, response }) {
        if (body.inputs[0]!.data[0] !== 666) return false
        response.writeHead(500).end('{"error":"poison"}')
        return true
      },
    })
    onTestFinished(() => server.stop())
    const backend = await remotes().load(remoteArtifact(server.url))
    return { backend, poison: input([666]) }
  })
})

describe('a remote version over HTTP', () => {
  it('asks for the model by name and version, with an id, what time is left and its headers', async () => {
    const server = await fakeOipServer()
    onTestFinished(() => server.stop())
    const all = remotes({ TOKEN: 's3cret' })
    const backend = await all
      .load(
        remoteArtifact(`${server.url}/base`, {
          model: 'a b',
          version: '3',
          headers: { authorization: 'Bearer ${TOKEN}' },
        }),
      )
      .catch((error) => error)
    // The fake knows no paths but its own; the addresses are what counts.
    expect(server.looks).toContain('GET /base/v2/models/a%20b/versions/3/ready')
    await backend.close?.()
    const { backend: other, server: second } = await setUp()
    await other.run(input([1]), within(60_000))
    const [{ body, headers }] = second.seen as [InferSeen]
    expect(body.id).toMatch(/^[0-9a-f-]{36}$/)
    const timeoutUs = body.parameters!['timeout'] as number
    expect(timeoutUs).toBeGreaterThan(50_000_000)
    expect(timeoutUs).toBeLessThanOrEqual(60_000_000)
    expect(headers['transfer-encoding']).toBeUndefined()
  })

  it('keeps its connections, and opens more for what is under way at once', async () => {
    const { server, backend } = await setUp()
    for (let i = 0; i < 5; i++) await backend.run(input([i]), context)
    expect(new Set(server.seen.map(({ connection }) => connection)).size).toBe(1)
    await Promise.all(Array.from({ length: 10 }, (_, i) => backend.run(input([i]), context)))
    expect(new Set(server.seen.map(({ connection }) => connection)).size).toBeGreaterThan(3)
  })

  it('sends as many rows at once as the server takes, and puts the answers together', async () => {
    const { server, backend } = await setUp({
      extensions: ['binary_tensor_data', 'model_configuration'],
      config: { max_batch_size: 2 },
    })
    const outputs = await backend.run(input([1], [2], [3], [4], [5]), context)
    expect([...outputs.get('double')!.data]).toEqual([2, 4, 6, 8, 10])
    expect([...outputs.get('sum')!.data]).toEqual([1, 2, 3, 4, 5])
    expect(server.seen.map(({ body }) => body.inputs[0]!.shape[0])).toEqual([2, 2, 1])
  })

  it('knows from max_batch_size 0 that rows cannot be joined', async () => {
    const { backend } = await setUp({ extensions: ['model_configuration'], config: { max_batch_size: 0 } })
    expect(backend.signature.batchAxis).toBeNull()
  })

  it('takes NaN, infinities and whole 64-bit integers as they are, in JSON too', async () => {
    const metadata = {
      inputs: [{ name: 'i', datatype: 'INT64', shape: [-1] }],
      outputs: [
        { name: 'i', datatype: 'INT64', shape: [-1] },
        { name: 'f', datatype: 'FP64', shape: [-1] },
      ],
    }
    const { backend, server } = await setUp({
      extensions: [],
      metadata,
      infer({ response, body }) {
        response.end(
          `{"outputs":[{"name":"f","data":[NaN,-Infinity],"datatype":"FP64","shape":[2]},{"name":"i","datatype":"INT64","shape":[2],"data":[9223372036854775807,-9223372036854775808]}],"id":"${body.id}"}`,
        )
        return true
      },
    })
    const data = BigInt64Array.of(9223372036854775807n, -9223372036854775808n)
    const outputs = await backend.run(tensors({ name: 'i', datatype: 'INT64', shape: [2], data }), context)
    expect([...outputs.keys()]).toEqual(['i', 'f'])
    expect(outputs.get('i')!.data).toEqual(data)
    expect([...outputs.get('f')!.data]).toEqual([Number.NaN, Number.NEGATIVE_INFINITY])
    expect(server.seen[0]!.isBinary).toBe(false)
  })

  it('refuses BYTES that are no text where only JSON can be spoken', async () => {
    const tensor = { name: 'x', datatype: 'BYTES', shape: [-1] }
    const { backend } = await setUp({ extensions: [], metadata: { inputs: [tensor], outputs: [tensor] } })
    const bytes = tensors({ name: 'x', datatype: 'BYTES', shape: [2], data: [Buffer.from('a'), Buffer.of(0xff)] })
    const error = await refusal(backend.run(bytes, context))
    expect(error).toMatchObject({ code: 'REMOTE_INPUT_NOT_TEXT', status: 400 })
    expect(error.message).toContain('Element 1 of the input "x"')
  })
})

describe('a load over HTTP', () => {
  it('fails so that it may be tried again while nobody answers', async () => {
    const error = await refusal(remotes().load(remoteArtifact('http://127.0.0.1:1')))
    expect(error).toMatchObject({ code: 'REMOTE_UNREACHABLE', status: 503, retry: true })
    expect(error.message).toContain('far/1')
    expect(error.message).toContain('ECONNREFUSED')
  })

  it('fails while the model is not ready there', async () => {
    const server = await fakeOipServer({ isReady: false })
    onTestFinished(() => server.stop())
    expect(await refusal(remotes().load(remoteArtifact(server.url)))).toMatchObject({
      code: 'REMOTE_UNREADY',
      retry: true,
    })
  })

  it('names the environment variables that are not set, and no values', async () => {
    const headers = { a: 'x${NOT_THERE}', b: '${ALSO_NOT}${NOT_THERE}${HERE}' }
    const error = await refusal(remotes({ HERE: 's3cret' }).load(remoteArtifact('http://127.0.0.1:1', { headers })))
    expect(error.code).toBe('REMOTE_ENVIRONMENT_MISSING')
    expect(error.message).toContain('NOT_THERE, ALSO_NOT')
    expect(error.message).not.toContain('s3cret')
    const broken = await refusal(
      remotes({ V: 'a\nb' }).load(remoteArtifact('http://127.0.0.1:1', { headers: { a: '${V}' } })),
    )
    expect(broken.code).toBe('REMOTE_HEADER_INVALID')
  })

  it('asks for the signature when the server does not say it, and takes it from the file', async () => {
    const server = await fakeOipServer({ metadata: { inputs: [], outputs: [] } })
    onTestFinished(() => server.stop())
    const error = await refusal(remotes().load(remoteArtifact(server.url)))
    expect(error).toMatchObject({ code: 'REMOTE_SIGNATURE_UNKNOWN', status: 422 })
    const signature = {
      inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1, 2] }],
      outputs: [{ name: 'double', datatype: 'FP32' as const, shape: [-1, 2] }],
    }
    const backend = await remotes().load(remoteArtifact(server.url, { signature }))
    expect(backend.signature).toEqual({ ...signature, batchAxis: 0 })
    expect(await numbers(backend.run(input([1, 2]), context))).toEqual([2, 4])
    await backend.close()
    expect(
      (await remotes().load(remoteArtifact(server.url, { signature, batchAxis: null }))).signature.batchAxis,
    ).toBeNull()
  })

  it.each([
    ['a datatype that does not exist', [{ name: 'x', datatype: 'FLOAT', shape: [1] }]],
    ['a shape that is none', [{ name: 'x', datatype: 'FP32', shape: [-2] }]],
    ['no shape', [{ name: 'x', datatype: 'FP32' }]],
  ])('refuses metadata with %s', async (_, inputs) => {
    const server = await fakeOipServer({ metadata: { inputs, outputs: inputs } })
    onTestFinished(() => server.stop())
    expect(await refusal(remotes().load(remoteArtifact(server.url)))).toMatchObject({
      code: 'REMOTE_SIGNATURE_UNKNOWN',
    })
  })
})

describe('what a server of a remote version answers with over HTTP', () => {
  const replying = (status: number, body: string, headers = {}) => ({
    infer({ response }: InferSeen) {
      response.writeHead(status, headers).end(body)
      return true
    },
  })

  it.each([
    [400, 'REMOTE_INPUT_REFUSED', 400],
    [422, 'REMOTE_INPUT_REFUSED', 400],
    [401, 'REMOTE_REFUSED', 502],
    [404, 'REMOTE_REFUSED', 502],
    [413, 'REMOTE_REFUSED', 502],
    [302, 'REMOTE_REFUSED', 502],
    [429, 'REMOTE_BUSY', 503],
    [500, 'REMOTE_FAILED', 502],
    [502, 'REMOTE_FAILED', 502],
  ])('%i is %s, quoted and not tried again', async (status, code, ours) => {
    const { server, backend } = await setUp(replying(status, '{"error":"because of x"}'))
    const error = await refusal(backend.run(input([1]), context))
    expect(error).toMatchObject({ code, status: ours })
    expect(error.message).toContain(server.url)
    if (status !== 302) expect(error.message).toContain('because of x')
    expect(server.seen).toHaveLength(1)
  })

  it('says when to come back', async () => {
    const { backend } = await setUp(replying(429, 'slow down', { 'retry-after': '7' }))
    const error = await refusal(backend.run(input([1]), context))
    expect(error.params).toMatchObject({ said: 'slow down', retryAfterMs: 7000 })
  })

  const one = (output: object, rest = '') => `{"outputs":[${JSON.stringify(output)}]${rest}}`
  const good = { name: 'double', datatype: 'FP32', shape: [1, 1], data: [2] }
  it.each([
    ['garbage', 'not json at all'],
    ['nothing', ''],
    ['no outputs', '{}'],
    ['a missing output', '{"outputs":[]}'],
    ['an output twice', `{"outputs":[${JSON.stringify(good)},${JSON.stringify(good)}]}`],
    ['an output nobody asked for', one({ ...good, name: 'sum', shape: [1] })],
    ['an unknown output', one({ ...good, name: 'z'.repeat(5000) })],
    ['another datatype', one({ ...good, datatype: 'FP64' })],
    ['another rank', one({ ...good, shape: [1] })],
    ['a negative size', one({ ...good, shape: [-1, 1] })],
    ['a size that overflows', one({ ...good, shape: [9007199254740991, 9007199254740991] })],
    ['too little data', one({ ...good, shape: [1, 2] })],
    ['too much data', one({ ...good, data: [1, 2] })],
    ['data of another kind', one({ ...good, data: ['a'] })],
    ['neither data nor a binary size', one({ ...good, data: undefined })],
    ['both', one({ ...good, parameters: { binary_data_size: 4 } })],
    ['bytes that follow', `${one({ ...good }, '')} x`],
    ['the answer to another request', one(good, ',"id":"other"')],
  ])('refuses %s as no answer', async (_, body) => {
    const { backend } = await setUp(replying(200, body))
    const error = await refusal(backend.run(input([1]), { ...context, outputs: ['double'] }))
    expect(error).toMatchObject({ code: 'REMOTE_REPLY_INVALID', status: 502, retry: false })
    expect(error.message.length).toBeLessThan(1200)
  })

  it.each([
    ['a JSON length beyond the body', 10_000, 4],
    ['a JSON length that is none', 'x', 4],
    ['a binary part that is too short', undefined, 3],
    ['a binary part that is too long', undefined, 5],
    ['an announced size that is not the tensor’s', undefined, 8],
  ])('refuses %s', async (title, length, bytes) => {
    const size = title.includes('announced') ? 8 : 4
    const json = Buffer.from(one({ ...good, data: undefined, parameters: { binary_data_size: size } }))
    const { backend } = await setUp({
      infer({ response }) {
        response.setHeader('inference-header-content-length', length ?? json.length)
        response.end(Buffer.concat([json, Buffer.alloc(bytes)]))
        return true
      },
    })
    const error = await refusal(backend.run(input([1]), { ...context, outputs: ['double'] }))
    expect(error.code).toBe('REMOTE_REPLY_INVALID')
  })

  it('reads no more than it was told to', async () => {
    const sent: number[] = []
    const { backend } = await setUp(
      {
        async infer({ response, body }) {
          if (body.inputs[0]!.data[0] === 1) response.writeHead(200, { 'content-length': 10_000_000 }).write('x')
          else {
            response.writeHead(200)
            const chunk = Buffer.alloc(64 * 1024)
            response.on('close', () => response.emit('drain'))
            for (let i = 0; i < 1000 && !response.destroyed; i++) {
              sent.push(chunk.length)
              if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve))
            }
          }
          return true
        },
      },
      { maxReplyBytes: 100_000 },
    )
    expect(await refusal(backend.run(input([1]), context))).toMatchObject({
      code: 'REMOTE_REPLY_TOO_LARGE',
      status: 502,
    })
    expect(await refusal(backend.run(input([2]), context))).toMatchObject({ code: 'REMOTE_REPLY_TOO_LARGE' })
    expect(sent.length).toBeLessThan(1000)
  })
})

describe('a remote version whose server fails over HTTP', () => {
  it('tries again after 503, and after a connection that breaks before an answer', async () => {
    let tries = 0
    const { server, backend, all } = await setUp({
      infer({ response }) {
        tries++
        if (tries === 1) response.writeHead(503).end('{"error":"queue full"}')
        else if (tries === 2) response.destroy()
        return tries < 3
      },
    })
    expect(await numbers(backend.run(input([4]), within(10_000)))).toEqual([8])
    expect(server.seen).toHaveLength(3)
    const text = await all.text()
    expect(text).toContain('ml_remote_retries_total{model="far",version="1"} 2')
    expect(text).toContain('ml_remote_requests_total{model="far",version="1",status="REMOTE_BUSY"} 1')
    expect(text).toContain('ml_remote_requests_total{model="far",version="1",status="ok"} 1')
  })

  it('does not try again in the middle of an answer, nor more than twice, nor past the deadline', async () => {
    let tries = 0
    const broken = await setUp({
      infer({ response }) {
        tries++
        response.writeHead(200, { 'content-length': 100 })
        response.write('{"outputs":')
        setImmediate(() => response.destroy())
        return true
      },
    })
    const error = await refusal(broken.backend.run(input([1]), context))
    expect(error).toMatchObject({ code: 'REMOTE_UNREACHABLE' })
    expect(error.message).toContain('in the middle of the answer')
    expect(tries).toBe(1)
    const busy = await setUp({
      infer({ response }) {
        response.writeHead(503).end('no')
        return true
      },
    })
    expect((await refusal(busy.backend.run(input([1]), context))).code).toBe('REMOTE_BUSY')
    expect(busy.server.seen).toHaveLength(3)
    busy.server.behaviour.infer = ({ response }) => {
      response.writeHead(503, { 'retry-after': '5' }).end('no')
      return true
    }
    await refusal(busy.backend.run(input([1]), within(2000)))
    expect(busy.server.seen).toHaveLength(4)
  })

  it('stops trying again when a tenth of its requests were retries', async () => {
    const { server, backend } = await setUp({
      infer({ response }) {
        response.writeHead(503).end('no')
        return true
      },
    })
    // One after the other they would be refused by the watch that sees the server fail; it sees it well.
    await Promise.all(Array.from({ length: 50 }, () => refusal(backend.run(input([1]), within(60_000)))))
    expect(server.seen.length).toBeLessThanOrEqual(50 + 10 + 5)
  })

  it('gives a request up at its deadline, at its own limit, and when nobody waits any more, and closes it', async () => {
    const closed: Promise<void>[] = []
    const hanging = {
      infer({ response }: InferSeen) {
        closed.push(new Promise((resolve) => response.once('close', () => resolve())))
        return true
      },
    }
    const { backend, server } = await setUp(hanging)
    expect(await refusal(backend.run(input([1]), within(30)))).toMatchObject({ code: 'REMOTE_TIMEOUT', status: 504 })
    const limited = await setUp(hanging, { timeoutMs: 30 })
    expect(await refusal(limited.backend.run(input([1]), context))).toMatchObject({ code: 'REMOTE_TIMEOUT' })
    const abandoned = { ...context }
    const before = server.seen.length
    const run = refusal(backend.run(input([2]), abandoned))
    while (server.seen.length === before) await new Promise((resolve) => setImmediate(resolve))
    backend.abandon!(abandoned)
    expect(await run).toMatchObject({ code: 'SERVING_CANCELLED' })
    expect(closed).toHaveLength(3)
    await Promise.all(closed)
  })

  it('answers a batch in order though its connections overtake each other', async () => {
    const held: InferSeen[] = []
    const { backend } = await setUp(
      {
        infer(seen) {
          held.push(seen)
          if (held.length === 3) for (const one of [...held].reverse()) answer(one, doubled(one.body))
          return true
        },
      },
      { maxBatchSize: 1 },
    )
    expect(await numbers(backend.run(input([1], [2], [3]), context))).toEqual([2, 4, 6])
  })
})
