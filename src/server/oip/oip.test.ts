import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../../core/index.js'
import type { Tensor } from '../../tensor/index.js'
import {
  encodeError,
  encodeInferResponse,
  encodeInferResponseBytes,
  encodeLive,
  encodeModelList,
  encodeModelMetadata,
  encodeModelReady,
  encodeReady,
  encodeServerMetadata,
  type InferRequest,
  identityOf,
  OipErrors,
  orderOutputs,
  parseInferRequest,
} from './index.js'

const parse = (body: unknown): InferRequest =>
  parseInferRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))

const x = { name: 'x', shape: [1, 3], datatype: 'FP32', data: [1, 2.5, -3] }
const y = { name: 'y', shape: [2], datatype: 'BYTES', data: ['a', 'é'] }

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('parseInferRequest', () => {
  it('reads id, parameters, inputs and outputs', () => {
    const body = {
      id: 'r-1',
      parameters: { unit: 'u-7', 'entity.user': 'u', timeout: 5000, flag: true },
      inputs: [x, { ...y, parameters: { content_type: 'str' } }],
      outputs: [{ name: 'label' }, { name: 'p', parameters: { binary_data: false } }],
      model_name: 'ignored',
      extra: [{ deep: [1] }],
    }
    expect(parse(body)).toMatchObject({
      id: 'r-1',
      parameters: { unit: 'u-7', 'entity.user': 'u', timeout: 5000, flag: true },
      inputs: new Map<string, Tensor>([
        ['x', { name: 'x', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2.5, -3) }],
        ['y', { name: 'y', datatype: 'BYTES', shape: [2], data: [Buffer.from('a'), Buffer.from('é')] }],
      ]),
      outputs: ['label', 'p'],
      outputParameters: new Map([['p', { binary_data: false }]]),
    })
  })

  it('takes members in any order, data before its datatype and shape among them', () => {
    const orders = fc.shuffledSubarray(Object.entries(x), { minLength: 4, maxLength: 4 })
    fc.assert(
      fc.property(orders, fc.boolean(), (entries, last) => {
        const body = last
          ? { inputs: [Object.fromEntries(entries)], id: 'a' }
          : { id: 'a', inputs: [Object.fromEntries(entries)] }
        const { id, inputs } = parse(body)
        expect(id).toBe('a')
        expect(inputs.get('x')).toEqual({ ...x, data: Float32Array.from(x.data) })
      }),
    )
  })

  it('takes a missing or empty outputs list, and null members, as left out', () => {
    for (const body of [
      { inputs: [x] },
      { inputs: [x], outputs: [] },
      { id: null, parameters: null, outputs: null, inputs: [{ ...x, parameters: null }] },
    ])
      expect(parse(body)).toMatchObject({ id: undefined, parameters: {}, outputs: undefined })
    expect(parse({ inputs: [x], parameters: { a: null, b: 1 } }).parameters).toEqual({ b: 1 })
  })

  it('gives the inputs array as it arrived, for the log', () => {
    const inputs = ` [ ${JSON.stringify(x)} , ${JSON.stringify(y)} ]`
    const { rawInputs } = parse(`{"id":"NaN","inputs":${inputs} ,"outputs":[]}`)
    expect(Buffer.from(rawInputs!).toString()).toBe(inputs.trim())
    expect(JSON.parse(Buffer.from(rawInputs!).toString())).toEqual([x, y])
  })

  it('gives no raw inputs that the log could not read back', () => {
    const withData = (data: string): InferRequest =>
      parse(`{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":${data}}]}`)
    for (const data of ['[NaN,1]', '[1,Infinity]', '[[-Infinity,1]]'.slice(1, -1)]) {
      const request = withData(data)
      expect(request.rawInputs).toBeUndefined()
      expect([...(request.inputs.get('x')!.data as Float32Array)].every(Number.isFinite)).toBe(false)
    }
    expect(withData('["NaN",1]').rawInputs).toBeDefined()
    // NaN elsewhere does not matter.
    expect(parse(`{"note":NaN,"inputs":[${JSON.stringify(x)}],"more":NaN}`).rawInputs).toBeDefined()
  })

  it.each([
    ['', 'TENSOR_JSON_INVALID'],
    ['[]', 'TENSOR_JSON_UNEXPECTED'],
    ['{"inputs":[]} x', 'TENSOR_JSON_INVALID'],
    [{}, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: {} }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [5] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ id: 5, inputs: [x] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [x], parameters: [] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [x], parameters: { a: {} } }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [x], outputs: ['label'] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [x], outputs: [{}] }, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: [x], outputs: [{ name: 'p' }, { name: 'p' }] }, 'OIP_OUTPUT_DUPLICATE'],
    [
      { inputs: [x], outputs: [{ name: 'p', parameters: { shared_memory_region: 'r' } }] },
      'OIP_SHARED_MEMORY_UNSUPPORTED',
    ],
    [{ inputs: [x, x] }, 'TENSOR_INPUT_DUPLICATE'],
    [{ inputs: [{ ...x, name: undefined }] }, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: [{ ...x, shape: undefined }] }, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: [{ ...x, datatype: undefined }] }, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: [{ ...x, data: undefined }] }, 'OIP_INPUT_DATA_MISSING'],
    [{ inputs: [{ ...x, datatype: 'FLOAT' }] }, 'TENSOR_DATATYPE_UNKNOWN'],
    [{ inputs: [{ ...x, shape: [1, '3'] }] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [{ ...x, shape: [-1, 3] }] }, 'TENSOR_SHAPE_INVALID'],
    [{ inputs: [{ ...x, shape: Array(33).fill(1) }] }, 'TENSOR_SHAPE_INVALID'],
    [{ inputs: [{ ...x, shape: [2, 3] }] }, 'TENSOR_LENGTH_MISMATCH'],
    [{ inputs: [{ ...x, parameters: { binary_data_size: 12 } }] }, 'OIP_INPUT_DATA_TWICE'],
    ...[-1, 1.5, 2 ** 53, '12', true].map((size): [object, string] => [
      { inputs: [{ ...x, data: undefined, parameters: { binary_data_size: size } }] },
      'OIP_PARAMETER_INVALID',
    ]),
    [
      '{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":NaN}}]}',
      'OIP_PARAMETER_INVALID',
    ],
    [{ inputs: [{ ...x, parameters: { shared_memory_region: 'r' } }] }, 'OIP_SHARED_MEMORY_UNSUPPORTED'],
    ['{"inputs":[],"inputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"id":"a","id":"a","inputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"inputs":[],"outputs":[],"outputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"parameters":{},"parameters":{},"inputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"parameters":{"a":1,"a":2},"inputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"inputs":[{"name":"x","name":"x"}]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"inputs":[{"data":[1],"data":[2]}]}', 'TENSOR_MEMBER_DUPLICATE'],
  ])('refuses %j with %s', (body, code) => {
    expect(failure(() => parse(body))).toMatchObject({ code, status: 400, retry: false })
  })

  it('leaves out the data of binary inputs, and lists them in their order', () => {
    const binary = { ...x, data: undefined, parameters: { binary_data_size: 12 } }
    const request = parse({ inputs: [{ ...binary, name: 'b' }, x, { ...binary, name: 'a' }] })
    expect([...request.inputs.keys()]).toEqual(['b', 'x', 'a'])
    expect(request.binaryInputs).toEqual([
      { name: 'b', sizeBytes: 12 },
      { name: 'a', sizeBytes: 12 },
    ])
    expect(request.rawInputs).toBeUndefined()
  })

  it.each([
    ['sequence_id', 7],
    ['sequence_id', 'a'],
    ['sequence_start', true],
    ['sequence_end', true],
  ])('refuses a part of a sequence: %s %j', (name, value) => {
    const error = failure(() => parse({ inputs: [x], parameters: { [name]: value } }))
    expect(error).toMatchObject({ code: 'OIP_SEQUENCE_UNSUPPORTED', status: 501 })
  })

  it('takes what clients send for no sequence', () => {
    const parameters = { sequence_id: 0, sequence_start: false, sequence_end: false }
    expect(parse({ inputs: [x], parameters }).parameters).toEqual(parameters)
  })

  it('throws nothing but 4xx for a body that is damaged anywhere', () => {
    const body = Buffer.from(
      JSON.stringify({
        id: 'r-1',
        parameters: { unit: 'u', n: 1.5e3 },
        inputs: [x, y, { name: 'i', shape: [2], datatype: 'INT64', data: [-9007199254740991, 1] }],
        outputs: [{ name: 'p', parameters: { binary_data: false } }],
      }),
    )
    const damage = fc.array(fc.tuple(fc.nat(body.length), fc.nat(2), fc.uint8Array({ maxLength: 3 })), {
      minLength: 1,
      maxLength: 3,
    })
    fc.assert(
      fc.property(damage, fc.option(fc.nat(body.length)), (edits, cut) => {
        let damaged = body
        for (const [at, remove, insert] of edits)
          damaged = Buffer.concat([damaged.subarray(0, at), insert, damaged.subarray(at + remove)])
        if (cut !== null) damaged = damaged.subarray(0, cut)
        try {
          parseInferRequest(damaged)
        } catch (error) {
          if (!(error instanceof HeadraceError)) throw error
          expect(error.status).toBeGreaterThanOrEqual(400)
          expect(error.status).toBeLessThan(500)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('bounds what the event loop has to take over from the worker', () => {
    const many = (length: number, of: (i: number) => unknown): unknown[] => Array.from({ length }, (_, i) => of(i))
    const tiny = { datatype: 'INT8', shape: [0], data: [] }
    const parameters = Object.fromEntries(many(129, (i) => [`p${i}`, i]) as [string, unknown][])
    for (const body of [
      { inputs: many(4097, (i) => ({ name: `x${i}`, ...tiny })) },
      { inputs: [x], outputs: many(1025, (i) => ({ name: `y${i}` })) },
      { inputs: [x], parameters },
      { inputs: [{ ...x, parameters }] },
    ])
      expect(failure(() => parse(body))).toMatchObject({ code: 'OIP_TOO_MANY', status: 413 })
    const strings = (name: string): object => ({
      name,
      datatype: 'BYTES',
      shape: [70_000],
      data: Array(70_000).fill(''),
    })
    expect(failure(() => parse({ inputs: [strings('a'), strings('b')] })).code).toBe('TENSOR_STRINGS_TOO_MANY')
    const name = 'n'.repeat(1001)
    expect(failure(() => parse({ inputs: [{ ...x, name }] })).message.length).toBeLessThan(300)
  })
})

describe('identityOf', () => {
  it('takes the unit and the entities out of the parameters, as text', () => {
    expect(identityOf({ unit: 7, 'entity.user': 'u', 'entity.shop': 12, other: 1 })).toEqual({
      unit: '7',
      entities: { user: 'u', shop: '12' },
    })
    expect(identityOf({})).toEqual({ unit: undefined, entities: {} })
  })

  it('leaves a whole number that may have been rounded for the key to refuse, and takes any name', () => {
    const { entities } = identityOf({ 'entity.user': 2 ** 53, 'entity.__proto__': 'x' })
    expect(Object.entries(entities)).toEqual([
      ['user', 2 ** 53],
      ['__proto__', 'x'],
    ])
  })
})

describe('encodeInferResponse', () => {
  const outputs: Tensor[] = [
    { name: 'label', datatype: 'INT64', shape: [1], data: BigInt64Array.of(2n ** 60n) },
    { name: 'p', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(0.25, 0.75) },
  ]
  const response = { modelName: 'fraud', modelVersion: '3', id: 'r"1', parameters: { n: 1 }, outputs }

  it('writes what clients read, leaving out what is not there', () => {
    const raw =
      '[{"name":"label","datatype":"INT64","shape":[1],"data":[1152921504606846976]},{"name":"p","datatype":"FP32","shape":[1,2],"data":[0.25,0.75]}]'
    expect(encodeInferResponse(response)).toEqual({
      text: `{"model_name":"fraud","model_version":"3","id":"r\\"1","parameters":{"n":1},"outputs":${raw}}`,
      rawOutputs: raw,
    })
    const { text } = encodeInferResponse({ ...response, id: undefined, parameters: undefined, outputs: [] })
    expect(text).toBe('{"model_name":"fraud","model_version":"3","outputs":[]}')
  })

  it('is read back as the tensors it was written from', () => {
    const { text } = encodeInferResponse(response)
    const back = parseInferRequest(Buffer.from(text.replace('"outputs":', '"inputs":')))
    expect([...back.inputs.values()]).toEqual(outputs)
  })

  it('gives no raw outputs that the log could not read back', () => {
    const nan: Tensor = { name: 'p', datatype: 'FP32', shape: [1], data: Float32Array.of(Number.NaN) }
    const encoded = encodeInferResponse({ ...response, outputs: [...outputs, nan] })
    expect(encoded.text).toContain('"data":[NaN]')
    expect(encoded.rawOutputs).toBeUndefined()
  })

  it('is the same as bytes', () => {
    const large: Tensor = {
      name: 'e',
      datatype: 'FP64',
      shape: [30_000],
      data: Float64Array.from({ length: 30_000 }, (_, i) => Math.sin(i)),
    }
    const strings: Tensor = { name: 's', datatype: 'BYTES', shape: [2], data: [Buffer.from('é😀'), Buffer.alloc(0)] }
    for (const all of [outputs, [], [large, strings]]) {
      const { text, rawOutputs } = encodeInferResponse({ ...response, outputs: all })
      const bytes = encodeInferResponseBytes({ ...response, outputs: all })
      expect(Buffer.from(bytes.body).toString()).toBe(text)
      expect(Buffer.from(bytes.rawOutputs!).toString()).toBe(rawOutputs)
    }
  })
})

describe('orderOutputs', () => {
  const signature = {
    inputs: [],
    outputs: [
      { name: 'a', datatype: 'FP32', shape: [-1] },
      { name: 'b', datatype: 'FP32', shape: [-1] },
    ],
    batchAxis: 0,
  } as const
  const tensor = (name: string): Tensor => ({ name, datatype: 'FP32', shape: [1], data: Float32Array.of(1) })
  const outputs = new Map([tensor('b'), tensor('a')].map((t) => [t.name, t]))

  it('follows the request, or else the signature', () => {
    expect(orderOutputs(outputs, undefined, signature).map(({ name }) => name)).toEqual(['a', 'b'])
    expect(orderOutputs(outputs, ['b'], signature).map(({ name }) => name)).toEqual(['b'])
  })

  it('fails as our own fault when the model left one out', () => {
    expect(failure(() => orderOutputs(new Map(), ['b'], signature))).toMatchObject({
      code: 'OIP_OUTPUT_MISSING',
      status: 500,
    })
  })
})

describe('the small bodies', () => {
  it('have the members that clients look for', () => {
    expect(encodeLive(true)).toBe('{"live":true}')
    expect(encodeReady(false)).toBe('{"ready":false}')
    expect(encodeModelReady('m', true)).toBe('{"name":"m","ready":true}')
    expect(encodeModelList(['a', 'b'])).toBe('{"models":["a","b"]}')
    expect(encodeServerMetadata({ version: '0.1.0', extensions: ['model_repository'] })).toBe(
      '{"name":"headrace","version":"0.1.0","extensions":["model_repository"]}',
    )
    const signature = { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }], outputs: [], batchAxis: 0 } as const
    expect(JSON.parse(encodeModelMetadata({ name: 'm', versions: [1, 12], platform: 'onnx', signature }))).toEqual({
      name: 'm',
      versions: ['1', '12'],
      platform: 'onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [],
    })
  })

  it('say an error as a string beside its code', () => {
    const error = OipErrors.INPUT_DATA_MISSING({ input: 'x' })
    expect(JSON.parse(encodeError(error))).toEqual({ error: error.message, code: 'OIP_INPUT_DATA_MISSING' })
  })
})
