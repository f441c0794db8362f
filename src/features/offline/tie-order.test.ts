// Stores and streams break ties by `compareValues`, joins by a database's ORDER BY: one order, or one tie has two answers.
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareValues } from '../compare-values.js'
import type { Scalar, Value } from '../value.js'

const text = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'b', 'ä', 'z', 'ab', 'a b', '\uE000', '\uFFFD', '\u{1F600}', 'a\u{10000}', 'a\uFF5E'),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
)
const double = fc.oneof(fc.constantFrom(0, -0, Infinity, -Infinity, 1e-320), fc.double({ noNaN: true }))
const int64 = fc
  .oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-3n, 3n), fc.bigInt(2n ** 53n - 2n, 2n ** 53n + 2n))
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value))
const list = (of: fc.Arbitrary<Scalar>) => fc.array(of, { maxLength: 3 })
const vector = fc
  .array(fc.double({ noNaN: true, min: -10, max: 10 }), { minLength: 2, maxLength: 2 })
  .map((values) => Float32Array.from(values))

/** By the column's type in DuckDB. */
const TYPES: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  DOUBLE: double,
  BIGINT: int64,
  BOOLEAN: fc.boolean(),
  VARCHAR: text,
  'DOUBLE[]': list(double),
  'BIGINT[]': list(int64),
  'BOOLEAN[]': list(fc.boolean()),
  'VARCHAR[]': list(text),
  'FLOAT[2]': vector,
}

function literal(value: Value): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (typeof value === 'object') return `[${Array.from(value as readonly Scalar[], literal).join(', ')}]`
  if (typeof value === 'number' && !Number.isFinite(value)) return `'${value}'::DOUBLE`
  // In brackets: a cast binds tighter than the sign, and 2^63 is no BIGINT.
  return Object.is(value, -0) ? "'-0'::DOUBLE" : `(${value})`
}

describe('values of rows that are tied in their times', () => {
  it.each(Object.keys(TYPES))('are in one order in stores and in the database: %s', async (type) => {
    const connection = await (await DuckDBInstance.create(':memory:')).connect()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(TYPES[type]!), { minLength: 2, maxLength: 30 }), async (values) => {
        const rows = values.map((value, i) => `(${i}, ${literal(value)}::${type})`)
        const sql = `SELECT i, dense_rank() OVER (ORDER BY x NULLS FIRST) AS place FROM (VALUES ${rows.join(', ')}) AS r(i, x) ORDER BY i`
        const places = (await connection.runAndReadAll(sql)).getRows().map(([, place]) => Number(place))
        for (let a = 0; a < values.length; a++)
          for (let b = 0; b < values.length; b++)
            expect([values[a], values[b], Math.sign(compareValues(values[a]!, values[b]!))]).toEqual([
              values[a],
              values[b],
              Math.sign(places[a]! - places[b]!),
            ])
      }),
      { numRuns: 60 },
    )
    connection.closeSync()
  })
})
