// What the protocols bring to an endpoint whose versions have feature services, in the one form that the path takes.
import type { EntityValue } from '../../features/index.js'
import { type EndpointFeatures, Given } from '../../path/index.js'
import {
  type Columns,
  elementCount,
  type FeatureValue,
  type Tensor,
  TensorErrors,
  type TensorMap,
  tensorColumn,
} from '../../tensor/index.js'
import type { Entities } from '../native/index.js'

type Keys = Map<string, (EntityValue | undefined)[]>

const NO_TENSORS: TensorMap = new Map()
const NO_COLUMNS: Columns = new Map()

/** Of a native call. Throws FEATURE_KEY_UNKNOWN. */
export function givenRows(
  features: EndpointFeatures,
  rows: number,
  columns: Columns,
  entities: readonly Entities[],
): Given {
  const keys: Keys = new Map()
  for (let row = 0; row < rows; row++) {
    const of = entities[row]!
    for (const name in of) {
      let column = keys.get(name)
      if (column === undefined) {
        features.checkKeyName(name)
        column = new Array<EntityValue | undefined>(rows).fill(undefined)
        keys.set(name, column)
      }
      column[row] = of[name] ?? undefined
    }
  }
  return new Given(rows, keys, columns, NO_TENSORS)
}

/** Of a form that has entity keys among the columns. */
export function givenColumns(features: EndpointFeatures, rows: number, columns: Columns): Given {
  const keys: Keys = new Map()
  const values: Columns = new Map()
  for (const [name, column] of columns) {
    if (features.isKey(name)) keys.set(name, keyColumn(column))
    else values.set(name, column)
  }
  return new Given(rows, keys, values, NO_TENSORS)
}

/**
 * Of an Open Inference Protocol request: `entities` from its parameters for all rows, key tensors with one value for each. Throws
 * FEATURE_KEY_UNKNOWN, TENSOR_INPUT_UNKNOWN, TENSOR_ROWS_MISMATCH, TENSOR_LENGTH_MISMATCH.
 */
export function givenTensors(
  features: EndpointFeatures,
  tensors: TensorMap,
  entities: Readonly<Record<string, EntityValue>>,
): Given {
  const rows = rowsOf(features, tensors)
  const keys: Keys = new Map()
  for (const name in entities) {
    features.checkKeyName(name)
    keys.set(name, new Array<EntityValue>(rows).fill(entities[name]!))
  }
  const values = new Map<string, Tensor>()
  for (const [name, tensor] of tensors) {
    if (features.isKey(name)) keys.set(name, keyColumn(tensorColumn(tensor, rows)))
    else if (features.rows.names.has(name) || features.isInput(name)) values.set(name, tensor)
    else throw TensorErrors.INPUT_UNKNOWN({ input: name.slice(0, 100), known: [...features.rowsWithKeys.names] })
  }
  return new Given(rows, keys, new Map(NO_COLUMNS), values)
}

/** Every tensor has the rows on its first axis, but where no version takes several. */
function rowsOf(features: EndpointFeatures, tensors: TensorMap): number {
  let rows: number | undefined
  let first = ''
  for (const [name, { shape, data }] of tensors) {
    const expected = elementCount(shape)
    if (data.length !== expected)
      throw TensorErrors.LENGTH_MISMATCH({ input: name, shape, expected, elements: data.length })
    if (!features.isBatched) continue
    const own = shape[0] ?? 1
    if (own === 0) throw TensorErrors.ROWS_MISSING({ input: name, shape })
    if (rows === undefined) {
      rows = own
      first = name
    } else if (own !== rows) throw TensorErrors.ROWS_MISMATCH({ first, rows, input: name, shape })
  }
  return rows ?? 1
}

/** What is no key is found out when the key is made. */
function keyColumn(column: readonly (FeatureValue | undefined)[]): (EntityValue | undefined)[] {
  return column.map((value) => (value === null ? undefined : (value as EntityValue | undefined)))
}
