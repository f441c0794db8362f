import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../../core/index.js'
import { describeRows, type RowSchema } from '../../tensor/index.js'
import {
  encodeNativeResponse,
  encodeNativeRow,
  MAX_ROWS,
  NativeErrors,
  type NativeRequest,
  parseNativeRequest,
} from './index.js'

const matrix: RowSchema = describeRows(
  { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], outputs: [], batchAxis: 0 },
  { features: ['amount', 'age'], outputs: {} },
  undefined,
)
const columns: RowSchema = describeRows(
  {
    inputs: [
      { name: 'amount', datatype: 'FP32', shape: [-1, 1] },
      { name: 'country', datatype: 'BYTES', shape: [-1] },
      { name: 'tokens', datatype: 'INT64', shape: [-1, -1] },
    ],
    outputs: [],
    batchAxis: 0,
  },
  { features: undefined, outputs: {} },
  undefined,
)

const parse = (body: unknown, schema = matrix): NativeRequest =>
  parseNativeRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), schema)

const row = { amount: 12.5, age: 30 }

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('parseNativeRequest', () => {
  it('takes one row', () => {
    expect(parse({ inputs: row, unit: 'u-1', entities: { user: 'u' }, outputs: ['label'] })).toEqual({
      single: true,
      rows: 1,
      inputs: new Map([['x', { name: 'x', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(12.5, 30) }]]),
      units: ['u-1'],
      entities: [{ user: 'u' }],
      outputs: ['label'],
    })
    expect(parse({ inputs: row, unit: null, entities: null, outputs: [] })).toMatchObject({
      units: [undefined],
      entities: [{}],
      outputs: undefined,
    })
  })

  it('takes a list of rows, with one unit for all or one for each', () => {
    const inputs = [row, { amount: null, age: 5 }]
    expect(parse({ inputs }).inputs.get('x')).toMatchObject({
      shape: [2, 2],
      data: Float32Array.of(12.5, 30, Number.NaN, 5),
    })
    expect(parse({ unit: 'u', entities: { user: 'x' }, inputs })).toMatchObject({
      single: false,
      rows: 2,
      units: ['u', 'u'],
      entities: [{ user: 'x' }, { user: 'x' }],
    })
    expect(parse({ unit: ['u', null], entities: [null, { user: 'x' }], inputs })).toMatchObject({
      units: ['u', undefined],
      entities: [{}, { user: 'x' }],
    })
    expect(parse({ inputs: [row] })).toMatchObject({ single: false, rows: 1 })
  })

  it('takes features of every kind, exactly', () => {
    const { inputs } = parse('{"inputs": {"tokens": [9007199254740993, 2], "country": "é", "amount": 1e2}}', columns)
    expect(Object.fromEntries(inputs)).toMatchObject({
      amount: { shape: [1, 1], data: Float32Array.of(100) },
      country: { shape: [1], data: [Buffer.from('é')] },
      tokens: { shape: [1, 2], data: BigInt64Array.of(9007199254740993n, 2n) },
    })
  })

  it.each([
    [{}, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: null }, 'TENSOR_MEMBER_MISSING'],
    [{ inputs: [] }, 'TENSOR_ROWS_EMPTY'],
    [{ inputs: 5 }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: [5] }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: { ...row, age: {} } }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: { ...row, age: [{}] } }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: { ...row, age: [1, 2] } }, 'TENSOR_FEATURE_TYPE'],
    [{ inputs: { amount: 1 } }, 'TENSOR_FEATURE_MISSING'],
    [{ inputs: { ...row, agee: 1 } }, 'TENSOR_FEATURE_UNKNOWN'],
    [{ inputs: row, units: ['a'] }, 'NATIVE_MEMBER_UNKNOWN'],
    [{ inputs: [row, row], unit: ['a'] }, 'NATIVE_ROWS_MISMATCH'],
    [{ inputs: row, entities: [{}, {}] }, 'NATIVE_ROWS_MISMATCH'],
    [{ inputs: row, unit: 5 }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: row, entities: { user: 5.5 } }, 'TENSOR_JSON_UNEXPECTED'],
    [{ inputs: row, outputs: 'label' }, 'TENSOR_JSON_UNEXPECTED'],
    ['{"inputs":{"amount":NaN,"age":1}}', 'TENSOR_JSON_INVALID'],
    ['{"inputs":{"amount":1e999,"age":1}}', 'TENSOR_JSON_INVALID'],
    ['{"inputs":{"amount":1,"amount":1,"age":1}}', 'TENSOR_FEATURE_DUPLICATE'],
    ['{"inputs":{"amount":1,"age":1},"inputs":[]}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"unit":"a","unit":"b","inputs":{}}', 'TENSOR_MEMBER_DUPLICATE'],
    ['{"entities":{"a":"1","a":"2"},"inputs":{}}', 'TENSOR_MEMBER_DUPLICATE'],
  ])('refuses %j with %s', (body, code) => {
    expect(failure(() => parse(body))).toMatchObject({ code, status: 400 })
  })

  it('reads the priority and the metadata of the call', () => {
    const read = parse({ inputs: row, priority: 'low', metadata: { channel: 'app', tries: 2, isNew: true } })
    expect(read.priority).toBe('low')
    expect({ ...read.metadata }).toEqual({ channel: 'app', tries: 2, isNew: true })
    expect(parse({ inputs: row })).toMatchObject({ priority: undefined, metadata: undefined })
  })

  it.each<[string, object, string]>([
    ['a priority of another name', { priority: 'urgent' }, 'TENSOR_JSON_UNEXPECTED'],
    ['a priority that is a number', { priority: 1 }, 'TENSOR_JSON_UNEXPECTED'],
    ['metadata that is a list', { metadata: ['app'] }, 'TENSOR_JSON_UNEXPECTED'],
    ['metadata with an object in it', { metadata: { user: { id: 1 } } }, 'TENSOR_JSON_UNEXPECTED'],
    [
      'metadata of 65 keys',
      { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`key${i}`, i])) },
      'NATIVE_METADATA_TOO_MUCH',
    ],
  ])('refuses %s', (_, members, code) => {
    expect(failure(() => parse({ inputs: row, ...members })).code).toBe(code)
  })

  it('suggests the member that was probably meant', () => {
    expect(failure(() => parse({ input: row })).message).toContain('Did you mean "inputs"?')
    expect(failure(() => parse({ zzzzzz: row })).message).toContain(
      'It knows "inputs", "unit", "entities", "outputs", "priority" and "metadata".',
    )
  })

  it('bounds the rows of one call', () => {
    const rows = (count: number): string => `{"inputs":[${Array(count).fill('{"amount":1,"age":2}').join(',')}]}`
    expect(parse(rows(MAX_ROWS)).rows).toBe(MAX_ROWS)
    expect(failure(() => parse(rows(MAX_ROWS + 1)))).toMatchObject({ code: 'TENSOR_ROWS_TOO_MANY', status: 413 })
    expect(
      failure(() =>
        parse(
          `{"unit":[${Array(MAX_ROWS + 1)
            .fill('"u"')
            .join(',')}]}`,
        ),
      ).status,
    ).toBe(413)
  })

  it('bounds the entity keys of one row', () => {
    const entities = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`e${i}`, 'x']))
    expect(failure(() => parse({ inputs: row, entities }))).toMatchObject({
      code: 'NATIVE_ENTITIES_TOO_MANY',
      status: 413,
    })
  })

  it('throws nothing but 4xx for any JSON, and for damaged bodies', () => {
    const anything = fc.record(
      { inputs: fc.jsonValue({ maxDepth: 3 }), unit: fc.jsonValue({ maxDepth: 2 }) },
      { requiredKeys: [] },
    )
    const bodies = fc.oneof(
      anything.map((body) => JSON.stringify(body)),
      fc.constantFrom(
        '{"inputs":{"amount":12.5,"age":null},"unit":"u-1","entities":{"user":"é"},"outputs":["p"]}',
        '{"unit":["a",null],"inputs":[{"amount":1,"age":-2e3},{"age":1,"amount":"x"}]}',
        '{"inputs":{"tokens":[1,[2]],"country":"\\u00e9","amount":true}}',
      ),
    )
    fc.assert(
      fc.property(bodies, fc.nat(), fc.nat(2), fc.uint8Array({ maxLength: 2 }), (body, at, remove, insert) => {
        const bytes = Buffer.from(body)
        const start = at % (bytes.length + 1)
        const damaged = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)])
        for (const schema of [matrix, columns])
          for (const given of [bytes, damaged])
            try {
              parseNativeRequest(given, schema)
            } catch (error) {
              if (!(error instanceof HeadraceError)) throw error
              expect(error.status).toBe(400)
            }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('encodeNativeResponse', () => {
  const prediction = {
    id: '0190-a',
    model: 'fraud',
    version: 2,
    outputs: { label: 'ok', probabilities: { ok: 0.75, fraud: null }, tags: [1, 'a"'] },
    flags: ['cached'],
  }

  it('answers one row with its prediction', () => {
    const text = encodeNativeResponse({
      endpoint: 'pay',
      single: true,
      rows: [encodeNativeRow(prediction)],
      timings: { total: 1.23456, queue: 0 },
    })
    expect(JSON.parse(text)).toEqual({ endpoint: 'pay', ...prediction, timings: { total: 1.235, queue: 0 } })
  })

  it('answers a list with a prediction for each row, failed ones among them', () => {
    const error = NativeErrors.ROWS_MISMATCH({ member: 'unit', rows: 1, arrived: 2 })
    const predictions = [
      { ...prediction, flags: [] },
      { id: '0190-b', error },
    ]
    const rows = predictions.map(encodeNativeRow)
    const text = encodeNativeResponse({ endpoint: 'pay', single: false, rows, timings: {} })
    expect(JSON.parse(text)).toEqual({
      endpoint: 'pay',
      predictions: [
        { ...prediction, flags: [] },
        { id: '0190-b', error: { code: 'NATIVE_ROWS_MISMATCH', message: error.message } },
      ],
      timings: {},
    })
  })
})
