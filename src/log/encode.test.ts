// The hand-written encoders against JSON.stringify and JSON.parse.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prediction, tensors } from '../../test/contract/prediction-log.js'
import { encodeHeader } from './encode-header.js'
import { encodeTensors, estimateBytes } from './encode-tensors.js'
import { milliseconds, QuotedNames, quote } from './json-text.js'
import type { LogRecord } from './types.js'

const names = new QuotedNames()
const text = fc.string({ unit: 'binary', maxLength: 20 })
const finite = fc.double({ noNaN: true, noDefaultInfinity: true })
const micros = fc.integer({ min: 0, max: 1e9 }).map((value) => value / 1000)
const call = fc.record({
  leaf: text,
  model: text,
  version: fc.nat(),
  role: fc.constantFrom('primary' as const, 'shadow' as const),
  status: text,
  latencyMs: micros,
  queueMs: micros,
  batchRows: fc.nat(),
})
const base = { id: text, timeMs: fc.nat({ max: 2 ** 43 }), endpoint: text, tenant: text }
const anyRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('prediction' as const),
    ...base,
    unit: fc.option(text),
    rows: fc.nat(),
    protocol: text,
    route: fc.array(fc.record({ node: text, arm: text, probability: finite }), { maxLength: 3 }),
    calls: fc.array(call, { maxLength: 3 }),
    flags: fc.array(text, { maxLength: 3 }),
    stages: fc.record({ admit: micros, features: micros, route: micros, shape: micros }),
    cost: fc.option(finite),
    traceId: fc.option(text),
    error: fc.option(text),
  }),
  fc.record({ kind: fc.constant('call' as const), ...base, prediction: text, call }),
  fc.record({
    kind: fc.constant('outcome' as const),
    ...base,
    prediction: text,
    name: text,
    value: fc.oneof(text, finite, fc.boolean()),
    happenedMs: fc.nat({ max: 2 ** 43 }),
    knownMs: fc.nat({ max: 2 ** 43 }),
  }),
  fc.record({
    kind: fc.constant('decision' as const),
    id: text,
    timeMs: fc.nat({ max: 2 ** 43 }),
    change: text,
    subject: text,
    by: text,
  }),
)

describe('encodeHeader', () => {
  it('reads back as the record, on one line', () => {
    fc.assert(
      fc.property(anyRecord, fc.nat(), (record, seq) => {
        const line = `${encodeHeader(seq, record, names)}}`
        expect(line).not.toContain('\n')
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify({ seq, ...record })))
      }),
    )
  })

  it('begins with position, kind, time and endpoint, which readers look for in the first bytes', () => {
    const line = encodeHeader(12, prediction({ endpoint: 'a.b-c_d' }), names)
    expect(line).toMatch(/^\{"seq":12,"kind":"prediction","timeMs":1767225600000,"endpoint":"a.b-c_d",/)
  })

  it('keeps numbers that are none out of the JSON', () => {
    const broken = prediction({ cost: Number.NaN, timeMs: Number.POSITIVE_INFINITY, rows: Number.NEGATIVE_INFINITY })
    expect(JSON.parse(`${encodeHeader(1, broken, names)}}`)).toMatchObject({ cost: null, timeMs: null, rows: null })
  })
})

describe('milliseconds', () => {
  it('keeps microseconds and prints nothing JSON does not know', () => {
    expect([0, 1, 1.5, 0.0004, 0.0005, 12.3456, 999.9996, 2 ** 31, 1e21].map(milliseconds)).toEqual([
      '0',
      '1',
      '1.5',
      '0',
      '0.001',
      '12.346',
      '1000',
      '2147483648',
      '1e+21',
    ])
    expect([-1.5, Number.NaN, Number.POSITIVE_INFINITY].map(milliseconds)).toEqual(['-1.5', 'null', 'null'])
  })

  it('is within half a microsecond', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (value) => {
        expect(Math.abs(Number(milliseconds(value)) - value)).toBeLessThanOrEqual(0.0005 + 1e-9)
      }),
    )
  })
})

describe('quote', () => {
  it('reads back as any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        expect(JSON.parse(quote(value))).toBe(value)
      }),
    )
  })

  it('replaces a surrogate without a partner', () => {
    expect(['\ud800', 'a\udc00b', '\ud83d\ude00'].map(quote)).toEqual(['"\ufffd"', '"a\ufffdb"', '"\u{1f600}"'])
  })
})

describe('encodeTensors', () => {
  it('writes each datatype as its values', () => {
    const encoded = encodeTensors(
      tensors(
        { name: 'bool', datatype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) },
        { name: 'u8', datatype: 'UINT8', shape: [1], data: Uint8Array.of(255) },
        { name: 'i8', datatype: 'INT8', shape: [1], data: Int8Array.of(-128) },
        { name: 'u16', datatype: 'UINT16', shape: [1], data: Uint16Array.of(65535) },
        { name: 'i16', datatype: 'INT16', shape: [1], data: Int16Array.of(-32768) },
        { name: 'u32', datatype: 'UINT32', shape: [1], data: Uint32Array.of(4294967295) },
        { name: 'i32', datatype: 'INT32', shape: [1], data: Int32Array.of(-2147483648) },
        { name: 'u64', datatype: 'UINT64', shape: [1], data: BigUint64Array.of(18446744073709551615n) },
        { name: 'i64', datatype: 'INT64', shape: [1], data: BigInt64Array.of(-9223372036854775808n) },
        { name: 'f16', datatype: 'FP16', shape: [3], data: Uint16Array.of(0x3c00, 0x7c00, 0x7e00) },
        { name: 'bf16', datatype: 'BF16', shape: [2], data: Uint16Array.of(0x3fc0, 0xff80) },
        { name: 'f32', datatype: 'FP32', shape: [2], data: Float32Array.of(0.5, Number.NaN) },
        { name: 'f64', datatype: 'FP64', shape: [2], data: Float64Array.of(-0.1, Number.NEGATIVE_INFINITY) },
        { name: 'bytes', datatype: 'BYTES', shape: [3], data: [Buffer.from('a"é\n'), Buffer.of(0xff, 0), Buffer.of()] },
        { name: 'empty', datatype: 'FP32', shape: [0, 4], data: new Float32Array(0) },
        { name: 'scalar', datatype: 'INT32', shape: [], data: Int32Array.of(5) },
      ),
    )
    expect(encoded.match(/"data":\[.*?\]\}/g)?.map((part) => part.slice(7, -1))).toEqual([
      '[false,true]',
      '[255]',
      '[-128]',
      '[65535]',
      '[-32768]',
      '[4294967295]',
      '[-2147483648]',
      '[18446744073709551615]',
      '[-9223372036854775808]',
      '[1,"Infinity","NaN"]',
      '[1.5,"-Infinity"]',
      '[0.5,"NaN"]',
      '[-0.1,"-Infinity"]',
      '["a\\"é\\n",{"b64":"/wA="},""]',
      '[]',
      '[5]',
    ])
    expect(JSON.parse(encoded)).toMatchObject([
      { name: 'bool', datatype: 'BOOL', shape: [2] },
      ...Array(13).fill({}),
      { shape: [0, 4] },
      { shape: [] },
    ])
  })

  it('hides whole inputs and single columns of every row', () => {
    const data = Float64Array.of(1, 2, 3, 4, 5, 6)
    const matrix = tensors({ name: 'x', datatype: 'FP64', shape: [2, 3], data })
    const features = ['a', 'b', 'c']
    const encodedData = (redact: string[]): unknown =>
      (JSON.parse(encodeTensors(matrix, redact, features)) as { data: unknown }[])[0]!.data
    expect(encodedData([])).toEqual([1, 2, 3, 4, 5, 6])
    expect(encodedData(['b'])).toEqual([1, null, 3, 4, null, 6])
    expect(encodedData(['a', 'c'])).toEqual([null, 2, null, null, 5, null])
    expect(encodedData(['x'])).toEqual([null, null, null, null, null, null])
    expect(encodedData(['other'])).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('never takes more room than estimated', () => {
    fc.assert(
      fc.property(
        fc.float64Array({ maxLength: 50 }),
        fc.bigInt64Array({ maxLength: 50 }),
        fc.float32Array({ maxLength: 50 }),
        (f64, i64, f32) => {
          const map = tensors(
            { name: 'f64', datatype: 'FP64', shape: [f64.length], data: f64 },
            { name: 'i64', datatype: 'INT64', shape: [i64.length], data: i64 },
            { name: 'f32', datatype: 'FP32', shape: [f32.length], data: f32 },
          )
          expect(encodeTensors(map).length).toBeLessThanOrEqual(estimateBytes(map))
        },
      ),
    )
  })
})
