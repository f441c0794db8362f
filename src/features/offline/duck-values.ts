// Values as DuckDB's driver has them, and back.
import type { DuckDBArrayValue, DuckDBListValue, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import type { Scalar, Value, ValueType } from '../value.js'

export type ReadValue = (value: DuckDBValue) => Value
export type WriteValue = (value: Value) => DuckDBValue

/** A 64-bit integer as a number where that is exact. */
export function integer(value: DuckDBValue): number | bigint {
  const number = Number(value)
  return typeof value !== 'bigint' || Number.isSafeInteger(number) ? number : value
}

/** Reads a column of `duckType(type)`. */
export function readerOf(type: ValueType): ReadValue {
  if (type.startsWith('float32[')) {
    return (value) => (value === null ? null : Float32Array.from((value as DuckDBArrayValue).items as number[]))
  }
  if (type.endsWith('[]')) {
    const item = type === 'int64[]' ? integer : (value: DuckDBValue) => value as Scalar
    // A list has no null in it: what is null there is left out.
    return (value) => {
      if (value === null) return null
      return (value as DuckDBListValue).items.filter((one) => one !== null && !Number.isNaN(one)).map(item)
    }
  }
  if (type === 'int64' || type === 'timestamp') return (value) => (value === null ? null : integer(value))
  return (value) => value as Scalar | null
}

/** The driver's types and conversions for columns of values; the driver is loaded by now. */
export async function writersOf(types: readonly ValueType[]): Promise<{ types: DuckDBType[]; write: WriteValue[] }> {
  const duck = await import('@duckdb/node-api')
  const scalarType: Readonly<Record<string, DuckDBType>> = {
    float64: duck.DOUBLE,
    float32: duck.FLOAT,
    int64: duck.BIGINT,
    int32: duck.INTEGER,
    bool: duck.BOOLEAN,
    string: duck.VARCHAR,
    timestamp: duck.BIGINT,
  }
  const scalar = (type: string): ((value: Scalar) => DuckDBValue) =>
    type === 'int64' || type === 'timestamp' ? (value) => BigInt(value as number | bigint) : (value) => value
  const columns = types.map((type): { type: DuckDBType; write: WriteValue } => {
    if (type.startsWith('float32[')) {
      const length = Number(type.slice(8, -1))
      return {
        type: duck.ARRAY(duck.FLOAT, length),
        write: (value) => (value === null ? null : duck.arrayValue(Array.from(value as Float32Array))),
      }
    }
    if (type.endsWith('[]')) {
      const item = scalar(type.slice(0, -2))
      return {
        type: duck.LIST(scalarType[type.slice(0, -2)]!),
        write: (value) => (value === null ? null : duck.listValue((value as readonly Scalar[]).map(item))),
      }
    }
    const item = scalar(type)
    return { type: scalarType[type]!, write: (value) => (value === null ? null : item(value as Scalar)) }
  })
  return { types: columns.map(({ type }) => type), write: columns.map(({ write }) => write) }
}
