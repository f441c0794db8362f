import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../../core/index.js'
import { type DataType, describeRows, type RowSchema, type Tensor, validateInputs } from '../../tensor/index.js'
import {
  encodeError,
  encodeModelList,
  encodePredictResponse,
  KserveErrors,
  type PredictRequest,
  parsePredictRequest,
} from './index.js'

type Input = readonly [name: string, datatype: DataType, shape: number[]]

function schemaOf(inputs: readonly Input[], features?: string[], batchAxis: 0 | null = 0): RowSchema {
  const specs = inputs.map(([name, datatype, shape]) => ({ name, datatype, shape }))
  return describeRows({ inputs: specs, outputs: [], batchAxis }, { features, outputs: {} }, undefined)
}

const matrix = schemaOf([['x', 'FP32', [-1, 2]]], ['a', 'b'])
const ids = schemaOf([['id', 'INT64', [-1, 1]]])
const text = schemaOf([['text', 'BYTES', [-1]]])
const two = schemaOf([
  ['amount', 'FP32', [-1, 1]],
  ['country', 'BYTES', [-1]],
])

const parse = (body: unknown, schema: RowSchema): PredictRequest =>
  parsePredictRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), schema)

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('parsePredictRequest', () => {
  it('takes instances that are arrays, for a model of one input', () => {
    const request = parse(
      {
        signature_name: 'serving_default',
        instances: [
          [1, 2],
          [3, 4],
        ],
        other: {},
      },
      matrix,
    )
    expect(request).toEqual({
      form: 'rows',
      rows: 2,
      inputs: new Map([['x', { name: 'x', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]]),
    })
  })

  it('takes instances that are scalars, exact beyond 2^53, with the axis that an input of one column has', () => {
    const { inputs } = parse('{"instances": [9223372036854775807, -1]}', ids)
    expect(inputs.get('id')).toMatchObject({ shape: [2, 1], data: BigInt64Array.of(2n ** 63n - 1n, -1n) })
    expect(parse('{"instances": [[5], [6]]}', ids).inputs.get('id')).toMatchObject({ shape: [2, 1] })
    expect(parse('{"instances": [[NaN, 1e3]]}', matrix).inputs.get('x')!.data).toEqual(
      Float32Array.of(Number.NaN, 1000),
    )
  })

  it('takes bytes as strings or base64, in lists and in objects', () => {
    const { inputs } = parse({ instances: ['a', { b64: '/w==' }] }, text)
    expect(inputs.get('text')!.data).toEqual([Buffer.from('a'), Buffer.from([255])])
    expect(parse({ instances: [{ b64: 'YQ==' }] }, text).inputs.get('text')!.data).toEqual([Buffer.from('a')])
    expect(parse({ instances: [{ text: { b64: 'YQ==' } }] }, text).inputs.get('text')!.data).toEqual([Buffer.from('a')])
    expect(parse({ inputs: [{ b64: 'YQ==' }] }, text).inputs.get('text')!.data).toEqual([Buffer.from('a')])
    expect(failure(() => parse({ instances: [{ text: { b64: '*' } }] }, text)).message).toContain('valid base64')
    expect(failure(() => parse({ instances: [{ text: { b64: 'YQ==', x: 1 } }] }, text)).code).toBe(
      'TENSOR_JSON_UNEXPECTED',
    )
  })

  it('takes instances that are objects keyed by feature or by input', () => {
    const expected = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
    expect(
      parse(
        {
          instances: [
            { b: 2, a: 1 },
            { a: 3, b: 4 },
          ],
        },
        matrix,
      ).inputs.get('x'),
    ).toMatchObject(expected)
    expect(parse({ instances: [{ x: [1, 2] }, { x: [3, 4] }] }, matrix).inputs.get('x')).toMatchObject(expected)
    const { inputs, rows } = parse({ instances: [{ country: 'DE', amount: [12.5] }] }, two)
    expect(rows).toBe(1)
    expect(Object.fromEntries(inputs)).toMatchObject({
      amount: { shape: [1, 1], data: Float32Array.of(12.5) },
      country: { shape: [1], data: [Buffer.from('DE')] },
    })
    expect(validateInputs(inputs, two.signature)).toBe(1)
  })

  it('takes columns: a whole tensor, or one for each input', () => {
    expect(
      parse(
        {
          inputs: [
            [1, 2],
            [3, 4],
          ],
        },
        matrix,
      ),
    ).toMatchObject({ form: 'columns', rows: 2 })
    const { form, rows, inputs } = parse({ inputs: { amount: [1, 2], country: ['DE', 'FR'] } }, two)
    expect({ form, rows }).toEqual({ form: 'columns', rows: 2 })
    expect(inputs.get('amount')).toMatchObject({ shape: [2, 1] })
    expect(validateInputs(inputs, two.signature)).toBe(2)
  })

  it('takes one instance, or the whole tensor, for a model without a batch axis', () => {
    const whole = schemaOf([['x', 'FP32', [2, 2]]], undefined, null)
    expect(
      parse(
        {
          instances: [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        },
        whole,
      ),
    ).toMatchObject({ rows: 1 })
    expect(
      parse(
        {
          instances: [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        },
        whole,
      ).inputs.get('x'),
    ).toMatchObject({ shape: [2, 2] })
    expect(
      parse(
        {
          inputs: [
            [1, 2],
            [3, 4],
          ],
        },
        whole,
      ).inputs.get('x'),
    ).toMatchObject({ shape: [2, 2] })
    expect(
      failure(() =>
        parse(
          {
            instances: [
              [
                [1, 2],
                [3, 4],
              ],
              [
                [1, 2],
                [3, 4],
              ],
            ],
          },
          whole,
        ),
      ).code,
    ).toBe('TENSOR_ROWS_NOT_BATCHABLE')
  })

  it.each([
    [{}, 'KSERVE_FORM_INVALID'],
    [{ instances: [[1, 2]], inputs: [[1, 2]] }, 'KSERVE_FORM_INVALID'],
    ['{"instances":[[1,2]],"instances":[[1,2]]}', 'TENSOR_MEMBER_DUPLICATE'],
    [{ instances: [] }, 'TENSOR_ROWS_EMPTY'],
    [{ instances: {} }, 'TENSOR_JSON_UNEXPECTED'],
    [{ instances: null }, 'TENSOR_JSON_UNEXPECTED'],
    [{ instances: [[1, 2], [3]] }, 'TENSOR_NESTING_MISMATCH'],
    [{ instances: [[1, 'x']] }, 'TENSOR_ELEMENT_INVALID'],
    [{ instances: [{ a: 1 }] }, 'TENSOR_FEATURE_MISSING'],
    [{ instances: [{ a: 1, c: 2 }] }, 'TENSOR_FEATURE_UNKNOWN'],
    ['{"instances":[{"a":1,"a":2}]}', 'TENSOR_FEATURE_DUPLICATE'],
    [{ instances: [{ a: 1, b: {} }] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ instances: [{ a: 1, b: 2 }, [1, 2]] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: { z: [1] } }, 'TENSOR_INPUT_UNKNOWN'],
    ['{"inputs":{"x":[[1,2]],"x":[[1,2]]}}', 'TENSOR_INPUT_DUPLICATE'],
    [{ inputs: 5 }, undefined],
  ])('refuses %j with %s', (body, code) => {
    if (code === undefined)
      expect(() => validateInputs(parse(body, matrix).inputs, matrix.signature)).toThrow(HeadraceError)
    else expect(failure(() => parse(body, matrix))).toMatchObject({ code, status: 400 })
  })

  it('asks for names where the model has several inputs', () => {
    const error = failure(() => parse({ instances: [[1, 2]] }, two))
    expect(error).toMatchObject({ code: 'KSERVE_INPUT_NAMES_MISSING', status: 400 })
    expect(error.message).toContain('"amount", "country"')
    expect(failure(() => parse({ inputs: [[1, 2]] }, two)).code).toBe('KSERVE_INPUT_NAMES_MISSING')
  })

  it('throws nothing but 4xx for any JSON, and for damaged bodies', () => {
    const bodies = fc.oneof(
      fc.jsonValue({ maxDepth: 4 }).map((instances) => JSON.stringify({ instances })),
      fc.jsonValue({ maxDepth: 4 }).map((inputs) => JSON.stringify({ inputs })),
      fc.constantFrom(
        '{"instances":[{"a":1,"b":[{"b64":"YQ=="}]},{"x":[1,2]}]}',
        '{"instances":[[1,2],[NaN,"Infinity"]],"signature_name":"s"}',
        '{"inputs":{"amount":[1,2],"country":["é",{"b64":"YQ=="}]}}',
      ),
    )
    fc.assert(
      fc.property(bodies, fc.nat(), fc.nat(2), fc.uint8Array({ maxLength: 2 }), (body, at, remove, insert) => {
        const bytes = Buffer.from(body)
        const start = at % (bytes.length + 1)
        const damaged = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)])
        for (const schema of [matrix, ids, text, two])
          for (const given of [bytes, damaged])
            try {
              parsePredictRequest(given, schema)
            } catch (error) {
              if (!(error instanceof HeadraceError)) throw error
              expect(error.status).toBe(400)
            }
      }),
      { numRuns: 500 },
    )
  })
})

describe('encodePredictResponse', () => {
  const label: Tensor = { name: 'label', datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 2n ** 60n) }
  const p: Tensor = { name: 'p', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(0.25, 0.75, Number.NaN, -0) }

  it('gives one output without its name', () => {
    expect(encodePredictResponse({ form: 'rows', rows: 2, outputs: [p] })).toBe(
      '{"predictions":[[0.25,0.75],[NaN,-0.0]]}',
    )
    expect(encodePredictResponse({ form: 'rows', rows: 2, outputs: [label] })).toBe(
      '{"predictions":[1,1152921504606846976]}',
    )
    expect(encodePredictResponse({ form: 'columns', rows: 2, outputs: [p] })).toBe(
      '{"outputs":[[0.25,0.75],[NaN,-0.0]]}',
    )
  })

  it('gives several outputs as objects keyed by name', () => {
    expect(encodePredictResponse({ form: 'rows', rows: 2, outputs: [label, p] })).toBe(
      '{"predictions":[{"label":1,"p":[0.25,0.75]},{"label":1152921504606846976,"p":[NaN,-0.0]}]}',
    )
    expect(encodePredictResponse({ form: 'columns', rows: 2, outputs: [label, p] })).toBe(
      '{"outputs":{"label":[1,1152921504606846976],"p":[[0.25,0.75],[NaN,-0.0]]}}',
    )
  })

  it('gives bytes that are not text as base64', () => {
    const bytes: Tensor = { name: 's', datatype: 'BYTES', shape: [1, 2], data: [Buffer.from('é"'), Buffer.from([255])] }
    expect(encodePredictResponse({ form: 'rows', rows: 1, outputs: [bytes] })).toBe(
      '{"predictions":[["é\\"",{"b64":"/w=="}]]}',
    )
  })

  it('nests by shape, empty axes among them', () => {
    const t = (shape: number[], length: number): Tensor => ({
      name: 't',
      datatype: 'UINT8',
      shape,
      data: new Uint8Array(length),
    })
    expect(encodePredictResponse({ form: 'rows', rows: 1, outputs: [t([1, 2, 1, 2], 4)] })).toBe(
      '{"predictions":[[[[0,0]],[[0,0]]]]}',
    )
    expect(encodePredictResponse({ form: 'rows', rows: 2, outputs: [t([2, 0, 3], 0)] })).toBe('{"predictions":[[],[]]}')
    expect(encodePredictResponse({ form: 'columns', rows: 1, outputs: [t([], 1)] })).toBe('{"outputs":0}')
  })

  it('gives an output without a row axis whole', () => {
    const whole: Tensor = { name: 'w', datatype: 'UINT8', shape: [3], data: Uint8Array.of(1, 2, 3) }
    expect(encodePredictResponse({ form: 'rows', rows: 1, outputs: [whole] })).toBe('{"predictions":[[1,2,3]]}')
  })

  it('is read back as the tensor it was written from', () => {
    const tensors = fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
      .chain(([rows, width]) =>
        fc
          .array(fc.float({ noNaN: true }), { minLength: rows * width, maxLength: rows * width })
          .map((list) => ({ rows, width, list })),
      )
    fc.assert(
      fc.property(tensors, fc.constantFrom('rows', 'columns'), ({ rows, width, list }, form) => {
        const tensor: Tensor = { name: 'x', datatype: 'FP32', shape: [rows, width], data: Float32Array.from(list) }
        const reply = encodePredictResponse({ form, rows, outputs: [tensor] })
        const body = reply.replace('"predictions"', '"instances"').replace('"outputs"', '"inputs"')
        expect(parse(body, schemaOf([['x', 'FP32', [-1, width]]])).inputs.get('x')).toEqual(tensor)
      }),
    )
  })
})

describe('the small bodies', () => {
  it('have the members that clients look for', () => {
    expect(encodeModelList(['a'])).toBe('{"models":["a"]}')
    const error = KserveErrors.FORM_INVALID({ arrived: 'neither' })
    expect(JSON.parse(encodeError(error))).toEqual({ error: error.message, code: 'KSERVE_FORM_INVALID' })
  })
})
