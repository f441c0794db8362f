// A native call from its bytes. Strict, because it is our own format: an unknown member is more likely a typing error than an extension.
import { didYouMean } from '../../core/index.js'
import type { Priority } from '../../serving/index.js'
import {
  Byte,
  ColumnBuilder,
  type Columns,
  type FeatureValue,
  JsonReader,
  type JsonValue,
  type OpenRows,
  RowBuilder,
  type RowSchema,
  TensorErrors,
  type TensorMap,
} from '../../tensor/index.js'
import { NativeErrors } from './errors.js'
import type { Entities, Metadata, NativeRequest } from './types.js'

/** Rows of one call: each becomes a prediction with an id and a record of its own. */
export const MAX_ROWS = 10_000

/** Entity keys of one row. */
const MAX_ENTITIES = 16
const MAX_METADATA = 64

const NO_ENTITIES: Entities = {}

/**
 * `{"inputs": {…} or [{…}, …], "unit"?, "entities"?, "outputs"?, "priority"?, "metadata"?}`. `unit` (a string) and `entities` (an object of strings and whole numbers)
 * hold for every row, or are lists with one (or null) for each. null as a whole member counts as left out. With open rows, which may
 * lack anything, "inputs" itself may be left out.
 *
 * Throws NATIVE_MEMBER_UNKNOWN, NATIVE_ROWS_MISMATCH, NATIVE_ENTITIES_TOO_MANY, NATIVE_METADATA_TOO_MUCH, TENSOR_ROWS_TOO_MANY, TENSOR_JSON_…, TENSOR_MEMBER_…, and what
 * `rowsToTensors` throws; all are the caller's fault.
 */
export function parseNativeRequest(body: Uint8Array, schema: RowSchema | OpenRows): NativeRequest {
  const reader = new JsonReader(body, 'strict')
  let single = false
  let rows = 0
  let inputs: TensorMap | undefined
  let columns: Columns | undefined
  let units: (string | undefined)[] | string | undefined
  let entities: Entities[] | Entities | undefined
  let outputs: string[] | undefined
  let priority: Priority | undefined
  let metadata: Metadata | undefined
  if (reader.readObject('The request'))
    do {
      const offset = reader.start()
      const key = reader.readKey()
      if (reader.takeNull()) continue
      switch (key) {
        case 'inputs': {
          if (inputs !== undefined) throw duplicate(key, offset)
          single = reader.peek() === Byte.OPEN_OBJECT
          const builder = schema.layout === 'open' ? new ColumnBuilder(schema) : new RowBuilder(schema, 1)
          if (single) readRow(reader, builder)
          else readRows(reader, builder)
          rows = builder.rows
          if (builder instanceof RowBuilder) inputs = builder.finish()
          else {
            if (rows === 0) throw TensorErrors.ROWS_EMPTY()
            inputs = NO_INPUTS
            columns = builder.finish()
          }
          break
        }
        case 'unit':
          if (units !== undefined) throw duplicate(key, offset)
          units = reader.peek() === Byte.OPEN_LIST ? readList(reader, '"unit"', readUnitOrNull) : readUnit(reader)
          break
        case 'entities':
          if (entities !== undefined) throw duplicate(key, offset)
          entities =
            reader.peek() === Byte.OPEN_LIST ? readList(reader, '"entities"', readEntitiesOrNull) : readEntities(reader)
          break
        case 'outputs':
          if (outputs !== undefined) throw duplicate(key, offset)
          outputs = readList(reader, '"outputs"', readOutput)
          break
        case 'priority':
          if (priority !== undefined) throw duplicate(key, offset)
          priority = readPriority(reader)
          break
        case 'metadata':
          if (metadata !== undefined) throw duplicate(key, offset)
          metadata = readMetadata(reader)
          break
        default:
          throw NativeErrors.MEMBER_UNKNOWN({ member: key.slice(0, 100), suggestion: didYouMean(key, MEMBERS) })
      }
    } while (reader.moreMembers())
  reader.finish()
  if (inputs === undefined && schema.layout === 'open') {
    single = !Array.isArray(entities)
    rows = Array.isArray(entities) ? entities.length : 1
    if (rows === 0) throw TensorErrors.ROWS_EMPTY()
    inputs = NO_INPUTS
    columns = new Map()
  }
  if (inputs === undefined) throw TensorErrors.MEMBER_MISSING({ member: '"inputs"', of: 'The request' })
  return {
    single,
    rows,
    inputs,
    columns,
    units: perRow(units, rows, 'unit'),
    entities: perRow<Entities>(entities ?? NO_ENTITIES, rows, 'entities'),
    outputs: outputs?.length === 0 ? undefined : outputs,
    priority,
    metadata,
  }
}

const NO_INPUTS: TensorMap = new Map()

const MEMBERS = ['inputs', 'unit', 'entities', 'outputs', 'priority', 'metadata']

function duplicate(member: string, offset: number): Error {
  return TensorErrors.MEMBER_DUPLICATE({ member: `"${member}"`, offset })
}

function readRows(reader: JsonReader, builder: RowBuilder | ColumnBuilder): void {
  if (!reader.readList('"inputs", if not one row,')) return
  do {
    if (builder.rows === MAX_ROWS) throw TensorErrors.ROWS_TOO_MANY({ limit: MAX_ROWS })
    readRow(reader, builder)
  } while (reader.moreElements())
}

function readRow(reader: JsonReader, builder: RowBuilder | ColumnBuilder): void {
  if (reader.readObject('A row of "inputs"'))
    do {
      const name = reader.readKey()
      builder.put(name, readFeature(reader, name))
    } while (reader.moreMembers())
  builder.endRow()
}

function readFeature(reader: JsonReader, name: string): FeatureValue {
  if (reader.peek() === Byte.OPEN_OBJECT) throw reader.unexpected(`Feature "${name.slice(0, 100)}"`, FEATURE)
  const offset = reader.position
  const value = reader.readValue()
  if (isFeature(value)) return value
  throw TensorErrors.JSON_UNEXPECTED({
    member: `Feature "${name.slice(0, 100)}"`,
    expected: FEATURE,
    offset,
    near: reader.near(offset, reader.position),
  })
}

const FEATURE = 'a value or a list of values'

function isFeature(value: JsonValue): value is JsonValue & FeatureValue {
  if (typeof value !== 'object' || value === null) return true
  return Array.isArray(value) && value.every(isFeature)
}

function readList<T>(reader: JsonReader, member: string, read: (reader: JsonReader) => T): T[] {
  const list: T[] = []
  if (reader.readList(member))
    do {
      if (list.length === MAX_ROWS) throw TensorErrors.ROWS_TOO_MANY({ limit: MAX_ROWS })
      list.push(read(reader))
    } while (reader.moreElements())
  return list
}

function readUnit(reader: JsonReader): string {
  return reader.readString('A "unit"')
}

function readUnitOrNull(reader: JsonReader): string | undefined {
  return reader.takeNull() ? undefined : readUnit(reader)
}

function readEntities(reader: JsonReader): Entities {
  const entities: Record<string, string | number | bigint | null> = Object.create(null)
  let count = 0
  if (reader.readObject('"entities"'))
    do {
      const offset = reader.start()
      const key = reader.readKey()
      if (Object.hasOwn(entities, key)) throw duplicate(key.slice(0, 100), offset)
      if (count++ === MAX_ENTITIES) throw NativeErrors.ENTITIES_TOO_MANY({ limit: MAX_ENTITIES })
      entities[key] = readEntity(reader)
    } while (reader.moreMembers())
  return entities
}

function readEntity(reader: JsonReader): string | number | bigint | null {
  const offset = reader.start()
  const value = reader.readValue()
  if (typeof value === 'string' || typeof value === 'bigint' || value === null) return value
  if (typeof value === 'number' && Number.isInteger(value)) return value
  throw TensorErrors.JSON_UNEXPECTED({
    member: 'A key in "entities"',
    expected: 'a string, a whole number or null',
    offset,
    near: reader.near(offset, reader.position),
  })
}

function readEntitiesOrNull(reader: JsonReader): Entities {
  return reader.takeNull() ? NO_ENTITIES : readEntities(reader)
}

function readPriority(reader: JsonReader): Priority {
  const offset = reader.start()
  const text = reader.readString('"priority"')
  if (text === 'high' || text === 'normal' || text === 'low') return text
  throw TensorErrors.JSON_UNEXPECTED({
    member: '"priority"',
    expected: '"high", "normal" or "low"',
    offset,
    near: reader.near(offset, reader.position),
  })
}

function readMetadata(reader: JsonReader): Metadata {
  const metadata: Record<string, string | number | boolean> = Object.create(null)
  let count = 0
  if (reader.readObject('"metadata"'))
    do {
      const at = reader.start()
      const key = reader.readKey()
      if (Object.hasOwn(metadata, key)) throw duplicate(key.slice(0, 100), at)
      if (count++ === MAX_METADATA) throw NativeErrors.METADATA_TOO_MUCH({ limit: MAX_METADATA })
      const offset = reader.start()
      const value = reader.readValue()
      if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
        throw TensorErrors.JSON_UNEXPECTED({
          member: 'A value in "metadata"',
          expected: 'a string, a number or a boolean',
          offset,
          near: reader.near(offset, reader.position),
        })
      metadata[key] = value
    } while (reader.moreMembers())
  return metadata
}

function readOutput(reader: JsonReader): string {
  return reader.readString('An output in "outputs"')
}

/** One for each row, from a list of them or one for all. */
function perRow<T extends string | object | undefined>(
  given: T | readonly T[],
  rows: number,
  member: string,
): readonly T[] {
  if (!isList(given)) return new Array<T>(rows).fill(given)
  if (given.length !== rows) throw NativeErrors.ROWS_MISMATCH({ member, rows, arrived: given.length })
  return given
}

function isList<T>(given: T | readonly T[]): given is readonly T[] {
  return Array.isArray(given)
}
