// Starts real threads from the compiled worker.
import { afterEach, describe, expect, it } from 'vitest'
import { createPlatform } from '../core/index.js'
import { describeRows, type RowSchema, type Tensor } from '../tensor/index.js'
import { encodePredictResponse, parsePredictRequest } from './kserve-v1/index.js'
import { parseNativeRequest } from './native/index.js'
import { encodeInferResponse, parseInferRequest } from './oip/index.js'
import { createParsePool, estimateReplyBytes, type ParsePool, type ParsePoolOptions } from './parse-pool.js'

let pool: ParsePool
const open: ParsePool[] = []
function start(options: Partial<ParsePoolOptions> = {}): ParsePool {
  pool = createParsePool({ platform: createPlatform(), ...options })
  open.push(pool)
  return pool
}
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

const schema: RowSchema = describeRows(
  {
    inputs: [
      { name: 'amount', datatype: 'FP32', shape: [-1, 1] },
      { name: 'country', datatype: 'BYTES', shape: [-1] },
    ],
    outputs: [],
    batchAxis: 0,
  },
  { features: undefined, outputs: {} },
  undefined,
)

const infer = {
  id: 'r-1',
  parameters: { unit: 'u' },
  inputs: [
    { name: 's', shape: [3], datatype: 'BYTES', data: ['a', 'é\n', ''] },
    { name: 'x', shape: [2, 2], datatype: 'FP32', data: [1, 2, 3, 4] },
    { name: 'i', shape: [1], datatype: 'INT64', data: [-5] },
  ],
  outputs: [{ name: 'p', parameters: { a: 1 } }],
}
const bytes = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))

const outputs: Tensor[] = [
  { name: 'p', datatype: 'FP32', shape: [2], data: Float32Array.of(0.25, 0.75) },
  { name: 's', datatype: 'BYTES', shape: [2], data: [Buffer.from('é'), Buffer.from('b')] },
]

describe('createParsePool', () => {
  it('parses as the protocols themselves do, Buffers and all', async () => {
    start()
    const expected = parseInferRequest(bytes(infer))
    expect(await pool.parse('oip', bytes(infer), undefined)).toEqual({
      ...expected,
      rawInputs: new Uint8Array(expected.rawInputs!),
    })
    const { inputs } = await pool.parse('oip', bytes(infer), undefined)
    for (const element of inputs.get('s')!.data as Buffer[]) expect(Buffer.isBuffer(element)).toBe(true)
    const v1 = {
      instances: [
        { amount: 1, country: 'DE' },
        { amount: null, country: { b64: '/w==' } },
      ],
    }
    expect(await pool.parse('kserve-v1', bytes(v1), schema)).toEqual(parsePredictRequest(bytes(v1), schema))
    const native = { inputs: [{ amount: 1, country: 'DE' }], unit: 'u' }
    expect(await pool.parse('native', bytes(native), schema)).toEqual(parseNativeRequest(bytes(native), schema))
  })

  it('takes a whole buffer over, and copies a part of one', async () => {
    start()
    const whole = new Uint8Array(bytes(infer))
    await pool.parse('oip', whole, undefined)
    expect(whole.byteLength).toBe(0)
    const part = new Uint8Array(1000).fill(32)
    part.set(bytes(infer), 100)
    await pool.parse('oip', part.subarray(90, 900), undefined)
    expect(part.byteLength).toBe(1000)
  })

  it('encodes as the protocols themselves do', async () => {
    start()
    const response = { modelName: 'm', modelVersion: '1', id: 'r', parameters: undefined, outputs }
    const oip = await pool.encode('oip', response)
    const expected = encodeInferResponse(response)
    expect(Buffer.from(oip.body).toString()).toBe(expected.text)
    expect(Buffer.from(oip.rawOutputs!).toString()).toBe(expected.rawOutputs)
    expect(oip.rawOutputs!.buffer).toBe(oip.body.buffer)
    // What was encoded may be cached or logged: it is still there.
    expect(outputs[0]!.data).toHaveLength(2)
    const v1 = { form: 'rows', rows: 2, outputs } as const
    expect(Buffer.from((await pool.encode('kserve-v1', v1)).body).toString()).toBe(encodePredictResponse(v1))
  })

  it('rejects with the error of the protocol, params and all', async () => {
    start()
    const body = bytes({ ...infer, inputs: [infer.inputs[0], infer.inputs[0]] })
    await expect(pool.parse('oip', body, undefined)).rejects.toMatchObject({
      name: 'HeadraceError',
      code: 'TENSOR_INPUT_DUPLICATE',
      status: 400,
      params: { input: 's' },
    })
    const notText: Tensor = { name: 's', datatype: 'BYTES', shape: [1], data: [Buffer.from([255])] }
    await expect(
      pool.encode('oip', {
        modelName: 'm',
        modelVersion: '1',
        id: undefined,
        parameters: undefined,
        outputs: [notText],
      }),
    ).rejects.toMatchObject({ code: 'TENSOR_OUTPUT_NOT_TEXT' })
    await pool.parse('oip', bytes(infer), undefined)
  })

  it('refuses more waiting bytes than its limit, but always takes one body', async () => {
    start({ maxQueueBytes: 1000 })
    const body = (size: number): Buffer => bytes(`{"inputs":[]${' '.repeat(size - 13)}}`)
    const first = pool.parse('oip', body(5000), undefined)
    await expect(pool.parse('oip', body(100), undefined)).rejects.toMatchObject({
      code: 'PARSE_QUEUE_FULL',
      status: 429,
      params: { queuedBytes: 5000, sizeBytes: 100, retryAfterMs: 1000 },
    })
    await first
    await Promise.all([pool.parse('oip', body(400), undefined), pool.parse('oip', body(400), undefined)])
  })

  it('survives a body that needs more memory than it has, and goes on with the next one', async () => {
    start({ maxHeapMb: 32 })
    const bomb = bytes(`{"instances":[{"amount":[${'[],'.repeat(2_000_000)}1]}]}`)
    const jobs = [pool.parse('kserve-v1', bomb, schema), pool.parse('oip', bytes(infer), undefined)]
    await expect(jobs[0]).rejects.toMatchObject({ code: 'PARSE_TOO_COMPLEX', status: 413, retry: false })
    expect(await jobs[1]).toMatchObject({ id: 'r-1' })
  })

  it('keeps the metric of its queue, also when jobs fail', async () => {
    const platform = createPlatform()
    start({ platform })
    const job = pool.parse('oip', bytes('{'), undefined)
    expect(await platform.metrics.expose()).toMatch(/^headrace_parse_queue_bytes 1$/m)
    await expect(job).rejects.toThrow()
    expect(await platform.metrics.expose()).toMatch(/^headrace_parse_queue_bytes 0$/m)
  })

  it('rejects what is under way and what comes later when it is closed', async () => {
    start()
    const jobs = [pool.parse('oip', bytes(infer), undefined), pool.parse('oip', bytes(infer), undefined)]
    const settled = Promise.allSettled(jobs)
    await pool.close()
    for (const result of await settled)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'PARSE_CLOSED', status: 503 } })
    await expect(pool.parse('oip', bytes(infer), undefined)).rejects.toMatchObject({ code: 'PARSE_CLOSED' })
    await pool.close()
  })

  it('parses a body of millions of numbers and several bodies on several threads', async () => {
    start({ threads: 2 })
    const text = `{"inputs":[{"name":"x","shape":[300000],"datatype":"FP64","data":[${'0.1234567,'.repeat(299_999)}1]}]}`
    const requests = await Promise.all([1, 2, 3].map(() => pool.parse('oip', bytes(text), undefined)))
    for (const { inputs, rawInputs } of requests) {
      expect(inputs.get('x')!.data).toHaveLength(300_000)
      expect(rawInputs).toHaveLength(text.length - '{"inputs":'.length - 1)
    }
  })
})

describe('estimateReplyBytes', () => {
  it('is about what the reply takes', () => {
    expect(estimateReplyBytes(outputs)).toBeGreaterThan(100)
    expect(estimateReplyBytes(outputs)).toBeLessThan(1000)
  })
})
