// Binary tensors, compression and classification over real sockets, on both ways a prediction can arrive: the wire, and node:http.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DATATYPES, type DataType, ELEMENT_BYTES, MAX_STRINGS } from '../../src/tensor/index.js'
import { call, RawConnection, type RawReply } from '../support/http.js'
import { buildModel, identityModel, node, value } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
const LIMIT = 24 * 1024 * 1024
let server: TestServer

function writeModel(name: string, file: Uint8Array, manifest: object = {}): void {
  const at = join(folder, 'models', name, '1')
  mkdirSync(at, { recursive: true })
  writeFileSync(join(at, 'model.onnx'), file)
  writeFileSync(join(at, 'model.json'), JSON.stringify(manifest))
}

const TYPES = DATATYPES.filter((datatype) => datatype !== 'BF16')

beforeAll(async () => {
  for (const datatype of TYPES) writeModel(datatype.toLowerCase(), identityModel(datatype, ['rows', 'width']))
  writeModel('scores', identityModel('FP32', ['rows', 3]), { labels: ['ash', 'birch', 'fir'] })
  writeModel('image', identityModel('BYTES', ['rows', 1]))
  writeModel('strings', identityModel('BYTES', ['rows', 2]))
  writeModel('grid', identityModel('FP32', ['rows', 'height', 'width']))
  writeModel(
    'mixed',
    buildModel({
      inputs: [value('x', 'FP32', ['rows', 2]), value('s', 'BYTES', ['rows', 1])],
      outputs: [value('y', 'FP32', ['rows', 2]), value('t', 'BYTES', ['rows', 1])],
      nodes: [node('Identity', ['x'], ['y']), node('Identity', ['s'], ['t'])],
    }),
  )
  server = await startTestServer({
    folder,
    models: [],
    config: { server: { bodyLimitBytes: LIMIT, maxBufferedBytes: 256 * 1024 * 1024 } },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

type Headers = Readonly<Record<string, string | number>>

/** The second way has a header that the wire leaves to node:http. */
const WAYS: readonly [string, Headers][] = [
  ['the wire', {}],
  ['node:http', { 'Proxy-Connection': 'keep-alive' }],
]

function message(model: string, body: Uint8Array, headers: Headers): Buffer {
  const all: Headers = { Host: 'localhost', 'Content-Length': body.length, ...headers }
  const lines = Object.entries(all).map(([name, text]) => `${name}: ${text}\r\n`)
  return Buffer.concat([Buffer.from(`POST /v2/models/${model}/infer HTTP/1.1\r\n${lines.join('')}\r\n`), body])
}

async function send(model: string, body: Uint8Array, headers: Headers): Promise<RawReply> {
  const connection = await RawConnection.open(server.port)
  void connection.write(message(model, body, headers))
  const reply = await connection.read()
  connection.close()
  return reply!
}

const lengthOf = (json: string): Headers => ({ 'Inference-Header-Content-Length': Buffer.byteLength(json) })

/** JSON and then tensors. */
function sendBinary(model: string, head: object, parts: readonly Uint8Array[], headers: Headers): Promise<RawReply> {
  const json = JSON.stringify(head)
  return send(model, Buffer.concat([Buffer.from(json), ...parts]), { ...lengthOf(json), ...headers })
}

const floats = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer)
const text = (...values: string[]): Buffer =>
  Buffer.concat(
    values.flatMap((each) => {
      const bytes = Buffer.from(each)
      return [Buffer.from(Uint32Array.of(bytes.length).buffer), bytes]
    }),
  )

const input = (name: string, datatype: DataType, shape: readonly number[], size: unknown): object => ({
  name,
  datatype,
  shape,
  parameters: { binary_data_size: size },
})

interface Answer {
  readonly json: { readonly outputs: readonly Readonly<Record<string, unknown>>[] }
  /** The binary data of outputs, by name. */
  readonly binary: Readonly<Record<string, Buffer>>
}

/** Takes a reply apart as clients do. */
function read({ status, headers, bytes, body }: RawReply): Answer {
  expect([status, status === 200 ? '' : body]).toEqual([200, ''])
  const length = headers['inference-header-content-length']
  expect(headers['content-type']).toBe(length === undefined ? 'application/json' : 'application/octet-stream')
  const encoding = headers['content-encoding']
  const plain = encoding === 'gzip' ? gunzipSync(bytes) : encoding === 'deflate' ? inflateSync(bytes) : bytes
  let at = length === undefined ? plain.length : Number(length)
  const json = JSON.parse(plain.subarray(0, at).toString()) as Answer['json']
  const binary: Record<string, Buffer> = {}
  for (const { name, parameters } of json.outputs) {
    const size = (parameters as { binary_data_size?: number } | undefined)?.binary_data_size
    if (size === undefined) continue
    binary[name as string] = plain.subarray(at, at + size)
    at += size
  }
  expect(at).toBe(plain.length)
  return { json, binary }
}

const GOOD = { inputs: [input('x', 'FP32', [1, 2], 8)], outputs: [{ name: 'y', parameters: { binary_data: true } }] }

// Whatever a request does, its neighbours are answered.
afterEach(async () => {
  for (const [, way] of WAYS) {
    const { binary } = read(await sendBinary('fp32', GOOD, [floats(1, -2)], way))
    expect(binary['y']).toEqual(floats(1, -2))
  }
})

describe.each(WAYS)('binary tensors over %s', (_name, way) => {
  it.each(TYPES)('bring %s there and back', async (datatype) => {
    const data =
      datatype === 'BYTES'
        ? text('', 'a', 'é"\n', 'x'.repeat(70_000))
        : Buffer.from(
            Array.from({ length: 4 * ELEMENT_BYTES[datatype] }, (_, i) => (datatype === 'BOOL' ? i % 2 : i * 37)),
          )
    const head = { inputs: [input('x', datatype, [2, 2], data.length)], parameters: { binary_data_output: true } }
    const { json, binary } = read(await sendBinary(datatype.toLowerCase(), head, [data], way))
    expect(json.outputs).toEqual([{ ...input('y', datatype, [2, 2], data.length) }])
    expect(binary['y']).toEqual(data)
  })

  it('keep every bit of a NaN', async () => {
    const data = Buffer.from(Uint32Array.of(0x7fc12345, 0xffa00001).buffer)
    expect(read(await sendBinary('fp32', GOOD, [data], way)).binary['y']).toEqual(data)
  })

  it('stand beside JSON in either order, and are logged like it', async () => {
    const x = input('x', 'FP32', [1, 2], 8)
    const s = { name: 's', datatype: 'BYTES', shape: [1, 1], data: ['é"'] }
    const outputs = [{ name: 't' }, { name: 'y', parameters: { binary_data: true } }]
    for (const inputs of [
      [x, s],
      [s, x],
    ]) {
      const reply = await sendBinary('mixed', { inputs, outputs }, [floats(Number.NaN, 2)], way)
      const { json, binary } = read(reply)
      expect(json.outputs[0]!['data']).toEqual(['é"'])
      expect(binary['y']).toEqual(floats(Number.NaN, 2))
      const id = reply.headers['headrace-prediction-id']!
      const { prediction } = (await call(`${server.url}/api/v1/predictions/${id}`, 'GET')).json
      expect(prediction.payload.inputs.map(({ data }: { data: unknown }) => data).sort()).toEqual([['NaN', 2], ['é"']])
      expect(prediction.payload.outputs[0].tensors).toHaveLength(2)
    }
  })

  it('are wanted per output, or for all that say nothing else', async () => {
    const inputs = [input('x', 'FP32', [1, 2], 8), input('s', 'BYTES', [1, 1], 5)]
    const parts = [floats(1, 2), text('a')]
    const wanted = async (outputs: object | undefined, all: boolean | undefined) => {
      const parameters = all === undefined ? {} : { binary_data_output: all }
      const { json, binary } = read(await sendBinary('mixed', { inputs, outputs, parameters }, parts, way))
      return json.outputs.map(
        ({ name, data }) => `${name} ${data === undefined ? 'binary' : 'json'} ${binary[name as string] !== undefined}`,
      )
    }
    const y = (isBinary?: boolean) => ({
      name: 'y',
      ...(isBinary === undefined ? {} : { parameters: { binary_data: isBinary } }),
    })
    expect(await wanted(undefined, undefined)).toEqual(['y json false', 't json false'])
    expect(await wanted(undefined, true)).toEqual(['y binary true', 't binary true'])
    expect(await wanted([{ name: 't' }, y(true)], undefined)).toEqual(['t json false', 'y binary true'])
    expect(await wanted([{ name: 't' }, y(false)], true)).toEqual(['t binary true', 'y json false'])
    expect(await wanted([y(false)], false)).toEqual(['y json false'])
  })

  it('are wanted from a request that is JSON', async () => {
    const body = JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
      parameters: { binary_data_output: true },
    })
    for (const headers of [{}, lengthOf(body), { 'Content-Type': 'application/octet-stream' }])
      expect(read(await send('fp32', Buffer.from(body), { ...headers, ...way })).binary['y']).toEqual(floats(1, 2))
  })

  it('without bytes are answered as JSON alone', async () => {
    const head = { inputs: [input('x', 'FP32', [2, 0], 0)], parameters: { binary_data_output: true } }
    const reply = await sendBinary('fp32', head, [], way)
    expect(reply.headers).not.toHaveProperty('inference-header-content-length')
    expect(read(reply).binary['y']).toHaveLength(0)
  })

  it('of several megabytes come back whole, aligned or not', async () => {
    for (const pad of ['', 'a', 'ab', 'abc']) {
      const data = Buffer.from(Float32Array.from({ length: 1_000_000 }, (_, i) => i).buffer)
      const head = { ...GOOD, id: pad, inputs: [input('x', 'FP32', [1000, 1000], data.length)] }
      expect(read(await sendBinary('fp32', head, [data], way)).binary['y']!.equals(data)).toBe(true)
    }
  })

  it('take their place among JSON that is large', async () => {
    const data = Array.from({ length: 60_000 }, (_, i) => i / 2)
    const s = { name: 's', datatype: 'BYTES', shape: [30_000, 1], data: data.slice(0, 30_000).map(String) }
    const x = floats(...data)
    const head = { inputs: [s, input('x', 'FP32', [30_000, 2], x.length)], outputs: [{ name: 't' }, GOOD.outputs[0]] }
    const { json, binary } = read(await sendBinary('mixed', head, [x], way))
    expect(json.outputs[0]!['data']).toEqual(s.data)
    expect(binary['y']!.equals(x)).toBe(true)
  })

  it('obey timeout, priority and the pinned version as JSON does', async () => {
    const head = { ...GOOD, parameters: { priority: 1, timeout: 5_000_000 } }
    expect(read(await sendBinary('fp32/versions/1', head, [floats(1, 2)], way)).binary['y']).toEqual(floats(1, 2))
    const late = await sendBinary('fp32', { ...GOOD, parameters: { timeout: 0.001 } }, [floats(1, 2)], way)
    expect(late.status).toBeGreaterThanOrEqual(500)
  })
})

describe.each(WAYS)('a raw request over %s', (_name, way) => {
  const raw = (model: string, body: Uint8Array): Promise<RawReply> =>
    send(model, body, { 'Inference-Header-Content-Length': 0, 'Content-Type': 'application/octet-stream', ...way })

  it('is one row of the only input, and all outputs are binary', async () => {
    const { json, binary } = read(await raw('fp32', floats(1, 2, 3)))
    expect(json.outputs).toEqual([input('y', 'FP32', [1, 3], 12)])
    expect(binary['y']).toEqual(floats(1, 2, 3))
  })

  it('is one element of BYTES, without a length before it', async () => {
    const { json, binary } = read(await raw('image', Buffer.from('é{')))
    expect(json.outputs).toEqual([input('y', 'BYTES', [1, 1], 7)])
    expect(binary['y']).toEqual(text('é{'))
  })

  it.each([
    ['mixed', 8, 'OIP_RAW_UNSUPPORTED'],
    ['grid', 8, 'OIP_RAW_UNSUPPORTED'],
    ['strings', 8, 'OIP_RAW_UNSUPPORTED'],
    ['fp32', 7, 'TENSOR_BINARY_LENGTH'],
    ['scores', 8, 'TENSOR_BINARY_LENGTH'],
  ])('that does not fit the model is refused: %s', async (model, bytes, code) => {
    expect(await raw(model, new Uint8Array(bytes))).toMatchObject({ status: 400, json: { code } })
  })
})

describe.each(WAYS)('lengths and shapes that lie, over %s', (_name, way) => {
  const json = JSON.stringify({ inputs: [input('x', 'FP32', [1, 2], 8)] })
  const whole = Buffer.concat([Buffer.from(json), floats(1, 2)])

  it.each([
    '-1',
    '1.5',
    'NaN',
    '',
    ' ',
    '0x10',
    '9223372036854775808',
    '1e3',
    '5, 5',
    `${json.length + 9}`,
    '99999999999',
  ])('refuse the header %j', async (length) => {
    const reply = await send('fp32', whole, { ...way, 'Inference-Header-Content-Length': length })
    expect(reply).toMatchObject({ status: 400, json: { code: 'OIP_HEADER_LENGTH' } })
  })

  it('refuse a header that cuts the JSON, or takes data for JSON', async () => {
    for (const length of [1, json.length - 1, json.length + 1, json.length + 8]) {
      const reply = await send('fp32', whole, { ...way, 'Inference-Header-Content-Length': length })
      expect(reply).toMatchObject({ status: 400, json: { code: 'TENSOR_JSON_INVALID' } })
    }
  })

  it('refuse binary data without the header', async () => {
    expect(await send('fp32', Buffer.from(json), way)).toMatchObject({
      status: 400,
      json: { code: 'OIP_BINARY_WITHOUT_HEADER' },
    })
  })

  const x = (shape: readonly number[], size: unknown, datatype: DataType = 'FP32') => [
    input('x', datatype, shape, size),
  ]
  it.each<[string, object, number, string]>([
    ['too short a body', x([1, 2], 8), 7, 'OIP_BINARY_TOO_SHORT'],
    ['no body at all', x([1, 2], 8), 0, 'OIP_BINARY_TOO_SHORT'],
    ['bytes behind the last tensor', x([1, 2], 8), 9, 'OIP_BINARY_TOO_LONG'],
    ['a size of 2^53 - 1', x([1, 2], Number.MAX_SAFE_INTEGER), 8, 'OIP_BINARY_TOO_SHORT'],
    ['a size of 2^63', x([1, 2], 2 ** 63), 8, 'OIP_PARAMETER_INVALID'],
    ['a negative size', x([1, 2], -8), 8, 'OIP_PARAMETER_INVALID'],
    ['a size that is text', x([1, 2], '8'), 8, 'OIP_PARAMETER_INVALID'],
    ['a size that is a fraction', x([1, 2], 7.5), 8, 'OIP_PARAMETER_INVALID'],
    ['a size that is not the shape\u2019s', x([1, 3], 8), 8, 'TENSOR_BINARY_LENGTH'],
    ['negative dims', x([-1, -2], 8), 8, 'TENSOR_SHAPE_INVALID'],
    ['a product beyond 2^53', x([2 ** 30, 2 ** 30], 8), 8, 'TENSOR_SHAPE_INVALID'],
    ['a product that wraps to 8 bytes in 64 bits', x([2 ** 32, 2 ** 32 + 2], 8), 8, 'TENSOR_SHAPE_INVALID'],
    ['a shape of a petabyte', x([2 ** 48, 1], 8), 8, 'TENSOR_BINARY_LENGTH'],
    ['a shape of a petabyte of strings', x([2 ** 48, 1], 8, 'BYTES'), 8, 'TENSOR_BINARY_LENGTH'],
    ['both kinds of data', [{ ...input('x', 'FP32', [1, 2], 8), data: [1, 2] }], 8, 'OIP_INPUT_DATA_TWICE'],
    ['an input twice', [...x([1, 2], 8), ...x([1, 2], 8)], 16, 'TENSOR_INPUT_DUPLICATE'],
    ['another datatype than the model\u2019s', x([1, 1], 8, 'FP64'), 8, 'TENSOR_DATATYPE_MISMATCH'],
  ])('refuse %s', async (_what, inputs, bytes, code) => {
    const reply = await sendBinary('fp32', { inputs }, [new Uint8Array(bytes)], way)
    expect(reply).toMatchObject({ status: 400, json: { code } })
  })

  it.each([
    ['that points past the end', Uint32Array.of(9, 0)],
    ['of 4 GiB', Uint32Array.of(0xffffffff, 0)],
    ['that leaves bytes', Uint32Array.of(0, 0, 0)],
  ])('refuse an element of BYTES with a length %s', async (_what, lengths) => {
    const data = Buffer.from(lengths.buffer)
    const reply = await sendBinary('strings', { inputs: x([1, 2], data.length, 'BYTES') }, [data], way)
    expect(reply).toMatchObject({ status: 400, json: { code: 'TENSOR_BINARY_LENGTH' } })
  })

  it('refuse more strings than a request may bring, over all inputs', async () => {
    const half = MAX_STRINGS / 2 + 1
    const inputs = ['a', 'b'].map((name) => input(name, 'BYTES', [half], half * 4))
    const reply = await sendBinary('strings', { inputs }, [new Uint8Array(half * 8)], way)
    expect(reply).toMatchObject({ status: 413, json: { code: 'TENSOR_STRINGS_TOO_MANY' } })
  })

  it.each([
    ['binary_data_output', { parameters: { binary_data_output: 1 } }, 'OIP_PARAMETER_INVALID'],
    ['binary_data', { outputs: [{ name: 'y', parameters: { binary_data: 'yes' } }] }, 'OIP_PARAMETER_INVALID'],
    ['classification', { outputs: [{ name: 'y', parameters: { classification: -1 } }] }, 'OIP_PARAMETER_INVALID'],
  ])('refuse a wrong %s', async (_what, change, code) => {
    const reply = await sendBinary('fp32', { ...GOOD, ...change }, [floats(1, 2)], way)
    expect(reply).toMatchObject({ status: 400, json: { code } })
  })

  it('forget half a body when its client goes, small or large', async () => {
    for (const size of [64, 1_000_000]) {
      const connection = await RawConnection.open(server.port)
      const head = JSON.stringify({ inputs: x([1, size / 4], size) })
      const half = Buffer.concat([Buffer.from(head), new Uint8Array(size / 2)])
      await connection.write(message('fp32', half, { ...lengthOf(head), ...way, 'Content-Length': head.length + size }))
      connection.close()
    }
    await expect.poll(() => heldBytes()).toBe(0)
  })

  it('answer others on the same connection', async () => {
    const connection = await RawConnection.open(server.port)
    const good = JSON.stringify(GOOD)
    const ok = message('fp32', Buffer.concat([Buffer.from(good), floats(3, 4)]), { ...lengthOf(good), ...way })
    const bad = message('fp32', whole, { 'Inference-Header-Content-Length': '77777', ...way })
    void connection.write(Buffer.concat([ok, bad, ok]))
    const replies = [await connection.read(), await connection.read(), await connection.read()]
    expect(replies.map((reply) => reply!.status)).toEqual([200, 400, 200])
    expect(read(replies[2]!).binary['y']).toEqual(floats(3, 4))
    connection.close()
  })
})

async function heldBytes(): Promise<number> {
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  return Number(/^headrace_buffered_bytes (\d+)/m.exec(metrics)![1])
}

describe.each(WAYS)('compression over %s', (_name, way) => {
  const compressors = [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['identity', (bytes: Uint8Array) => Buffer.from(bytes)],
  ] as const
  const data = Buffer.from(Float32Array.from({ length: 4000 }, (_, i) => i).buffer)
  const json = JSON.stringify({ ...GOOD, inputs: [input('x', 'FP32', [2, 2000], data.length)] })
  const body = Buffer.concat([Buffer.from(json), data])

  it.each(compressors)('reads %s', async (encoding, compress) => {
    const headers = { ...lengthOf(json), 'Content-Encoding': encoding, ...way }
    expect(read(await send('fp32', compress(body), headers)).binary['y']).toEqual(data)
    const plain = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] })
    const reply = await send('fp32', compress(Buffer.from(plain)), { 'Content-Encoding': encoding, ...way })
    expect(read(reply).json.outputs[0]!['data']).toEqual([1, 2])
  })

  it('reads megabytes', async () => {
    const large = Buffer.from(Float32Array.from({ length: 2_000_000 }, (_, i) => i % 977).buffer)
    const head = JSON.stringify({ ...GOOD, inputs: [input('x', 'FP32', [2, 1_000_000], large.length)] })
    const headers = { ...lengthOf(head), 'Content-Encoding': 'gzip', ...way }
    const reply = await send('fp32', gzipSync(Buffer.concat([Buffer.from(head), large]), { level: 1 }), headers)
    expect(read(reply).binary['y']!.equals(large)).toBe(true)
    await expect.poll(() => heldBytes()).toBe(0)
  })

  it.each([
    ['gzip', 'gzip'],
    ['deflate', 'deflate'],
    ['deflate, gzip', 'gzip'],
    ['gzip;q=0.5, deflate;q=0.8', 'deflate'],
    ['gzip;q=0, *', 'deflate'],
    ['*', 'gzip'],
    ['br', undefined],
    ['identity', undefined],
    ['gzip;q=0.5, identity', undefined],
    ['gzip;q=0', undefined],
    ['gzip;q=many', undefined],
    ['', undefined],
  ])('answers Accept-Encoding: %s with %s', async (accepted, encoding) => {
    for (const outputs of [GOOD.outputs, [{ name: 'y' }]]) {
      const head = { inputs: [input('x', 'FP32', [2, 2000], data.length)], outputs }
      const reply = await sendBinary('fp32', head, [data], {
        ...(accepted === '' ? {} : { 'Accept-Encoding': accepted }),
        ...way,
      })
      expect(reply.headers['content-encoding']).toBe(encoding)
      const answer = read(reply)
      if (outputs === GOOD.outputs) expect(answer.binary['y']).toEqual(data)
      else expect(answer.json.outputs[0]!['data']).toHaveLength(4000)
    }
  })

  it('leaves small replies as they are', async () => {
    const reply = await sendBinary('fp32', GOOD, [floats(1, 2)], { 'Accept-Encoding': 'gzip', ...way })
    expect(reply.headers).not.toHaveProperty('content-encoding')
  })

  it.each(['br', 'zstd', 'gzip, gzip', 'gzip, identity', 'compress'])(
    'refuses %s and names what it takes',
    async (encoding) => {
      const reply = await send('fp32', gzipSync(body), { ...lengthOf(json), 'Content-Encoding': encoding, ...way })
      expect(reply).toMatchObject({ status: 415, json: { code: 'HTTP_CONTENT_ENCODING' } })
      expect(reply.headers['accept-encoding']).toBe('gzip, deflate')
    },
  )

  it.each([
    ['cut', gzipSync(body).subarray(0, -20)],
    ['damaged', Buffer.from(gzipSync(body)).fill(0x55, 40, 60)],
    ['not compressed', body],
    ['empty', Buffer.alloc(0)],
    ['followed by more', Buffer.concat([gzipSync(body), Buffer.from('more')])],
    ['of a wrong checksum', Buffer.concat([gzipSync(body).subarray(0, -8), Buffer.alloc(8, 0x55)])],
  ])('refuses a gzip body that is %s', async (_what, bytes) => {
    const reply = await send('fp32', bytes, { ...lengthOf(json), 'Content-Encoding': 'gzip', ...way })
    expect(reply).toMatchObject({ status: 400, json: { code: 'HTTP_COMPRESSED_INVALID' } })
  })

  it('stops bombs early, and holds nothing of them', async () => {
    const headers = { 'Content-Encoding': 'gzip', 'Inference-Header-Content-Length': 2, ...way }
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 })
    const before = process.memoryUsage().rss
    for (let i = 0; i < 4; i++) {
      expect(await send('fp32', bomb, headers)).toMatchObject({
        status: 413,
        json: { code: 'HTTP_COMPRESSED_TOO_MUCH' },
      })
    }
    const noise = Buffer.from(Array.from({ length: 256 }, (_, i) => (i * 7919) % 251))
    const wide = gzipSync(
      Buffer.concat(
        Array.from({ length: 120_000 }, (_, i) =>
          i % 4 === 0 ? Buffer.from(noise).reverse() : noise.subarray(i % 100),
        ),
      ),
      { level: 1 },
    )
    expect(wide.length).toBeGreaterThan(LIMIT / 200)
    expect(await send('fp32', wide, headers)).toMatchObject({ status: 413 })
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024)
    await expect.poll(() => heldBytes()).toBe(0)
  })
})

describe.each(WAYS)('classification over %s', (_name, way) => {
  const head = (k: number, isBinary: boolean) => ({
    inputs: [input('x', 'FP32', [2, 3], 24)],
    outputs: [{ name: 'y', parameters: { classification: k, binary_data: isBinary } }],
  })
  const data = floats(0.1, 0.7, 0.2, 5, 5, -1)

  it('answers the largest elements of each row with their labels, as JSON and binary', async () => {
    const { json } = read(await sendBinary('scores', head(2, false), [data], way))
    const classes = ['0.700000:1:birch', '0.200000:2:fir', '5.000000:0:ash', '5.000000:1:birch']
    expect(json.outputs).toEqual([{ name: 'y', datatype: 'BYTES', shape: [2, 2], data: classes }])
    const { binary } = read(await sendBinary('scores', head(2, true), [data], way))
    expect(binary['y']).toEqual(text(...classes))
  })

  it('gives no more classes than there are', async () => {
    const { json } = read(await sendBinary('scores', head(100, false), [data], way))
    expect(json.outputs[0]).toMatchObject({ shape: [2, 3] })
  })

  it('refuses BYTES', async () => {
    const outputs = [{ name: 't', parameters: { classification: 1 } }]
    const inputs = [input('x', 'FP32', [1, 2], 8), input('s', 'BYTES', [1, 1], 5)]
    const reply = await sendBinary('mixed', { inputs, outputs }, [floats(1, 2), text('a')], way)
    expect(reply).toMatchObject({ status: 400, json: { code: 'OIP_CLASSIFICATION_INVALID' } })
  })
})
