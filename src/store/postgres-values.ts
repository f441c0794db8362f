// Postgres' answers as the values that Sql promises: the same ones that SQLite gives for the same query.
import type { CustomTypesConfig } from 'pg'

const BOOL = 16
const BYTEA = 17
const INT2 = 21
const INT4 = 23
const INT8 = 20
const OID = 26
const FLOAT4 = 700
const FLOAT8 = 701
/** What `sum` of integers gives. */
const NUMERIC = 1700

const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  [BOOL]: (text) => (text === 't' ? 1 : 0),
  [BYTEA]: toBytes,
  [INT2]: Number,
  [INT4]: Number,
  [OID]: Number,
  [INT8]: toInteger,
  [FLOAT4]: Number,
  [FLOAT8]: Number,
  [NUMERIC]: (text) => (/^-?\d+$/.test(text) ? toInteger(text) : Number(text)),
}

const asText = (text: string) => text

export const postgresTypes: CustomTypesConfig = {
  getTypeParser: (oid: number) => (PARSERS[oid] ?? asText) as never,
}

function toInteger(text: string): number | bigint {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}

/** `\x` and hexadecimal digits. A copy, because what Buffer makes of a short text is a part of a shared pool. */
function toBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.slice(2), 'hex'))
}
